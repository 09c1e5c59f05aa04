"""The first page: what the farm does, how fast, how long yet, what waits for a person."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import Response
from redis.exceptions import RedisError

from common import queues
from common.leases import WorkerInfo
from orchestrator.api.dependencies import FarmOf
from orchestrator.eta import Span, remaining
from orchestrator.farm import Farm
from orchestrator.web.queries.jobs import AtWork, JobLine, at_work, jobs, time_left
from orchestrator.web.queries.recent import Recent, recent
from orchestrator.web.queries.tallies import Totals, totals
from orchestrator.web.render import page

router = APIRouter()

SHOWN_JOBS = 6


@dataclass(frozen=True)
class Backlog:
    """What waits in one queue. ``seconds``: estimated work, None where nothing is estimated."""

    queue: str
    items: int
    seconds: float | None
    slots: int
    left: Span | None


@dataclass(frozen=True)
class Overview:
    """All that the page shows."""

    totals: Totals
    backlog: tuple[Backlog, ...]
    recent: Recent
    left: Span | None
    jobs: tuple[JobLine, ...]
    running: tuple[AtWork, ...]
    workers: tuple[WorkerInfo, ...]
    broker_answers: bool

    @property
    def slots(self) -> int:
        """Orders that could be at work at a time."""
        return sum(worker.offered for worker in self.workers)

    @property
    def busy(self) -> int:
        """Orders at work."""
        return sum(worker.running for worker in self.workers)


def live_workers(farm: Farm) -> tuple[tuple[WorkerInfo, ...], bool]:
    """The workers, and whether the broker answered."""
    try:
        return tuple(farm.broker.workers()), True
    except (RedisError, OSError):
        return (), False


def slots_of(workers: tuple[WorkerInfo, ...], queue: str) -> int:
    """Orders of a queue that may be at work at a time."""
    return sum(worker.offered for worker in workers if queue in worker.queues)


def encoding_slots(workers: tuple[WorkerInfo, ...]) -> int:
    """Slots of all workers that make results."""
    kinds = (queues.CPU, *queues.DEVICE_QUEUES)
    return sum(worker.offered for worker in workers if any(queue in worker.queues for queue in kinds))


def overview(farm: Farm) -> Overview:
    """Read ledger and broker."""
    workers, answers = live_workers(farm)
    with farm.reading() as session:
        sums, late = totals(session), recent(session)
        lines, running = jobs(session).lines[:SHOWN_JOBS], at_work(session)
    seconds, items = sums.queued_seconds(), sums.queued_items()
    backlog = []
    for queue in sorted({*seconds, *items}, key=lambda name: (name != queues.CPU, name)):
        estimated = seconds.get(queue) if queue != queues.DESCRIBE else None
        longest = (estimated or 0) / max(1, items.get(queue, 0))
        slots = slots_of(workers, queue)
        left = remaining(estimated, longest, slots, late.pace) if estimated else None
        backlog.append(Backlog(queue, items.get(queue, 0), estimated, slots, left))
    left = time_left(sums, encoding_slots(workers), late.pace)
    return Overview(sums, tuple(backlog), late, left, lines, running, workers, answers)


@router.get("/")
def index(request: Request, farm: FarmOf) -> Response:
    """The whole page."""
    return page(request, "overview.html.j2", view=overview(farm))


@router.get("/live")
def live(request: Request, farm: FarmOf) -> Response:
    """The part that changes by itself."""
    return page(request, "overview_live.html.j2", view=overview(farm))
