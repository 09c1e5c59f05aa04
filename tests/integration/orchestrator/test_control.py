"""What a person asks for reaches the worker: over the ledger, the watcher's sweep and the real broker, without a renewal."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select
from support.core import add_item, job  # noqa: F401 fixtures
from support.server import redis_server

from common import queues
from common.farm import make_app
from common.leases import Leases, connect
from common.media import Description
from common.orders import DescribeOrder
from common.settings import Settings
from common.stages import State
from orchestrator import control
from orchestrator.broker import CeleryBroker
from orchestrator.ledger.database import Sessions, open_ledger
from orchestrator.ledger.schema import Attempt, Item
from orchestrator.watcher import Watcher
from workers.attempt import Attempt as Held
from workers.attempt import Keeper, perform

LEASE_SECONDS = 120.0
"""Renewed every 40 s: whoever waited for a renewal would fail these tests."""

SECONDS = 10.0


@pytest.fixture
def ledger(tmp_path: Path) -> Sessions:
    return open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")


@pytest.fixture
def url() -> Iterator[str]:
    with redis_server() as url:
        yield url


@pytest.fixture
def leases(url: str) -> Leases:
    return Leases(connect(url), ttl_seconds=LEASE_SECONDS)


@pytest.fixture
def broker(url: str, leases: Leases) -> CeleryBroker:
    return CeleryBroker(make_app(Settings(broker_url=url)), connect(url), leases)


@pytest.fixture
def watcher(ledger: Sessions, broker: CeleryBroker) -> Watcher:
    return Watcher(ledger, broker, grace_seconds=5.0, max_attempts=3)


class Work:
    """Goes on until its attempt is cancelled, as FFmpeg does."""

    def __init__(self) -> None:
        self.begun, self.stopped = threading.Event(), threading.Event()

    def __call__(self, order: object, held: Held) -> Description:
        self.begun.set()
        while not held.cancelled():
            threading.Event().wait(0.05)
        self.stopped.set()
        held.check()
        raise AssertionError("a cancelled attempt went on")


@contextmanager
def working(ledger: Sessions, leases: Leases, item: str) -> Iterator[Work]:
    """A worker holds the lease of the item's attempt while the block runs."""
    with ledger.begin() as session:
        session.get_one(Item, item).state = State.QUEUED
        session.add(Attempt(order_id="o", item_id=item, kind="transcode", queue="cpu", number=1, order={}))
    work = Work()
    order = DescribeOrder(order_id="o", item_id=item, attempt=1, source_key="sources/x")
    keeper = Keeper(leases, "w", ttl_seconds=LEASE_SECONDS)
    thread = threading.Thread(target=perform, args=(order, work, keeper))
    thread.start()
    assert work.begun.wait(SECONDS)
    yield work
    leases.revoke("o")
    thread.join(SECONDS)


def test_cancel_stops_the_worker_without_waiting_for_its_renewal(
    ledger: Sessions,
    url: str,
    leases: Leases,
    watcher: Watcher,
    add_item: Callable[..., str],  # noqa: F811
) -> None:
    item = add_item()
    with working(ledger, leases, item) as work:
        watcher.sweep()
        control.cancel(ledger, "job")
        watcher.sweep()
        assert work.stopped.wait(SECONDS)
    assert connect(url).llen(queues.ORCHESTRATOR) == 0
    with ledger() as session:
        assert session.scalars(select(Item.state)).one() is State.CANCELLED


def test_pause_leaves_the_worker_alone_and_pause_at_once_does_not(
    ledger: Sessions,
    leases: Leases,
    watcher: Watcher,
    add_item: Callable[..., str],  # noqa: F811
) -> None:
    item = add_item()
    with working(ledger, leases, item) as work:
        control.pause(ledger, "job")
        watcher.sweep()
        assert not work.stopped.wait(2.5)  # longer than a worker needs to notice
        control.pause(ledger, "job", stop_running=True)
        watcher.sweep()
        assert work.stopped.wait(SECONDS)
    with ledger() as session:
        kept = session.scalars(select(Item)).one()
        assert (kept.state, kept.attempts) == (State.PLANNED, 0)
