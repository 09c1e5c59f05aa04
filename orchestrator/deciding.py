"""What people decide about single items that were set aside: try again, by another profile too; accept; give up.

Who decided, when and why stands in the ledger (orchestrator.ledger.decisions), in the transaction that does it: a row for each item
that was named, one row for all items of a cause. Items keep its key, and what crosses the broker is the key alone. ``by``: who
decides; None: the user of the operating system.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import uuid4

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import Session

from common.errors import PolicyError
from common.logs import logger
from common.orders import Path, Plan, TranscodeDone, Waiver
from common.recipes import Profile
from common.stages import State
from orchestrator.causes import can_be_accepted
from orchestrator.control import fresh
from orchestrator.ledger.database import Sessions, in_transaction
from orchestrator.ledger.decisions import What, decided
from orchestrator.ledger.schema import Item, Job
from orchestrator.moves import move

log = logger(__name__)

BATCH = 200
"""Items per transaction."""

SET_ASIDE = (State.QUARANTINED, State.FAILED)
"""What people decide about."""

MEANING = "accepted with deviation"
"""What a signature on an accepted result means (21 CFR 11.50 (a)(3))."""

NOT_THERE = "it has gone on meanwhile"


@dataclass(frozen=True)
class Selection:
    """Some of the items that are set aside: by id, or all of a cause, in one job or in every one."""

    ids: tuple[str, ...] = ()
    cause: str = ""
    job_id: str = ""

    def __post_init__(self) -> None:
        if not (self.ids or self.cause or self.job_id):
            raise PolicyError("no item is chosen", hint="Tick the items, or decide about a whole group.")


@dataclass
class Outcome:
    """What a decision did: how many items follow it, and why others do not (sentence → how many)."""

    count: int = 0
    refused: Counter[str] = field(default_factory=Counter)


def retry(
    ledger: Sessions, chosen: Selection, *, by: str | None = None, why: str = "", profile: Profile | None = None
) -> Outcome:
    """Begin anew from the source; ``profile``: by it in place of the job's, from now on."""
    asked = _Asked(What.RETRIED, by, why, {"profile": profile.name} if profile else {})

    def apply(session: Session, item: Item, _key: str) -> str:
        for name, value in fresh().items():
            setattr(item, name, None if name in _EMPTY else value)
        if profile is not None:
            item.profile = profile.model_dump(mode="json")
        _open(session, item)
        return ""

    return _each(ledger, chosen, asked, apply)


def accept(ledger: Sessions, chosen: Selection, *, by: str | None = None, why: str, signed: bool = False) -> Outcome:
    """Let results leave that missed their gate: they are made once more, the same to the bit, and packaged this time.

    Refused: what breaks the standard, and frames that were to be lossless and are not. ``signed``: the person showed who they are
    once more, for this decision (21 CFR 11.50, 11.200); the record says so, and what the signature means.

    Raises:
        PolicyError: without a reason nobody lets out what missed its gate.
    """
    asked = _Asked(What.ACCEPTED, by, _reason(why), {"signed": MEANING} if signed else {})

    def apply(session: Session, item: Item, key: str) -> str:
        why_not = not_acceptable(item)
        if why_not:
            return why_not
        plan, made = Plan.model_validate(item.plan), TranscodeDone.model_validate(item.result)
        waiver = Waiver(decision=key, misses=made.verdict.misses)
        item.plan = plan.model_copy(update={"waiver": waiver}).model_dump(mode="json")
        item.split, item.attempts = None, 0
        said = "; ".join(made.verdict.misses)
        move(item, State.PLANNED, f"accepted by a person (decision {key}) although the gate was not met: {said}")
        item.cause = None
        _open(session, item)
        return ""

    return _each(ledger, chosen, asked, apply)


def give_up(ledger: Sessions, chosen: Selection, *, by: str | None = None, why: str) -> Outcome:
    """End items for good: only a person's retry begins them again.

    Raises:
        PolicyError: no reason is given.
    """
    asked = _Asked(What.GIVEN_UP, by, _reason(why))

    def apply(_session: Session, item: Item, _key: str) -> str:
        move(item, State.CANCELLED, f"given up: {why}")
        item.cause = None
        return ""

    return _each(ledger, chosen, asked, apply)


