"""Who may do what with the API and the web page. Pure: a method, a path and a role in, yes or a reason out.

What only looks (GET) is open to every role, but the audit trail. What changes something is closed to all roles that are not named.
"""

from __future__ import annotations

import re
from enum import StrEnum

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Role(StrEnum):
    """What a token is for."""

    SUBMITTER = "submitter"  # hands jobs over and looks
    OPERATOR = "operator"  # steers jobs, decides about items, limits, drains workers; and what a submitter may
    AUDITOR = "auditor"  # looks at everything, the audit trail too; changes nothing
    ADMIN = "admin"  # everything


_SUBMITTING = re.compile(r"/api/v1/(jobs|mappings|identifiers|plans|plans/[^/]+)|/submit")
"""What is part of handing a job over."""

_EVERYBODY = re.compile(r"/logout")

_TRAIL = re.compile(r"/api/v1/jobs/[^/]+/audit")

_OF_A_SITE = re.compile(
    r"/|/static/.*|/log(in|out)|/(submit|jobs|items|exceptions|decisions|dicomweb)(/.*)?"
    r"|/api/v1/(jobs|items|decisions|mappings|identifiers|plans|health)(/.*)?|/api/v1/events"
)
"""Where every answer is made of jobs, so that another site's can be left out."""


def refused(method: str, path: str, role: Role, *, bound: bool = False) -> str:
    """Why a caller may not; empty: they may. ``bound``: the token is bound to sites."""
    if bound and not _OF_A_SITE.fullmatch(path):
        return "a token that is bound to sites reaches jobs and their results only"
    if method in SAFE:
        hidden = _TRAIL.fullmatch(path) and role is Role.SUBMITTER
        return "the audit trail is for auditors and operators" if hidden else ""
    if role is Role.ADMIN or _EVERYBODY.fullmatch(path):
        return ""
    if role is Role.AUDITOR:
        return "an auditor looks and changes nothing"
    if role is Role.OPERATOR or _SUBMITTING.fullmatch(path):
        return ""
    return "a submitter hands jobs over; an operator does this"
