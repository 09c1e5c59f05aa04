"""Read the ledger for people: counts, what runs now, how far it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from common.stages import ENDS, State
from orchestrator.ledger.schema import Attempt, Item, Job, Tally


@dataclass(frozen=True)
class Running:
    """One attempt that a worker holds."""

    name: str
    kind: str
    fraction: float | None
    worker: str


@dataclass(frozen=True)
class Progress:
    """A job at one moment. Bytes are source bytes, work is in seconds that the plans estimate: probes of a search count."""

    counts: dict[State, int]
    running: tuple[Running, ...]
    bytes_total: int
    bytes_done: int
    work_total: float = 0.0  # 0: not known
    work_done: float = 0.0  # what is done of running attempts included

    @property
    def planned(self) -> bool:
        """The work of every item is known."""
        return self.work_total > 0 and not any(self.counts.get(state) for state in UNPLANNED)

    @property
    def settled(self) -> bool:
        """Nothing more will happen by itself."""
        return all(state in ENDS for state, count in self.counts.items() if count)


UNPLANNED = (State.FOUND, State.DESCRIBED)
UNMADE = (*UNPLANNED, State.PLANNED, State.QUEUED, State.RUNNING)
"""States before the instance is made: the work that plans estimate lies before the others."""


class JobState(StrEnum):
    """How a whole job stands, in the order in which it is judged."""

    CANCELLED = "cancelled"
    REFUSED = "refused"  # its sources could not be listed, or its mapping not be read
    PAUSED = "paused"
    LISTING = "listing"
    WORKING = "working"
    ENDED = "ended"  # every item has; some may have failed


def job_state(job: Job, seen: Progress) -> JobState:
    """The state of a job from its row and its items."""
    if job.cancelled:
        return JobState.CANCELLED
    if job.listing == "failed":
        return JobState.REFUSED
    if job.listing == "listed" and seen.settled:
        return JobState.ENDED
    if job.paused:
        return JobState.PAUSED
    return JobState.LISTING if job.listing == "listing" else JobState.WORKING


def progress(session: Session, job_id: str) -> Progress:
    """How a job stands now. The items are counted by triggers (Tally), so that a watcher may ask twice a second."""
    sums = (func.sum(Tally.items), func.sum(Tally.bytes), func.sum(Tally.seconds))
    statement = select(Tally.state, *sums).where(Tally.job_id == job_id)
    rows = [row for row in session.execute(statement.group_by(Tally.state)) if row[1]]
    running = session.execute(
        select(Item.name, Attempt.kind, Attempt.fraction, Attempt.worker, Item.estimated_seconds)
        .join(Item, Item.id == Attempt.item_id)
        .where(Item.job_id == job_id, Attempt.state == "running")
        .order_by(Attempt.sent_at)
        .limit(20)
    ).all()
    under_way = sum(seconds * (part or 0.0) for _, kind, part, _, seconds in running if kind == "transcode")
    return Progress(
        counts={state: int(count) for state, count, _, _ in rows},
        running=tuple(Running(*row[:4]) for row in running),
        bytes_total=sum(int(size or 0) for _, _, size, _ in rows),
        bytes_done=sum(int(size or 0) for state, _, size, _ in rows if state in ENDS),
        work_total=sum(float(seconds or 0) for _, _, _, seconds in rows),
        work_done=under_way + sum(float(seconds or 0) for state, _, _, seconds in rows if state not in UNMADE),
    )
