"""What waits for each queue: asked by the API, Prometheus and the autoscaler. Sums of tallies and of open orders, never of items."""

from __future__ import annotations

from collections import Counter, defaultdict

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from common import queues
from common.stages import State
from orchestrator.ledger.schema import Attempt, Job, Tally

_WAITING = (State.FOUND, State.DESCRIBED, State.PLANNED, State.QUEUED, State.RUNNING, State.PRODUCED)


def open_orders(session: Session) -> tuple[Counter[str], Counter[str]]:
    """Open orders by queue: all, and those at work. There are as many as the windows hold."""
    wanted = select(Attempt.queue, Attempt.state, func.count()).where(Attempt.state.in_(("queued", "running")))
    out, running = Counter[str](), Counter[str]()
    for queue, state, count in session.execute(wanted.group_by(Attempt.queue, Attempt.state)):
        out[queue] += count
        running[queue] += count if state == "running" else 0
    return out, running


def backlog_of(session: Session) -> tuple[Counter[str], defaultdict[str, float]]:
    """Items that wait, and their planned seconds, by queue; a cancelled job's and a paused one's wait for nobody."""
    at_work = select(Job.id).where(Job.cancelled.is_(False), Job.paused.is_(False))
    wanted = select(Tally.state, Tally.queue, func.sum(Tally.items), func.sum(Tally.seconds))
    wanted = wanted.where(Tally.state.in_(_WAITING), Tally.job_id.in_(at_work))
    items, seconds = Counter[str](), defaultdict[str, float](float)
    for state, queue, count, planned in session.execute(wanted.group_by(Tally.state, Tally.queue)):
        name = queues.DELIVER if state is State.PRODUCED else queue
        items[name] += int(count or 0)
        seconds[name] += 0 if state is State.PRODUCED else (planned or 0.0)
    return items, seconds
