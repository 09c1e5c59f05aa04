"""What people decided: who, what, when and why, in the transaction that does it, append-only.

The audit trail says how every item went; this says which person steered it. The database refuses to change or delete what is
written (migration 0016). Names of people and their reasons stand here and in reports, never in logs or messages.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from enum import StrEnum
from typing import Any
from uuid import uuid4

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from common.errors import PolicyError
from orchestrator.ledger.schema import Decision, Item

BATCH = 500
"""Decisions read at a time: a retry of a million items can be a million of them."""

LONGEST_NAME, LONGEST_WHY = 128, 2000


class What(StrEnum):
    """What can be decided."""

    SUBMITTED = "submitted"
    PAUSED = "paused"
    RESUMED = "resumed"
    CANCELLED = "cancelled"
    RETRIED = "retried"
    PRIORITY = "priority"
    WINDOW = "window"
    ACCEPTED = "accepted"  # a quarantined result may leave all the same
    GIVEN_UP = "given up"  # nobody will try this item again
    DRAINED = "drained"  # a worker takes no more orders
    LIMITED = "limited"  # a queue or a destination
    STATED = "stated"  # what a destination takes


def decided(
    session: Session,
    what: What,
    *,
    by: str | None,
    job_id: str = "",
    item_id: str | None = None,
    why: str = "",
    key: str | None = None,
    **detail: Any,
) -> str:
    """Write down one decision, in this transaction; returns its key. ``by``: who; None: whoever runs this process.

    ``key``: one that its items have been given already (orchestrator.deciding); None: a new one. ``detail``: plain values of
    the action, e.g. ``priority=5``; no path and no patient's name.

    Raises:
        PolicyError: the name or the reason is too long to be kept.
    """
    name = os_user() if by is None else by
    if len(name) > LONGEST_NAME or len(why) > LONGEST_WHY:
        hint = f"A name has at most {LONGEST_NAME} characters, a reason {LONGEST_WHY}."
        raise PolicyError("the name or the reason is too long to be kept", hint=hint)
    known = {"by": name.replace("\0", ""), "why": why.replace("\0", "")}  # PostgreSQL's text takes no NUL
    key = key or uuid4().hex
    session.add(Decision(key=key, what=what.value, job_id=job_id, item_id=item_id, detail=detail, **known))
    return key


def decisions(session: Session, job_id: str) -> Iterator[Decision]:
    """All decisions on a job and its items, in the order in which they were taken; memory is that of one batch.

    One on items of many jobs is among them where an item of this job follows it.
    """
    named = select(Item.decision).where(Item.job_id == job_id, Item.decision.is_not(None)).distinct()
    return _read(session, or_(Decision.job_id == job_id, Decision.key.in_(named)))


def decisions_on_item(session: Session, job_id: str, item_id: str) -> Iterator[Decision]:
    """The decisions on one item, and those on its job as a whole."""
    own = select(Item.decision).where(Item.id == item_id, Item.decision.is_not(None))
    of_job = (Decision.job_id == job_id) & or_(Decision.item_id == item_id, Decision.item_id.is_(None))
    return _read(session, or_(of_job, Decision.key.in_(own)))


def _read(session: Session, *which: Any) -> Iterator[Decision]:
    statement = select(Decision).where(*which).order_by(Decision.id)
    for batch in session.scalars(statement.execution_options(yield_per=BATCH)).partitions():
        yield from batch


def os_user() -> str:
    """The person at this machine, as the operating system knows them; ``anna as root`` after sudo."""
    user = os.getuid()
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:  # a container's user has no entry
        name = f"uid {user}"
    behind = os.environ.get("SUDO_USER", "")
    return f"{behind[:60]} as {name}" if behind and behind != name else name
