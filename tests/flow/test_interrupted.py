"""Kill anything at any time, run the same command again: the rest is finished, nothing is made twice."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import datetime

import psutil
import pydicom
import pytest
from support.desk import Desk, family

from common.leases import connect

pytestmark = [pytest.mark.farm, pytest.mark.timeout(400)]

TAPES = 2


@pytest.fixture
def busy(desk: Desk) -> Desk:
    """Two captures that take some seconds each, and a quick clip."""
    for number in range(TAPES):
        desk.capture(f"tape{number}.mpg", seconds=5, seed=60 * number, size="720x576")
    desk.camera("clip.mp4")
    desk.mapping()
    return desk


def start(desk: Desk) -> subprocess.Popen[str]:
    return desk.start("--map", str(desk.folder / "map.csv"))


def wait_for(process: subprocess.Popen[str], ready: Callable[[], bool]) -> None:
    while process.poll() is None and not ready():
        time.sleep(0.05)
    assert process.poll() is None, f"ended too early: {process.communicate()}"


def wait_for_encoder(process: subprocess.Popen[str]) -> None:
    wait_for(process, lambda: bool(family(process)["ffmpeg"]))


def gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=10)
    return not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


def assert_complete(desk: Desk) -> None:
    run = desk.migrate("--map", str(desk.folder / "map.csv"))
    assert run.code == 0, run.stderr
    assert {item["state"] for item in run.items.values()} == {"done"}
    assert len(desk.results()) == TAPES + 1
    uids = [pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in desk.results()]
    assert len(set(uids)) == TAPES + 1
    assert desk.leftovers() == []


def test_ctrl_c_ends_with_130_leaves_no_process_and_the_next_run_goes_on(busy: Desk) -> None:
    process = start(busy)
    wait_for_encoder(process)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    run = busy.finish(process)
    assert run.code == 130
    assert "same command again" in run.stderr
    assert gone(children)
    assert_complete(busy)


def test_kill_9_of_the_command_leaves_no_process_and_the_next_run_goes_on(busy: Desk) -> None:
    process = start(busy)
    wait_for_encoder(process)
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    assert gone(children)
    assert_complete(busy)


@pytest.mark.parametrize("victim", ["worker", "broker", "ffmpeg"])
def test_kill_9_of_a_part_is_mended_while_the_command_goes_on(victim: str, busy: Desk) -> None:
    process = start(busy)
    wait_for_encoder(process)
    parts = family(process)
    for part in parts["worker" if victim == "worker" else victim]:
        part.kill()
    run = busy.finish(process)
    assert run.code == 0, run.stderr
    assert {item["state"] for item in run.items.values()} == {"done"}
    assert_complete(busy)


def test_a_broker_that_forgets_everything_costs_nothing(busy: Desk) -> None:
    process = start(busy)
    wait_for_encoder(process)
    (broker,) = family(process)["broker"]
    socket = next(w for w in " ".join(broker.cmdline()).replace(":/", " /").split() if w.endswith("broker.sock"))
    connect(f"redis+socket://{socket}?virtual_host=0").flushall()
    run = busy.finish(process)
    assert run.code == 0, run.stderr
    assert_complete(busy)


@pytest.mark.parametrize("victim", ["pool process", "worker"])
def test_the_order_of_a_killed_worker_is_given_out_again_within_30_seconds(victim: str, desk: Desk) -> None:
    desk.capture("tape.mpg", seconds=2)
    desk.mapping()
    process = desk.start("--map", str(desk.folder / "map.csv"))
    wait_for_encoder(process)
    encoder = family(process)["ffmpeg"][0]
    encoder.suspend()  # however fast this machine is
    holder = encoder.parent()
    assert holder is not None
    main = holder.parent()
    assert main is not None
    killed = datetime.now().astimezone()
    (holder if victim == "pool process" else main).kill()
    run = desk.finish(process)
    assert run.code == 0, run.stderr
    events = [json.loads(line) for line in (desk.state / "logs" / "orchestrator.jsonl").read_text().splitlines()]
    lost = next(event for event in events if event["event"] == "attempt_lost")
    again = next(
        e for e in events if e["event"] == "order_sent" and e["item"] == lost["item"] and e["time"] > lost["time"]
    )
    assert (datetime.fromisoformat(again["time"]) - killed).total_seconds() < 30
    assert gone([encoder])


def test_two_commands_on_one_state_folder_are_refused(busy: Desk) -> None:
    process = start(busy)
    wait_for_encoder(process)
    second = busy.migrate("--map", str(busy.folder / "map.csv"))
    assert second.code == 2
    assert "another cinefarm" in second.stderr
    process.kill()
    process.communicate()
