"""Workers and queues: who is there, what they offer, and what waits for them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from common import queues
from common.errors import UnknownName
from common.leases import NodeState, WorkerInfo
from orchestrator.api.access import Caller
from orchestrator.api.dependencies import CallerOf, FarmOf
from orchestrator.api.jobs import Why
from orchestrator.backlog import backlog_of, open_orders
from orchestrator.farm import Farm
from orchestrator.ledger.decisions import What, decided
from orchestrator.ledger.schema import QueueLimit

router = APIRouter(prefix="/api/v1", tags=["workers and queues"])

_WORKER: dict[str, Any] = {
    "worker": "cpu@node1",
    "state": "ready",
    "reason": "",
    "queues": ["cpu"],
    "slots": 4,
    "running": 3,
    "cpu_load": 0.9,
    "encoders": ["libx264", "libx265"],
    "decoders": [],
    "ffmpeg": "9.0",
    "host": "node1",
    "started_at": "2026-11-24T06:00:00+00:00",
    "taken_at": "2026-11-24T08:10:00+00:00",
    "reads": 2,
}


class WorkerAnswer(BaseModel):
    """One live worker, as it says of itself every three seconds."""

    model_config = ConfigDict(json_schema_extra={"examples": [_WORKER]})

    worker: str = Field(description="its name")
    state: NodeState
    reason: str = Field(description="why it is not ready")
    queues: list[str]
    slots: int = Field(description="orders at a time")
    running: int
    cpu_load: float = Field(description="share of all cores of its machine in use, 0 to 1")
    encoders: list[str]
    decoders: list[str]
    ffmpeg: str
    host: str
    started_at: datetime
    taken_at: datetime | None = Field(description="when it last took an order")
    reads: int = Field(description="newest version of orders that it reads (docs/upgrade.md)")

    @classmethod
    def of(cls, info: WorkerInfo) -> WorkerAnswer:
        """As it advertises itself."""
        return cls(
            worker=info.name,
            state=info.state,
            reason=info.reason,
            queues=list(info.queues),
            slots=info.slots,
            running=info.running,
            cpu_load=info.cpu_load,
            encoders=list(info.encoders),
            decoders=list(info.decoders),
            ffmpeg=info.ffmpeg,
            host=info.host,
            started_at=datetime.fromtimestamp(info.started_at, UTC),
            taken_at=datetime.fromtimestamp(info.taken_at, UTC) if info.taken_at else None,
            reads=info.reads,
        )


class QueueAnswer(BaseModel):
    """One queue."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "queue": "cpu",
                    "workers": 2,
                    "slots": 8,
                    "out": 16,
                    "running": 8,
                    "waiting": 1200,
                    "backlog_seconds": 36000.0,
                    "limit": None,
                }
            ]
        }
    )

    queue: str
    workers: int = Field(description="live ones that take its orders")
    slots: int = Field(description="orders at a time that they offer")
    out: int = Field(description="orders in the broker or at work")
    running: int = Field(description="orders at work")
    waiting: int = Field(description="items whose next order belongs here, those that are out included")
    backlog_seconds: float | None = Field(
        description="work on one slot, as planned; null: it is not estimated (descriptions, deliveries)"
    )
    limit: int | None = Field(description="orders that may be out at a time; null: as many as the slots allow")


@router.get("/workers", operation_id="listWorkers")
def workers(farm: FarmOf) -> list[WorkerAnswer]:
    """All live workers, by name."""
    return [WorkerAnswer.of(info) for info in farm.broker.workers()]


WorkerName = Annotated[str, Path(min_length=1, max_length=200, description="its name")]


@router.post("/workers/{worker}/drain", operation_id="drainWorker", status_code=202)
def drain(worker: WorkerName, farm: FarmOf, caller: CallerOf, asked: Why | None = None) -> WorkerAnswer:
    """Let a worker take nothing new, also after a restart; what it has it finishes. It hears of it within seconds."""
    return _held(worker, farm, caller, asked, held=True)


@router.post("/workers/{worker}/recall", operation_id="recallWorker", status_code=202)
def recall(worker: WorkerName, farm: FarmOf, caller: CallerOf, asked: Why | None = None) -> WorkerAnswer:
    """Let a drained worker take orders again."""
    return _held(worker, farm, caller, asked, held=False)


def _held(worker: str, farm: Farm, caller: Caller, asked: Why | None, *, held: bool) -> WorkerAnswer:
    found = next((info for info in farm.broker.workers() if info.name == worker), None)
    if found is None:
        raise UnknownName("no live worker is named so", hint="GET /api/v1/workers lists them.")
    with farm.ledger.begin() as session:
        decided(session, What.DRAINED, by=caller.name, why=asked.reason if asked else "", worker=worker, held=held)
    farm.broker.hold(worker, held=held)
    return WorkerAnswer.of(found)


QueueName = Annotated[str, Path(pattern=r"^(describe|cpu|deliver|gpu\.[a-z0-9]{1,20})$", description="its name")]


@router.get("/queues", operation_id="listQueues")
def queue_list(farm: FarmOf) -> list[QueueAnswer]:
    """All queues with what waits for them; an autoscaler reads `backlog_seconds` and `slots`."""
    return _queues(farm)


@router.get("/queues/{queue}", operation_id="getQueue")
def queue(queue: QueueName, farm: FarmOf) -> QueueAnswer:
    """One queue, also one that nobody serves and nothing waits for: what KEDA asks before there is a worker."""
    return next(found for found in _queues(farm, asked=queue) if found.queue == queue)


def _queues(farm: Farm, asked: str = "") -> list[QueueAnswer]:
    live = farm.broker.workers()
    with farm.reading() as session:
        out, running = open_orders(session)
        waiting, seconds = backlog_of(session)
        limits = {row.queue: row.concurrent for row in session.scalars(select(QueueLimit))}
    served = {queue for info in live for queue in info.queues}
    names = {*queues.WORK_QUEUES, *out, *waiting, *served, *filter(None, (asked,))}
    return [
        QueueAnswer(
            queue=name,
            workers=sum(name in info.queues for info in live),
            slots=sum(info.offered for info in live if name in info.queues),
            out=out[name],
            running=running[name],
            waiting=waiting[name],
            backlog_seconds=None if name in (queues.DESCRIBE, queues.DELIVER) else round(seconds[name], 1),
            limit=limits.get(name),
        )
        for name in sorted(names)
    ]
