"""Jobs for lists and for their own page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.stages import ENDS, State
from orchestrator.eta import Pace, Span, remaining
from orchestrator.ingest.sources import shown
from orchestrator.ledger.schema import Attempt, Item, Job, Tally
from orchestrator.status import JobState, Progress, job_state
from orchestrator.web.queries.tallies import KEYS, SUMS, Total, Totals, total_of

JOBS = 25
"""Jobs on one page of the list."""


@dataclass(frozen=True)
class JobLine:
    """One job in a list."""

    job: Job
    state: JobState
    totals: Totals

    @property
    def title(self) -> str:
        """What people call it."""
        return self.job.name or f"Job {self.job.id[:8]}"

    @property
    def sources(self) -> list[str]:
        """Sources as people may see them."""
        return [shown(uri) for uri in self.job.sources]

    @property
    def profile(self) -> str:
        """Name of its profile."""
        return str(self.job.profile["name"])

    @property
    def set_aside(self) -> int:
        """Items that wait for a person."""
        counts = self.totals.counts
        return counts.get(State.QUARANTINED, 0) + counts.get(State.FAILED, 0)


@dataclass(frozen=True)
class Page:
    """Some jobs, and where the next ones begin; empty: there are no more."""

    lines: tuple[JobLine, ...]
    after: str


def line_of(job: Job, sums: Totals) -> JobLine:
    """A job with how it stands."""
    return JobLine(job, job_state(job, Progress(sums.counts, (), sums.bytes, sums.bytes_ended)), sums)


def jobs(session: Session, after: str = "") -> Page:
    """The jobs, the latest first, from the one that follows ``after`` (a job's id)."""
    statement = select(Job).order_by(Job.created_at.desc(), Job.id).limit(JOBS + 1)
    last = session.get(Job, after) if after else None
    if last is not None:
        same = (Job.created_at == last.created_at) & (Job.id > last.id)
        statement = statement.where((Job.created_at < last.created_at) | same)
    found = session.scalars(statement).all()
    sums = _totals_of(session, [job.id for job in found[:JOBS]])
    lines = tuple(line_of(job, sums[job.id]) for job in found[:JOBS])
    return Page(lines, lines[-1].job.id if len(found) > JOBS else "")


def _totals_of(session: Session, ids: Sequence[str]) -> dict[str, Totals]:
    found: dict[str, list[Total]] = defaultdict(list)
    statement = select(Tally.job_id, *KEYS, *SUMS).where(Tally.job_id.in_(ids)).group_by(Tally.job_id, *KEYS)
    for row in session.execute(statement):
        if (total := total_of(dict(row._mapping))) is not None:
            found[row.job_id].append(total)
    return {job_id: Totals(tuple(found[job_id])) for job_id in ids}


@dataclass(frozen=True)
class AtWork:
    """One order that a worker holds."""

    item_id: str
    name: str
    kind: str
    worker: str
    fraction: float | None


def at_work(session: Session, job_id: str = "", limit: int = 12) -> tuple[AtWork, ...]:
    """Orders at work, the oldest first; the window keeps them few."""
    statement = (
        select(Item.id, Item.name, Attempt.kind, Attempt.worker, Attempt.fraction)
        .join(Item, Item.id == Attempt.item_id)
        .where(Attempt.state == "running")
        .order_by(Attempt.sent_at)
        .limit(limit)
    )
    if job_id:
        statement = statement.where(Item.job_id == job_id)
    return tuple(AtWork(*row) for row in session.execute(statement))


def time_left(sums: Totals, slots: int, known: Pace | None) -> Span | None:
    """How long until every result of these items is made, should the farm do nothing else; None: not known.

    Items without a plan count with the mean of those that have one, by their bytes.
    """
    planned = sum(sums.queued_seconds().values())
    unplanned = sums.unplanned_bytes() * sums.seconds_a_byte()
    open_items = sum(count for state, count in sums.counts.items() if state not in ENDS)
    if open_items and planned + unplanned <= 0:
        return None  # nothing is planned yet, or the rest is on its way to its destinations
    longest = (planned + unplanned) / max(1, open_items)
    return remaining(planned + unplanned, longest, slots, known)
