"""Two orchestrators on one PostgreSQL and one broker: every item once, windows that hold, one leader."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from support.core import Farm, MemoryBroker, made
from support.postgres import PostgresServer
from support.server import redis_server
from support.toy_worker import ToyWorker

from common.orders import DeliverDone, DescribeDone
from common.recipes import ARCHIVE
from common.settings import Settings
from common.stages import State
from common.store.folder import FolderStore
from orchestrator import recorder
from orchestrator.build import build_broker, build_orchestrator
from orchestrator.dispatcher import OPEN
from orchestrator.ledger.database import Sessions, open_ledger
from orchestrator.ledger.locks import Leadership
from orchestrator.ledger.schema import Attempt, Delivery, Item, Job
from orchestrator.window import PER_SLOT

pytestmark = [pytest.mark.peer("postgres"), pytest.mark.timeout(120)]

ITEMS = 60


def fill(ledger: Sessions, folder: Path, *, items: int = ITEMS, **fields: Any) -> None:
    with ledger.begin() as session:
        profile = ARCHIVE.model_dump(mode="json")
        destinations = [str(folder / "a"), str(folder / "b")]
        session.add(
            Job(id="job", key="k", sources=[], destinations=destinations, profile=profile, audio="strip", **fields)
        )
        session.flush()
        for number in range(items):
            session.add(
                Item(
                    id=f"item{number:03}", job_id="job", number=number, source=str(folder / str(number)), name=str(number),
                    size_bytes=1, mtime_ns=0, header_key="headers/h.json",
                )
            )  # fmt: skip


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.new_schema()


@pytest.fixture
def ledger(url: str) -> Iterator[Sessions]:
    sessions = open_ledger(url)
    yield sessions
    sessions.kw["bind"].dispose()


def both(first: Callable[[], Any], second: Callable[[], Any]) -> None:
    """Run both at the same moment, in two threads."""
    barrier = threading.Barrier(2)

    def at_once(work: Callable[[], Any]) -> Any:
        barrier.wait()
        return work()

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(at_once, first), pool.submit(at_once, second)]:
            future.result()


def farms(ledger: Sessions, folder: Path) -> tuple[Farm, Farm]:
    store = FolderStore(folder / "objects")
    return Farm(ledger, MemoryBroker(), store), Farm(ledger, MemoryBroker(), store)


def test_two_dispatchers_fill_a_window_once(ledger: Sessions, tmp_path: Path) -> None:
    fill(ledger, tmp_path)
    first, second = farms(ledger, tmp_path)
    for offered in range(1, 15):
        for farm in (first, second):
            farm.broker.offered = {"describe": offered}
        both(first.dispatch, second.dispatch)
        with ledger() as session:
            is_open = Attempt.state.in_(OPEN)
            assert session.scalar(select(func.count()).where(is_open)) == PER_SLOT * offered
    sent = [order.item_id for farm in (first, second) for order in farm.broker.sent]
    assert len(sent) == len(set(sent))


def test_two_deliveries_that_are_recorded_at_once_settle_their_item(
    ledger: Sessions, tmp_path: Path, description: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(ledger, tmp_path, items=1)
    first, second = farms(ledger, tmp_path)
    for done in (DescribeDone(description=description), made()):
        first.dispatch()
        first.answer(first.broker.sent[-1], done)
    first.dispatch()
    one, other = first.broker.sent[-2:]
    meeting, read = threading.Barrier(2), recorder._deliveries

    def read_together(session: Session, item: Item) -> list[Delivery]:
        # where nothing keeps them apart, both have written their own delivery and read before either commits
        with suppress(threading.BrokenBarrierError):
            meeting.wait(1.0)
        return read(session, item)

    monkeypatch.setattr(recorder, "_deliveries", read_together)
    done = DeliverDone(location="x", proof="sha256")
    both(lambda: first.answer(one, done), lambda: second.answer(other, done))
    with ledger() as session:
        assert session.scalars(select(Item.state)).one() is State.DONE


def test_of_two_copies_that_are_described_at_once_one_goes_on(
    ledger: Sessions, tmp_path: Path, description: Any
) -> None:
    fill(ledger, tmp_path, items=16)
    first, second = farms(ledger, tmp_path)
    first.broker.offered = {"describe": 100}
    first.dispatch()
    orders = list(first.broker.sent)
    for number, (one, other) in enumerate(zip(orders[::2], orders[1::2], strict=True)):
        same = DescribeDone(description=description.model_copy(update={"digest": f"{number:064}"}))
        both(lambda o=one, d=same: first.answer(o, d), lambda o=other, d=same: second.answer(o, d))
    with ledger() as session:
        states = dict(session.execute(select(Item.state, func.count()).group_by(Item.state)).all())
    assert states == {State.PLANNED: 8, State.SKIPPED: 8}


def test_one_replica_leads_and_the_other_takes_over_when_it_is_gone(ledger: Sessions) -> None:
    first, second = Leadership(ledger.kw["bind"]), Leadership(ledger.kw["bind"])
    assert [first.hold(), second.hold(), first.hold()] == [True, False, True]
    first.release()
    assert [second.hold(), first.hold()] == [True, False]
    second.release()


@contextmanager
def replica(settings: Settings, store: FolderStore) -> Iterator[None]:
    """An orchestrator in a thread, with connections of its own."""
    ledger = open_ledger(settings.ledger_url)
    stop = threading.Event()
    leadership = Leadership(ledger.kw["bind"])
    with build_broker(settings) as broker:
        orchestrator = build_orchestrator(settings, ledger, store, broker, leadership)
        thread = threading.Thread(target=orchestrator.run, args=(stop.is_set,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            leadership.release()
            ledger.kw["bind"].dispose()


def all_done(ledger: Sessions) -> bool:
    with ledger() as session:
        return set(session.scalars(select(Item.state))) == {State.DONE}


def wait(ready: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, "waited for too long"
        time.sleep(0.1)


def test_two_orchestrators_do_every_item_exactly_once(ledger: Sessions, url: str, tmp_path: Path) -> None:
    fill(ledger, tmp_path)
    store = FolderStore(tmp_path / "objects")
    with redis_server() as broker_url:
        settings = Settings(broker_url=broker_url, ledger_url=url, state_dir=tmp_path)
        with ToyWorker(settings, store) as worker, replica(settings, store), replica(settings, store):
            wait(lambda: all_done(ledger))
    assert set(worker.taken.values()) == {1, 2}
    assert {kind for (kind, _), count in worker.taken.items() if count == 2} == {"deliver"}  # two destinations
    assert len(worker.taken) == 3 * ITEMS
    with ledger() as session:
        tries = select(func.count()).where(Attempt.kind == "deliver").group_by(Attempt.delivery_id)
        assert set(session.scalars(tries)) == {1}
        assert session.scalar(select(func.count()).select_from(Delivery)) == 2 * ITEMS


def test_a_database_that_restarts_in_the_middle_costs_nothing(
    ledger: Sessions,
    url: str,
    postgres: PostgresServer,
    tmp_path: Path,
) -> None:
    fill(ledger, tmp_path, items=30)
    store = FolderStore(tmp_path / "objects")

    def some_done() -> bool:
        with ledger() as session:
            return (session.scalar(select(func.count()).where(Item.state == State.DONE)) or 0) >= 3

    with redis_server() as broker_url:
        settings = Settings(broker_url=broker_url, ledger_url=url, state_dir=tmp_path)
        with ToyWorker(settings, store, slots=1) as worker, replica(settings, store), replica(settings, store):
            wait(some_done)
            postgres.restart()
            wait(lambda: all_done(ledger))
    assert set(worker.taken.values()) == {1, 2}
    with ledger() as session:
        assert session.scalar(select(func.count()).select_from(Delivery)) == 60


def test_replicas_that_start_together_migrate_once(url: str) -> None:
    both(lambda: open_ledger(url), lambda: open_ledger(url))
    with open_ledger(url)() as session:
        assert session.scalar(select(func.count()).select_from(Job)) == 0


def test_processes_that_open_a_new_sqlite_ledger_together_all_can(tmp_path: Path) -> None:
    script = "import sys; from orchestrator.ledger.database import open_ledger; open_ledger(sys.argv[1])"
    argv = [sys.executable, "-c", script, f"sqlite:///{tmp_path / 'ledger.sqlite'}"]
    processes = [subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) for _ in range(6)]
    assert [process.communicate()[1] for process in processes] == [""] * 6