def not_acceptable(item: Item) -> str:
    """Why nobody may accept an item's result, in words; empty: somebody may."""
    if item.state is not State.QUARANTINED or not item.result or not item.plan:
        return "only a result that missed its gate can be accepted"
    if item.plan["path"] != Path.ENCODE:
        return "frames that a second decoder reads otherwise cannot be accepted"
    if not can_be_accepted(TranscodeDone.model_validate(item.result)):
        return "what breaks the standard cannot be accepted"
    return ""


@dataclass(frozen=True)
class _Asked:
    """One decision, as it is written down for each item that follows it."""

    what: What
    by: str | None
    why: str
    detail: dict[str, str] = field(default_factory=dict)
    key: str = field(default_factory=lambda: uuid4().hex)  # of the one row for all items of a cause


def _reason(why: str) -> str:
    if not why.strip():
        raise PolicyError(
            "a reason is missing", hint="Say why: it stands beside your name in the record and the report."
        )
    return why.strip()


_EMPTY = frozenset({"failure", "digest", "description", "plan", "split", "result", "cause", "decision"})
"""Columns that ``fresh`` says are SQL's null."""


def _open(session: Session, item: Item) -> None:
    """A job that was cancelled works again on what a person wants of it."""
    job = session.get_one(Job, item.job_id)
    if job.cancelled:
        job.cancelled = False


def _each(ledger: Sessions, chosen: Selection, asked: _Asked, apply: Callable[[Session, Item, str], str]) -> Outcome:
    """Apply a decision batch by batch; ``apply`` says why an item does not follow it."""
    outcome = Outcome()
    position: tuple[str, int] | None = (
        None  # of the last item that was looked at: one that is refused stays where it is
    )

    def work(session: Session) -> tuple[list[Item], list[str]]:
        items = list(session.scalars(_page(chosen, position)))
        if items and position is None and not chosen.ids:
            about = {"cause": chosen.cause} if chosen.cause else {}
            detail = about | asked.detail
            decided(session, asked.what, by=asked.by, job_id=chosen.job_id, why=asked.why, key=asked.key, **detail)
        return items, [_decide(session, item, asked, apply, named=bool(chosen.ids)) for item in items]

    while True:
        items, answers = in_transaction(ledger, work)
        for why in answers:
            outcome.count += not why
            outcome.refused.update([why] if why else [])
        if len(items) < BATCH:
            break
        position = items[-1].job_id, items[-1].number
    log.info("items_decided", what=asked.what, count=outcome.count, refused=outcome.refused.total())
    return outcome


def _decide(
    session: Session, item: Item, asked: _Asked, apply: Callable[[Session, Item, str], str], *, named: bool
) -> str:
    """Why an item does not follow the decision; empty: it does."""
    if item.state not in SET_ASIDE:
        return NOT_THERE
    key = uuid4().hex if named else asked.key
    why_not = apply(session, item, key)
    if why_not:
        return why_not
    item.decision = key
    if named:
        about = {"job_id": item.job_id, "item_id": item.id}
        decided(session, asked.what, by=asked.by, why=asked.why, key=key, **about, **asked.detail)
    return ""


def _page(chosen: Selection, position: tuple[str, int] | None) -> Select[Item]:
    wanted: list[ColumnElement[bool]] = []
    if chosen.ids:
        wanted.append(Item.id.in_(chosen.ids))
    else:
        wanted.append(Item.cause == chosen.cause if chosen.cause else Item.cause.is_not(None))
    if chosen.job_id:
        wanted.append(Item.job_id == chosen.job_id)
    if position is not None:
        wanted.append((Item.job_id > position[0]) | ((Item.job_id == position[0]) & (Item.number > position[1])))
    return select(Item).where(*wanted).order_by(Item.job_id, Item.number).limit(BATCH).with_for_update(key_share=True)
