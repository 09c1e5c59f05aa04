"""The service beside its loop: sources of new jobs are listed once, what has come apart is mended, and ends are clean."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from support.core import made
from support.postgres import PostgresServer, postgres_server
from support.server import redis_server
from support.toy_worker import ToyWorker

from common.errors import EnvironmentFault, PolicyError
from common.recipes import ARCHIVE
from common.settings import Settings
from common.stages import State
from common.store.folder import FolderStore
from orchestrator import control
from orchestrator import service as module
from orchestrator.jobs import JobRequest, submit
from orchestrator.ledger.database import Sessions, open_ledger
from orchestrator.ledger.schema import Attempt, Chunk, Delivery, Item, Job
from orchestrator.listing import list_job, unlisted_jobs
from orchestrator.reconciler import reconcile, reopen_vanished
from orchestrator.service import service

KEY = f"results/aa/{'a' * 64}/x/instance.dcm"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Sessions]:
    sessions = open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    yield sessions
    sessions.kw["bind"].dispose()


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "objects")


@pytest.fixture
def job(ledger: Sessions, tmp_path: Path) -> str:
    """Three files wait to be listed."""
    (tmp_path / "sources").mkdir()
    for name in ("a.avi", "b.avi", "c.avi"):
        (tmp_path / "sources" / name).write_bytes(name.encode())
    request = JobRequest((str(tmp_path / "sources"),), (str(tmp_path / "out"),), ARCHIVE)
    return submit(ledger, request)


def add(ledger: Sessions, job: str, state: State, **fields: Any) -> str:
    with ledger.begin() as session:
        number = session.scalar(select(func.count()).select_from(Item)) or 0
        values = {"id": f"i{number}", "job_id": job, "number": number, "source": f"/s/{number}", "name": f"{number}"}
        session.add(Item(**values | {"size_bytes": 1, "mtime_ns": 0, "state": state} | fields))
    return f"i{number}"


def produced(store: FolderStore, *, stored: bool = True) -> dict[str, Any]:
    """Fields of an item whose instance lies, or lay, in the store."""
    if stored:
        store.put(KEY, b"x")
    result = made().model_copy(update={"instance_key": KEY, "instance_bytes": 1}).model_dump(mode="json")
    return {"result": result, "digest": "a" * 64}


def states(ledger: Sessions) -> list[State]:
    with ledger() as session:
        return list(session.scalars(select(Item.state).order_by(Item.number)))


def go(
    ledger: Sessions, store: FolderStore, job: str, tmp_path: Path, stopped: Callable[[], bool] = lambda: False
) -> str:
    """List a job; returns how its listing stands then."""
    list_job(ledger, store, job, Settings(state_dir=tmp_path / "state"), stopped=stopped)
    with ledger() as session:
        return session.get_one(Job, job).listing


def test_a_new_job_is_listed_and_then_no_more(ledger: Sessions, store: FolderStore, job: str, tmp_path: Path) -> None:
    assert unlisted_jobs(ledger) == [job]
    assert go(ledger, store, job, tmp_path) == "listed"
    assert states(ledger) == [State.FOUND] * 3
    assert unlisted_jobs(ledger) == []


def test_a_listing_that_was_cut_off_goes_on_and_tries_no_poison_again(
    ledger: Sessions, store: FolderStore, job: str, tmp_path: Path
) -> None:
    assert go(ledger, store, job, tmp_path) == "listed"
    with ledger.begin() as session:
        session.get_one(Job, job).listing = "listing"
        session.scalars(select(Item).where(Item.name == "a.avi")).one().state = State.FAILED
    assert go(ledger, store, job, tmp_path, stopped=lambda: True) == "listing"
    assert go(ledger, store, job, tmp_path) == "listed"
    assert states(ledger) == [State.FAILED, State.FOUND, State.FOUND]


def test_a_job_that_is_cancelled_while_it_is_listed_keeps_nothing_to_do(
    ledger: Sessions, store: FolderStore, job: str, tmp_path: Path
) -> None:
    asked = 0

    def cancel_at_the_end() -> bool:
        nonlocal asked
        asked += 1
        if asked == 2:  # after the first batch
            control.cancel(ledger, job)
        return False

    go(ledger, store, job, tmp_path, stopped=cancel_at_the_end)
    assert states(ledger) == [State.CANCELLED] * 3


def test_a_produced_instance_that_the_store_lost_is_made_again(ledger: Sessions, store: FolderStore, job: str) -> None:
    add(ledger, job, State.PRODUCED, **produced(store))
    reconcile(ledger, store)
    assert states(ledger) == [State.PRODUCED]
    store.delete(KEY)
    reconcile(ledger, store)
    assert states(ledger) == [State.PLANNED]


def test_an_instance_that_nobody_will_deliver_is_deleted_and_its_evidence_stays(
    ledger: Sessions, store: FolderStore, job: str
) -> None:
    add(ledger, job, State.CANCELLED, **produced(store))
    store.put(KEY.replace("instance.dcm", "evidence.json"), b"{}")
    reconcile(ledger, store)
    assert [key.rpartition("/")[2] for key in store.keys("results/")] == ["evidence.json"]


@pytest.mark.parametrize("state", [State.PRODUCED, State.RUNNING, State.PLANNED, State.FAILED])
def test_an_instance_that_an_item_may_still_need_is_kept(
    state: State, ledger: Sessions, store: FolderStore, job: str
) -> None:
    add(ledger, job, state, **produced(store))
    reconcile(ledger, store)
    assert store.size(KEY) == 1


def test_items_and_deliveries_without_an_open_attempt_go_back_to_where_it_begins(
    ledger: Sessions, store: FolderStore, job: str
) -> None:
    add(ledger, job, State.RUNNING)
    kept = add(ledger, job, State.QUEUED)
    delivering = add(ledger, job, State.PRODUCED, **produced(store))
    with ledger.begin() as session:
        session.add(Attempt(order_id="o", item_id=kept, kind="transcode", queue="cpu", number=1, order={}))
        session.add(Delivery(item_id=delivering, job_id=job, destination="/x", state="out"))
    reconcile(ledger, store)
    assert states(ledger) == [State.PLANNED, State.QUEUED, State.PRODUCED]
    with ledger() as session:
        assert session.scalars(select(Delivery.state)).one() == "pending"


def test_a_video_that_was_cut_is_left_alone_between_two_of_its_chunks(
    ledger: Sessions, store: FolderStore, job: str
) -> None:
    cut = add(ledger, job, State.RUNNING)
    with ledger.begin() as session:
        session.add(Chunk(item_id=cut, number=1, first=0, last=50))
    reconcile(ledger, store)
    assert states(ledger) == [State.RUNNING]


def test_the_rest_of_a_cancel_that_was_cut_off_is_done(ledger: Sessions, store: FolderStore, job: str) -> None:
    add(ledger, job, State.PLANNED)
    with ledger.begin() as session:
        session.get_one(Job, job).cancelled = True
    reconcile(ledger, store)
    assert states(ledger) == [State.CANCELLED]


def test_a_destination_that_this_host_does_not_see_makes_nothing_again(
    ledger: Sessions, store: FolderStore, job: str, tmp_path: Path
) -> None:
    item = add(ledger, job, State.DONE)
    with ledger.begin() as session:
        out = str(tmp_path / "out")
        session.add(Delivery(item_id=item, job_id=job, destination=out, state="delivered", location="a.dcm"))
    assert reopen_vanished(ledger, store, job, mounted_only=True) == 0
    (tmp_path / "out").mkdir()
    assert reopen_vanished(ledger, store, job, mounted_only=True) == 1


def test_one_service_on_an_sqlite_ledger(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path)
    with service(settings), pytest.raises(PolicyError, match="another cinefarm"), service(settings):
        pass


def test_a_service_whose_database_never_answers_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEDGER_PATIENCE_SECONDS", 0.0)
    url = f"postgresql+psycopg://x@/none?host={tmp_path}"
    with pytest.raises(EnvironmentFault, match="ledger does not answer"), service(Settings(ledger_url=url)):
        pass


def run_in_thread(settings: Settings, stop: threading.Event) -> threading.Thread:
    def work() -> None:
        with service(settings, stopped=stop.is_set) as running:
            running.run(stop.is_set)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


@pytest.mark.peer("postgres")
@pytest.mark.timeout(120)
def test_a_service_lists_and_finishes_a_job_while_broker_and_database_come_late(tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    for number in range(5):
        (sources / f"{number}.avi").write_bytes(b"x")
    (tmp_path / "map.csv").write_text("file,PatientID\n**/*,P\n", encoding="utf-8")
    store = FolderStore(tmp_path / "objects")
    store.put("mappings/m.csv", (tmp_path / "map.csv").read_bytes())
    stop = threading.Event()
    with postgres_server() as server, redis_server() as broker_url:
        url = server.new_schema()
        server.stop()
        settings = Settings(
            broker_url=broker_url, ledger_url=url, store_url=str(tmp_path / "objects"), state_dir=tmp_path
        )
        thread = run_in_thread(settings, stop)
        try:
            time.sleep(1)
            server.start()
            _finish(settings, server, store, sources, tmp_path)
        finally:
            stop.set()
            thread.join(20)
        assert not thread.is_alive()


def _finish(settings: Settings, server: PostgresServer, store: FolderStore, sources: Path, folder: Path) -> None:
    ledger = open_ledger(settings.ledger_url)
    request = JobRequest((str(sources),), (str(folder / "out"),), ARCHIVE, mapping_key="mappings/m.csv")
    with ToyWorker(settings, store) as worker:
        submit(ledger, request)
        end = time.monotonic() + 60
        while states(ledger) != [State.DONE] * 5:
            assert time.monotonic() < end, states(ledger)
            time.sleep(0.2)
    ledger.kw["bind"].dispose()
    assert set(worker.taken.values()) == {1}
