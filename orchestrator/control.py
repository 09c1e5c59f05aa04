"""What people may do with a job: find, pause, resume, cancel, retry, give priority. All of it is written into the ledger alone.

The dispatcher reads it before anything goes out, and the watcher's next sweep (one second) withdraws what is out already:
so it works without the broker, and survives the death of whoever asked. Who asked (``by``; None: the user of the operating system)
and why stands beside it in the ledger (orchestrator.ledger.decisions).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import null, select, update
from sqlalchemy.orm import Session

from common import queues
from common.errors import ConflictingRequest, UnknownName
from common.logs import logger
from common.stages import ENDS, TRANSITIONS, State
from orchestrator.ledger.audit import note_all
from orchestrator.ledger.database import Sessions, in_transaction
from orchestrator.ledger.decisions import What, decided
from orchestrator.ledger.schema import Item, Job, now
from orchestrator.limits import Policy
from orchestrator.windows import parse_window

log = logger(__name__)

BATCH = 2000
"""Items per transaction: a million of them must not be locked at once."""


def find_job(session: Session, text: str) -> Job:
    """The job that ``text`` names: its id, the beginning of its id, or its name.

    Raises:
        UnknownName: none.
        ConflictingRequest: more than one.
    """
    exact = session.get(Job, text)
    if exact is not None:
        return exact
    named = Job.id.startswith(text, autoescape=True) | (Job.name == text)
    found = session.scalars(select(Job).where(named).order_by(Job.created_at.desc()).limit(2)).all() if text else []
    if len(found) == 1:
        return found[0]
    hint = "`cinefarm jobs` lists the jobs with their ids; the beginning of an id is enough."
    if found:
        raise ConflictingRequest("more than one job is named so", hint=hint)
    raise UnknownName("there is no such job", hint=hint)


def pause(ledger: Sessions, job_id: str, *, stop_running: bool = False, by: str | None = None, why: str = "") -> None:
    """Nothing new goes out. What runs ends, or is stopped as well (``stop_running``); the items wait, nobody is blamed."""
    decision = Asked(What.PAUSED, by, why, {"stop_running": stop_running})
    _set(ledger, job_id, decision, paused=True, halted=stop_running)
    log.info("job_paused", job=job_id, stop_running=stop_running)


def resume(ledger: Sessions, job_id: str, *, by: str | None = None, why: str = "") -> None:
    """Go on with a paused job."""
    _set(ledger, job_id, Asked(What.RESUMED, by, why), paused=False, halted=False)
    log.info("job_resumed", job=job_id)


def set_priority(ledger: Sessions, job_id: str, priority: int, *, by: str | None = None, why: str = "") -> None:
    """Higher goes first, from the next order on."""
    _set(ledger, job_id, Asked(What.PRIORITY, by, why, {"priority": priority}), priority=priority)
    log.info("job_priority", job=job_id, priority=priority)


def set_window(
    ledger: Sessions, job_id: str, window: str | None, at_end: str | None, *, by: str | None = None, why: str = ""
) -> None:
    """When work may go out (empty: always) and what becomes of running work when the window closes; None: as it is.

    Raises:
        PolicyError: the window is not understood.
    """
    if window:
        parse_window(window)
    values: dict[str, object] = {} if window is None else {"window": window or None}
    values |= {} if at_end is None else {"window_policy": Policy(at_end).value}
    _set(ledger, job_id, Asked(What.WINDOW, by, why, dict(values)), **values)
    log.info("job_window", job=job_id)


def cancel(ledger: Sessions, job_id: str, *, by: str | None = None, why: str = "") -> int:
    """End a job: items that have not ended are cancelled, what runs is stopped. Returns how many items. Done items stay."""
    _set(ledger, job_id, Asked(What.CANCELLED, by, why), cancelled=True)
    count = cancel_items(ledger, job_id)
    log.info("job_cancelled", job=job_id, items=count)
    return count


def cancel_items(ledger: Sessions, job_id: str) -> int:
    """Cancel every item of a job that has not ended; returns how many."""
    values = {"state": State.CANCELLED, "reason": "cancelled", "updated_at": now()}
    return _change_items(ledger, job_id, [state for state in State if state not in ENDS], values)


def retry(ledger: Sessions, job_id: str, *, quarantined: bool = False, by: str | None = None, why: str = "") -> int:
    """Start failed and cancelled items again from their sources (``quarantined``: those as well). Returns how many.

    A cancelled job is open again, and sources that could not be listed are listed again.
    """
    with ledger.begin() as session:
        job = session.get_one(Job, job_id, with_for_update=True)
        job.cancelled = False
        if job.listing == "failed":
            job.listing, job.problem = "listing", ""
        decided(session, What.RETRIED, by=by, job_id=job_id, why=why, quarantined=quarantined)
    states = [State.FAILED, State.CANCELLED, *([State.QUARANTINED] if quarantined else [])]
    count = _change_items(ledger, job_id, states, fresh())
    log.info("job_retried", job=job_id, items=count)
    return count


def fresh() -> dict[str, object]:
    """Columns of an item that begins anew from its source, for a bulk update."""
    empty = dict.fromkeys(("failure", "digest", "description", "plan", "split", "result"), null())
    return {
        "state": State.FOUND,
        "queue": queues.DESCRIBE,
        "reason": "",
        "attempts": 0,
        "not_before": now(),
        "updated_at": now(),
        "cause": null(),
        "decision": null(),
        "estimated_seconds": 0.0,
        "made_bytes": 0,
        **empty,
    }


@dataclass(frozen=True)
class Asked:
    """A decision that is carried out and written down at once."""

    what: What
    by: str | None
    why: str
    detail: dict[str, Any] = field(default_factory=dict)


def _set(ledger: Sessions, job_id: str, asked: Asked, **values: object) -> None:
    def work(session: Session) -> None:
        decided(session, asked.what, by=asked.by, job_id=job_id, why=asked.why, **asked.detail)
        session.execute(update(Job).where(Job.id == job_id).values(**values))

    in_transaction(ledger, work)


def _change_items(ledger: Sessions, job_id: str, states: Iterable[State], values: dict[str, object]) -> int:
    """Change all items of a job that are in ``states``, batch by batch."""
    legal = [state for state in states if values["state"] in TRANSITIONS[state]]

    def work(session: Session) -> int:
        # sorted by id, as every batch: two that change the same items do not wait for each other
        batch = select(Item.id).where(Item.job_id == job_id, Item.state.in_(legal)).order_by(Item.id).limit(BATCH)
        ids = session.scalars(batch.with_for_update(key_share=True)).all()
        note_all(session, ids, State(str(values["state"])))
        session.execute(update(Item).where(Item.id.in_(ids)).values(**values), execution_options=_NO_SYNC)
        return len(ids)

    total = 0
    while changed := in_transaction(ledger, work):
        total += changed
    return total


_NO_SYNC = {"synchronize_session": False}
