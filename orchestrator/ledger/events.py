"""What happened that is neither a change of state nor a decision: who came in, was refused, read, or set something.

Append-only, as the audit trail (migration 0018). It holds names of people who work here, addresses of machines and ids of ours:
no patient's name, no path of a source.
"""

from __future__ import annotations

import socket
from enum import StrEnum
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from orchestrator.ledger.decisions import LONGEST_NAME, os_user
from orchestrator.ledger.schema import Event


class Happened(StrEnum):
    """What can happen."""

    STARTED = "started"  # a service
    STOPPED = "stopped"
    CONFIGURED = "configured"  # its settings are other than at the last start
    SIGNED_IN = "signed in"
    SIGNED_OUT = "signed out"
    DENIED = "denied"  # nobody we know, not allowed, or too often
    READ = "read"  # what may tell of patients
    CALLED = "called"  # a request that changes something, whatever came of it
    TOKEN_MADE = "token made"  # noqa: S105
    TOKEN_REVOKED = "token revoked"  # noqa: S105
    EXPORTED = "exported"  # the records themselves
    VERIFIED = "verified"
    PRUNED = "pruned"


class Outcome(StrEnum):
    """How it ended."""

    OK = "ok"
    REFUSED = "refused"
    FAILED = "failed"


def happened(
    session: Session,
    what: Happened,
    *,
    by: str | None = None,
    origin: str = "",
    outcome: Outcome = Outcome.OK,
    **detail: Any,
) -> None:
    """Write down one event, in this transaction. ``by``: who; None: whoever runs this process. ``origin``: default this machine."""
    row = {
        "by": (os_user() if by is None else by).replace("\0", "")[:LONGEST_NAME],
        "what": what.value,
        "origin": (origin or socket.gethostname()).replace("\0", "")[:128],
        "outcome": outcome.value,
        "detail": detail,
    }
    session.execute(insert(Event).values(**row))
