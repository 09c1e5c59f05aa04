"""A real ledger (SQLite in a temporary folder) and a broker in memory that can lose things on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from common.leases import Lease
from common.media import Description, Kind, VideoStream
from common.orders import OrderBase, WorkResult
from common.recipes import ARCHIVE
from common.stages import State
from common.store.folder import FolderStore
from orchestrator.ledger.database import Sessions, open_ledger
from orchestrator.ledger.schema import Item, Job


@dataclass
class MemoryBroker:
    """Implements orchestrator.broker.Broker; tests reach into its fields to lose, lease and answer."""

    offered: dict[str, int] = field(default_factory=lambda: {"describe": 2, "cpu": 2, "deliver": 2})
    sent: list[Any] = field(default_factory=list)
    queued: set[str] = field(default_factory=set)
    leases: dict[str, Lease] = field(default_factory=dict)
    revoked: set[str] = field(default_factory=set)

    def send(self, order: OrderBase, kind: str, queue: str) -> None:
        self.sent.append(order)
        self.queued.add(order.order_id)

    def waiting(self, queue: str) -> set[str]:
        return self.queued

    def look(self, order_ids: Iterable[str]) -> dict[str, Lease]:
        return {order_id: self.leases[order_id] for order_id in order_ids if order_id in self.leases}

    def revoke(self, order_id: str) -> None:
        self.revoked.add(order_id)

    def slots(self) -> dict[str, int]:
        return self.offered

    def receive(self, handle: Callable[[WorkResult], None], *, seconds: float) -> int:
        return 0

    def take(self, order_id: str, worker: str = "w1") -> None:
        """A worker fetches an order and leases it."""
        self.queued.discard(order_id)
        self.leases[order_id] = Lease(worker=worker, fraction=0.0)

    def flush(self) -> None:
        """What FLUSHALL does."""
        self.queued.clear()
        self.leases.clear()


@pytest.fixture
def ledger(tmp_path: Path) -> Sessions:
    return open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker()


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "objects")


@pytest.fixture
def job(ledger: Sessions, tmp_path: Path) -> str:
    with ledger.begin() as session:
        session.add(
            Job(
                id="job",
                key="k",
                sources=[str(tmp_path)],
                destinations=[str(tmp_path / "out")],
                profile=ARCHIVE.model_dump(mode="json"),
                audio="strip",
            )
        )
    return "job"


@pytest.fixture
def add_item(ledger: Sessions, job: str, tmp_path: Path) -> Callable[..., str]:
    """Makes an item with an existing source file; fields can be overridden."""
    made = 0

    def add(**fields: Any) -> str:
        nonlocal made
        made += 1
        path = tmp_path / f"clip{made}.mp4"
        path.write_bytes(b"x" * made)
        values: dict[str, Any] = {
            "id": f"item{made}",
            "job_id": job,
            "number": made,
            "source": str(path),
            "name": path.name,
            "size_bytes": made,
            "mtime_ns": 0,
            "state": State.FOUND,
            "header_key": "headers/h.json",
        }
        with ledger.begin() as session:
            session.add(Item(**(values | fields)))
        return f"item{made}"

    return add


@pytest.fixture
def description() -> Description:
    """A clip that must be encoded: MPEG-4 Part 2 in an AVI."""
    return Description(
        kind=Kind.VIDEO,
        digest="ab" * 32,
        size_bytes=1000,
        container="avi",
        video=VideoStream(
            codec="mpeg4",
            width=640,
            height=480,
            pixel_format="yuv420p",
            frame_rate="25",
            frame_count=50,
            duration_ms=2000,
        ),
    )
