"""A worker that fails too often, or no longer takes orders, leaves the service by itself; a good one says what it is."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import imageio_ffmpeg
import pytest
from support.nodes import Plant, running_plant, wait

from common.farm import make_app
from common.leases import NodeState, WorkerInfo, advertise, hold
from common.orders import TranscodeOrder
from workers.probe_order import probe_queue

RELIEF = "relief@elsewhere:1"


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    with running_plant(tmp_path) as plant:
        yield plant


@pytest.fixture
def broken(plant: Plant) -> Path:
    """A flag: as long as this file exists, every FFmpeg of a worker fails."""
    return plant.folder / "broken"


@pytest.fixture
def fragile(plant: Plant, broken: Path) -> dict[str, str]:
    """The environment of a worker whose FFmpeg can be broken."""
    wrapper = plant.folder / "fragile-ffmpeg"
    real = imageio_ffmpeg.get_ffmpeg_exe()
    wrapper.write_text(
        f'#!/bin/sh\nif [ -e "{broken}" ]; then echo "the device has gone" >&2; exit 7; fi\nexec "{real}" "$@"\n'
    )
    wrapper.chmod(0o755)
    return {"IMAGEIO_FFMPEG_EXE": str(wrapper), "CINEFARM_BREAKER_PAUSE_SECONDS": "1"}


@pytest.fixture
def relief(plant: Plant) -> None:
    """Another worker that serves the same queue, as far as can be seen."""
    advertise(plant.redis, WorkerInfo(RELIEF, ("cpu",), 1), ttl_seconds=600)


def mine(plant: Plant) -> list[WorkerInfo]:
    return [worker for worker in plant.live() if worker.name != RELIEF]


def state(plant: Plant) -> NodeState | None:
    return next((worker.state for worker in mine(plant)), None)


def fail(plant: Plant, order: TranscodeOrder) -> None:
    plant.send(order)
    failure = plant.result(order.order_id).failure
    assert failure is not None
    assert failure.code == "ProgramFailed"


def test_a_worker_says_what_it_is_and_that_it_takes_orders(plant: Plant) -> None:
    started = time.time()
    worker = plant.start(CINEFARM_LIVENESS_SECONDS="6")
    info = wait(lambda: [one for one in plant.live() if one.taken_at >= started], "a probe order to be taken")[0]
    assert info.name.endswith(f":{worker.pid}")
    assert (info.queues, info.slots, info.state, info.offered) == (("cpu",), 1, NodeState.READY, 1)
    assert {"libx264", "libx265"} <= set(info.encoders)
    assert info.ffmpeg
    assert info.started_at >= started - 1
    assert 0.0 <= info.cpu_load <= 1.0


def test_a_probe_order_leaves_nothing_in_the_broker(plant: Plant) -> None:
    plant.start(CINEFARM_LIVENESS_SECONDS="6")
    wait(lambda: [one for one in plant.live() if one.taken_at], "a probe order to be taken")
    assert [key for key in plant.redis.keys("probe.*") if not plant.redis.ttl(key) > 0] == []
    bindings = [key for key in plant.redis.keys("_kombu.binding.*") if plant.redis.type(key) == "set"]
    assert bindings
    assert not [key for key in bindings if "probe" in str(plant.redis.smembers(key))]


def test_a_worker_that_fails_orders_in_a_row_leaves_tests_itself_and_comes_back(
    plant: Plant, fragile: dict[str, str], broken: Path, relief: None
) -> None:
    plant.start(**fragile)
    tape = plant.tape("short.avi", seconds=0.4, size="160x120")
    orders = [plant.order(f"o{number}", tape) for number in range(4)]
    broken.touch()
    for order in orders[:3]:
        fail(plant, order)
    (info,) = wait(lambda: [one for one in mine(plant) if one.state is NodeState.OUT_OF_SERVICE], "leaving")
    assert (info.offered, info.reason) == (0, "3 orders in a row failed by this node's fault")
    wait(lambda: [event for event in plant.events("node_tested") if not event["passed"]], "a self-test that fails")
    plant.send(orders[3])
    time.sleep(1)
    assert plant.broker.waiting("cpu") == {"o3"}
    broken.unlink()
    assert plant.result("o3").failure is None
    assert wait(lambda: state(plant) is NodeState.READY)


def test_a_worker_that_nobody_can_relieve_stays_in_service(plant: Plant, fragile: dict[str, str], broken: Path) -> None:
    plant.start(**fragile)
    tape = plant.tape("short.avi", seconds=0.4, size="160x120")
    broken.touch()
    for number in range(3):
        fail(plant, plant.order(f"o{number}", tape))
    wait(lambda: plant.events("node_kept_in_service"), "the decision")
    assert state(plant) is NodeState.READY


def stop_reading(plant: Plant) -> None:
    """The consumer of the only worker runs on, and reads its probe orders no more."""
    (info,) = wait(lambda: [one for one in plant.live() if one.taken_at], "a probe order to be taken")
    make_app(plant.settings).control.cancel_consumer(probe_queue(info.name).name)


def test_a_worker_that_takes_no_orders_says_so_lets_what_runs_finish_and_ends_to_be_started_again(plant: Plant) -> None:
    worker = plant.start("--queue", "cpu", "--slots", "2", CINEFARM_LIVENESS_SECONDS="3")
    plant.send(plant.order("o1", plant.tape(seconds=1, size="160x120")))
    encoder = plant.encoder(worker)
    encoder.suspend()
    stop_reading(plant)
    (info,) = wait(lambda: [one for one in plant.live() if one.offered == 0], "being stuck")
    assert info.reason == "no order was taken for 3 s while a slot was free"
    encoder.resume()
    assert plant.result("o1").failure is None
    assert worker.wait(20) == os.EX_TEMPFAIL
    assert plant.events("node_stuck")
    assert plant.live() == []


def test_a_busy_worker_is_not_stuck(plant: Plant) -> None:
    worker = plant.start(CINEFARM_LIVENESS_SECONDS="1.5")
    plant.send(plant.order("o1", plant.tape(seconds=1, size="160x120")))
    encoder = plant.encoder(worker)
    encoder.suspend()
    time.sleep(5)
    encoder.resume()
    assert plant.result("o1").failure is None
    assert state(plant) is NodeState.READY


def test_a_flushed_broker_does_not_make_a_worker_look_stuck(plant: Plant) -> None:
    worker = plant.start(CINEFARM_LIVENESS_SECONDS="3")
    for _ in range(8):
        plant.redis.flushall()
        time.sleep(0.5)
    wait(lambda: state(plant) is NodeState.READY)
    assert worker.poll() is None


def test_a_worker_that_was_paused_goes_on(plant: Plant) -> None:
    worker = plant.start(CINEFARM_LIVENESS_SECONDS="3")
    worker.send_signal(signal.SIGSTOP)
    time.sleep(5)
    resumed = time.time()
    worker.send_signal(signal.SIGCONT)
    wait(lambda: [one for one in plant.live() if one.taken_at > resumed], "a probe order to be taken")
    assert worker.poll() is None


def test_a_worker_that_an_operator_holds_takes_nothing_until_it_is_recalled(plant: Plant) -> None:
    plant.start()
    name = wait(lambda: mine(plant), "the worker")[0].name
    hold(plant.redis, name, held=True)
    wait(lambda: state(plant) is NodeState.DRAINING, "draining")
    hold(plant.redis, name, held=False)
    wait(lambda: state(plant) is NodeState.READY, "ready again")
