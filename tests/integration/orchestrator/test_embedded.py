"""The embedded farm as processes: it starts, mends itself and leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from common.errors import EnvironmentFault, PolicyError
from common.leases import connect, live_workers
from common.settings import Settings
from orchestrator.embedded import Child, EmbeddedFarm, state_lock

pytestmark = pytest.mark.farm


def wait(ready: Callable[[], bool]) -> None:
    for _ in range(600):
        if ready():
            return
        time.sleep(0.05)
    pytest.fail("waited for too long")


def workers(farm: EmbeddedFarm) -> set[str]:
    return {name for worker in live_workers(connect(farm.settings.broker_url)) for name in worker.queues}


def test_the_farm_starts_all_parts_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with EmbeddedFarm(Settings(state_dir=tmp_path), cpu_slots=1) as farm:
        wait(lambda: workers(farm) == {"cpu", "describe", "deliver"})
        processes = [psutil.Process(pid) for pid in farm.pids().values()]
        processes += [child for process in processes for child in process.children(recursive=True)]
    _, alive = psutil.wait_procs(processes, timeout=10)
    assert alive == []


def test_the_broker_listens_on_no_network_port(tmp_path: Path) -> None:
    with EmbeddedFarm(Settings(state_dir=tmp_path), cpu_slots=1) as farm:
        assert psutil.Process(farm.pids()["broker"]).net_connections("inet") == []


def test_a_part_that_died_is_started_again(tmp_path: Path) -> None:
    with EmbeddedFarm(Settings(state_dir=tmp_path), cpu_slots=1) as farm:
        wait(lambda: "cpu" in workers(farm))
        before = farm.pids()
        for pid in before.values():
            psutil.Process(pid).kill()
        wait(lambda: not psutil.pid_exists(before["broker"]) or (farm.keep_alive() is None and farm.pids() != before))
        wait(lambda: farm.keep_alive() is None and "cpu" in workers(farm))
        assert set(farm.pids().values()).isdisjoint(before.values())


def test_a_part_that_gives_up_again_and_again_ends_the_wait_with_its_name(tmp_path: Path) -> None:
    child = Child("worker-cpu", ["false"], {}, tmp_path / "worker-cpu.log")

    def live() -> None:
        while True:
            child.start()
            wait(lambda: not child.alive())
            child.check_viable()

    with pytest.raises(EnvironmentFault, match="worker-cpu ended 5 times in a row"):
        live()


def test_a_part_that_is_killed_again_and_again_is_started_again(tmp_path: Path) -> None:
    child = Child("worker-cpu", ["sleep", "60"], {"PATH": "/usr/bin:/bin"}, tmp_path / "worker-cpu.log")
    for _ in range(8):
        child.start()
        child.stop()
        child.check_viable()


def test_every_part_dies_with_the_process_that_started_the_farm(tmp_path: Path) -> None:
    script = (
        "import sys, time, pathlib\n"
        "from common.settings import Settings\n"
        "from orchestrator.embedded import EmbeddedFarm\n"
        f"with EmbeddedFarm(Settings(state_dir=pathlib.Path({str(tmp_path)!r})), cpu_slots=1) as farm:\n"
        "    print(*farm.pids().values(), flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        parts = [psutil.Process(int(pid)) for pid in process.stdout.readline().split()]
        process.kill()
    _, alive = psutil.wait_procs(parts, timeout=10)
    assert [part for part in alive if part.status() != psutil.STATUS_ZOMBIE] == []


def test_one_farm_for_a_state_folder(tmp_path: Path) -> None:
    with state_lock(tmp_path), pytest.raises(PolicyError, match="another cinefarm"), state_lock(tmp_path):
        pass
