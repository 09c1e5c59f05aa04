"""How jobs stand, for whoever shows them: one read of the tallies for many jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from common.stages import ENDS, State
from orchestrator.ledger.schema import Attempt, Item, Job, Tally, now
from orchestrator.limits import Doors, Gate
from orchestrator.status import JobState, Progress, job_state


@dataclass(frozen=True)
class JobView:
    """One job as it is shown; of many at once, ``seen`` names nothing that runs."""

    job: Job
    seen: Progress
    state: JobState
    running: int
    waits: tuple[str, ...] = ()  # why nothing new goes out now


def views(session: Session, jobs: Sequence[Job]) -> list[JobView]:
    """The jobs as they stand now."""
    counted, running = _counted(session, jobs), _running(session)
    doors = Doors(session, Gate(now())) if jobs else None
    shown = []
    for job in jobs:
        seen = counted[job.id]
        state = job_state(job, seen)
        at_work = doors is not None and state in (JobState.LISTING, JobState.WORKING)
        shown.append(JobView(job, seen, state, running[job.id], doors.waits(job) if doors and at_work else ()))
    return shown


def _counted(session: Session, jobs: Sequence[Job]) -> dict[str, Progress]:
    wanted = select(Tally.job_id, Tally.state, func.sum(Tally.items), func.sum(Tally.bytes))
    wanted = wanted.where(Tally.job_id.in_([job.id for job in jobs])).group_by(Tally.job_id, Tally.state)
    found: dict[str, list[tuple[State, int, int]]] = {job.id: [] for job in jobs}
    for job_id, state, items, size in session.execute(wanted):
        if items:
            found[job_id].append((state, int(items), int(size or 0)))
    return {job_id: _progress(rows) for job_id, rows in found.items()}


def _progress(rows: Sequence[tuple[State, int, int]]) -> Progress:
    order = list(State)
    return Progress(
        counts={state: items for state, items, _ in sorted(rows, key=lambda row: order.index(row[0]))},
        running=(),
        bytes_total=sum(size for _, _, size in rows),
        bytes_done=sum(size for state, _, size in rows if state in ENDS),
    )


def _running(session: Session) -> Counter[str]:
    """Attempts at work, by job: as many as there are slots."""
    wanted = select(Item.job_id, func.count()).join(Attempt, Attempt.item_id == Item.id)
    rows = session.execute(wanted.where(Attempt.state == "running").group_by(Item.job_id))
    return Counter({job_id: count for job_id, count in rows})  # noqa: C416 rows are no pairs to mypy
