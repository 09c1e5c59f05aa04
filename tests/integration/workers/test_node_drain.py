"""A worker that is told to stop finishes, or hands back at once; and no order is handed out twice."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from support.nodes import Plant, gone, running_plant, wait

from common.leases import NodeState
from common.recipes import ARCHIVE
from common.stages import State
from orchestrator.build import build_ledger, build_orchestrator, build_store
from orchestrator.ingest.mapping import Mapping
from orchestrator.jobs import JobRequest, ingest, submit
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import Attempt, Item


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    with running_plant(tmp_path) as plant:
        yield plant


def test_an_idle_worker_ends_at_once_and_withdraws_its_advertisement(plant: Plant) -> None:
    worker = plant.start()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0
    assert plant.live() == []


def test_what_can_be_finished_within_the_grace_is_finished(plant: Plant) -> None:
    worker = plant.start()
    plant.send(plant.order("o1", plant.tape(seconds=2, size="352x288")))
    plant.encoder(worker)
    worker.send_signal(signal.SIGTERM)
    assert plant.result("o1").failure is None
    assert worker.wait(20) == 0


def test_a_draining_worker_says_so_and_offers_no_slot(plant: Plant) -> None:
    worker = plant.start()
    plant.send(plant.order("o1", plant.tape()))
    plant.encoder(worker).suspend()
    worker.send_signal(signal.SIGTERM)
    (info,) = wait(lambda: [one for one in plant.live() if one.state is NodeState.DRAINING], "draining")
    assert (info.slots, info.offered, info.running) == (1, 0, 1)
    assert plant.broker.slots() == {"cpu": 0}


def test_an_encode_that_is_longer_than_the_grace_is_stopped_and_handed_back(plant: Plant) -> None:
    worker = plant.start(CINEFARM_DRAIN_SECONDS="0.5")
    plant.send(plant.order("o1", plant.tape()))
    encoder = plant.encoder(worker)
    encoder.suspend()  # however fast this machine is
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0
    assert gone(encoder)
    assert plant.leases.look(["o1"])["o1"].returned
    assert plant.no_result()
    assert [path for path in plant.settings.scratch.rglob("*") if path.is_file()] == []


def test_a_pool_process_that_does_not_let_go_is_killed_and_its_order_handed_back(plant: Plant) -> None:
    worker = plant.start(CINEFARM_DRAIN_SECONDS="0.5")
    plant.send(plant.order("o1", plant.tape()))
    encoder = plant.encoder(worker)
    holder = encoder.parent()
    assert holder is not None
    holder.suspend()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0
    assert gone(encoder, holder)
    assert plant.leases.look(["o1"])["o1"].returned
    assert [path for path in plant.settings.scratch.rglob("*") if path.is_file()] == []


def _item(ledger: Sessions) -> Item:
    with ledger() as session:
        return session.scalars(select(Item)).one()


def test_an_order_that_was_handed_back_is_done_by_another_worker_and_counts_as_no_failure(plant: Plant) -> None:
    ledger, store = build_ledger(plant.settings), build_store(plant.settings)
    tape = plant.tape(seconds=2, size="352x288")
    (plant.folder / "map.csv").write_text("file,PatientID,PatientName,StudyDate,Modality\n**/*,P-1,Doe^J,20240229,ES\n")
    mapping = Mapping.load(plant.folder / "map.csv")
    job = submit(ledger, JobRequest((str(tape),), (str(plant.folder / "out"),), ARCHIVE))
    ingest(ledger, store, job, (str(tape),), mapping, ())
    farm = build_orchestrator(plant.settings, ledger, store, plant.broker)
    queues = ("--queue", "describe", "--queue", "cpu", "--queue", "deliver", "--slots", "1")
    first = plant.start(*queues, CINEFARM_DRAIN_SECONDS="0.5")

    def turn(ready: object) -> None:
        assert callable(ready)
        wait(lambda: farm.tick(seconds=0.05) or ready())

    turn(lambda: plant.encoders(first))
    plant.encoder(first).suspend()
    plant.start(*queues)
    first.send_signal(signal.SIGTERM)
    turn(lambda: _item(ledger).state.is_end)
    item = _item(ledger)
    with ledger() as session:
        attempts = session.scalars(select(Attempt).where(Attempt.kind == "transcode").order_by(Attempt.sent_at)).all()
    assert first.wait(20) == 0
    assert item.state is State.DONE
    assert [(attempt.number, attempt.state) for attempt in attempts] == [(1, "lost"), (1, "done")]
    assert plant.events("order_handed_back")


def test_an_order_that_runs_longer_than_the_visibility_timeout_is_not_handed_out_again(plant: Plant) -> None:
    plant.settings = plant.settings.model_copy(update={"visibility_seconds": 2.0})
    first = plant.start()
    plant.start()
    plant.send(plant.order("o1", plant.tape(seconds=1, size="352x288")))
    encoder = wait(lambda: plant.encoders(first) or plant.encoders(plant.workers[1]), "an encode")[0]
    encoder.suspend()
    time.sleep(14)  # kombu looks for messages to restore every ten seconds
    encoder.resume()
    assert plant.result("o1").failure is None
    assert len(plant.events("order_taken")) == 1
    assert plant.events("order_dropped") == []
