"""The orchestrator's parts on a real ledger, with a broker in memory that can lose things on demand: fixtures of its tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from common.leases import Lease
from common.media import Description, Kind, VideoStream
from common.orders import Done, Failure, OrderBase, TranscodeDone, Verdict, WorkResult
from common.recipes import ARCHIVE
from common.stages import State
from common.store.folder import FolderStore
from common.versions import WIRE_VERSION
from orchestrator.dispatcher import dispatch
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import Attempt, Item, Job, now
from orchestrator.recorder import Recorder
from orchestrator.watcher import Watcher

GRACE_SECONDS = 5.0


@dataclass
class MemoryBroker:
    """Implements orchestrator.broker.Broker; tests reach into its fields to lose, lease and answer."""

    offered: dict[str, int] = field(default_factory=lambda: {"describe": 2, "cpu": 2, "deliver": 2})
    sent: list[Any] = field(default_factory=list)
    queued: set[str] = field(default_factory=set)
    leases: dict[str, Lease] = field(default_factory=dict)
    revoked: set[str] = field(default_factory=set)
    oldest: int = WIRE_VERSION

    def send(self, order: OrderBase, kind: str, queue: str) -> None:
        self.sent.append(order)
        self.queued.add(order.order_id)

    def send_all(self, orders: Sequence[Any], queue: str) -> None:
        for order in orders:
            self.send(order, order.kind, queue)

    def waiting(self, queue: str) -> set[str]:
        return self.queued

    def look(self, order_ids: Iterable[str]) -> dict[str, Lease]:
        return {order_id: self.leases[order_id] for order_id in order_ids if order_id in self.leases}

    def revoke(self, order_id: str) -> None:
        self.revoked.add(order_id)

    def slots(self) -> dict[str, int]:
        return self.offered

    def reads(self, queue: str) -> int:
        return self.oldest

    def receive(self, handle: Callable[[Sequence[WorkResult]], None], *, seconds: float) -> int:
        return 0

    def take(self, order_id: str, worker: str = "w1") -> None:
        """A worker fetches an order and leases it."""
        self.queued.discard(order_id)
        self.leases[order_id] = Lease(worker=worker, fraction=0.0)

    def flush(self) -> None:
        """What FLUSHALL does."""
        self.queued.clear()
        self.leases.clear()


class Farm:
    """The orchestrator's parts, and shortcuts to act as a worker."""

    def __init__(self, ledger: Sessions, broker: Any, store: FolderStore) -> None:
        self.ledger, self.broker, self.store = ledger, broker, store
        self.recorder = Recorder(ledger, store, max_attempts=3)
        self.watcher = Watcher(ledger, broker, grace_seconds=GRACE_SECONDS, max_attempts=3)

    def dispatch(self) -> int:
        return dispatch(self.ledger, self.broker, self.store)

    def answer(self, order: Any, done: Done | None = None, failure: Failure | None = None) -> None:
        self.recorder.record(
            WorkResult(
                order_id=order.order_id, item_id=order.item_id, attempt=order.attempt, worker="w", seconds=1.0,
                done=done, failure=failure,
            )
        )  # fmt: skip

    def item(self, item_id: str) -> Item:
        with self.ledger.begin() as session:
            return session.get_one(Item, item_id)

    def age(self, order_id: str, seconds: float) -> None:
        """Make an attempt look as old as that."""
        with self.ledger.begin() as session:
            attempt = session.get_one(Attempt, order_id)
            attempt.sent_at = now() - timedelta(seconds=seconds)
            if attempt.seen_at:
                attempt.seen_at = now() - timedelta(seconds=seconds)


def made(passed: bool = True, misses: tuple[str, ...] = ()) -> TranscodeDone:
    return TranscodeDone(
        instance_key="results/aa/x/instance.dcm", instance_digest="d", instance_bytes=1, study_uid="1.2", series_uid="1.3",
        sop_instance_uid="1.4", sop_class_uid="1.5", transfer_syntax_uid="1.6", verdict=Verdict(passed=passed, misses=misses),
    )  # fmt: skip


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


@pytest.fixture
def farm(ledger: Sessions, broker: Any, store: FolderStore) -> Farm:
    return Farm(ledger, broker, store)
