"""Read the ledger for people: counts, what runs now, how far it is."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from common.stages import ENDS, State
from orchestrator.ledger.schema import Attempt, Item


@dataclass(frozen=True)
class Running:
    """One attempt that a worker holds."""

    name: str
    kind: str
    fraction: float | None
    worker: str


@dataclass(frozen=True)
class Progress:
    """A job at one moment. Bytes are source bytes."""

    counts: dict[State, int]
    running: tuple[Running, ...]
    bytes_total: int
    bytes_done: int

    @property
    def settled(self) -> bool:
        """Nothing more will happen by itself."""
        return all(state in ENDS for state, count in self.counts.items() if count)


def progress(session: Session, job_id: str) -> Progress:
    """How a job stands now."""
    statement = select(Item.state, func.count(), func.sum(Item.size_bytes)).where(Item.job_id == job_id)
    rows = list(session.execute(statement.group_by(Item.state)))
    running = session.execute(
        select(Item.name, Attempt.kind, Attempt.fraction, Attempt.worker)
        .join(Item, Item.id == Attempt.item_id)
        .where(Item.job_id == job_id, Attempt.state == "running")
        .order_by(Attempt.sent_at)
        .limit(20)
    )
    return Progress(
        counts={state: count for state, count, _ in rows},
        running=tuple(Running(*row) for row in running),
        bytes_total=sum(int(size or 0) for _, _, size in rows),
        bytes_done=sum(int(size or 0) for state, _, size in rows if state in ENDS),
    )
