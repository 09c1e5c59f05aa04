"""Real worker processes on a real broker and a folder store; the test plays the orchestrator."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.desk import ffmpeg
from support.server import redis_server

from common.farm import make_app
from common.leases import Leases, WorkerInfo, connect, live_workers
from common.orders import TranscodeOrder, WorkResult
from common.recipes import ARCHIVE
from common.settings import Settings
from common.store.folder import FolderStore
from orchestrator.broker import CeleryBroker
from orchestrator.planner import plan
from workers.describe import describe_sandboxed

HEADER = {
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]},
    "00100020": {"vr": "LO", "Value": ["P-1"]},
    "00080060": {"vr": "CS", "Value": ["ES"]},
}


def wait(ready: Callable[[], Any], what: str = "it", *, seconds: float = 60.0) -> Any:
    """Wait until ``ready`` gives something true, and return it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := ready():
            return found
        time.sleep(0.05)
    pytest.fail(f"waited too long for {what}")


@dataclass
class Plant:
    """A broker, a store, and the workers that a test starts on them."""

    folder: Path
    url: str
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.settings = Settings(
            broker_url=self.url, state_dir=self.folder / "state", store_url=str(self.folder / "store"), lease_seconds=3
        )
        self.redis = connect(self.url)
        self.leases = Leases(self.redis, ttl_seconds=3)
        self.store = FolderStore(self.folder / "store")
        self.store.put("headers/h.json", json.dumps(HEADER).encode())
        self.broker = CeleryBroker(make_app(self.settings), self.redis, self.leases)
        self.results: list[WorkResult] = []

    @property
    def log(self) -> Path:
        return self.folder / "worker.jsonl"

    def start(self, *flags: str, ready: bool = True, **environment: str) -> subprocess.Popen[bytes]:
        """A worker for the cpu queue with one slot unless ``flags`` say else; waits until it advertises itself."""
        before = {worker.name for worker in self.live()}
        mine = {f"CINEFARM_{name.upper()}": str(value) for name, value in self.settings.model_dump().items() if value}
        argv = [sys.executable, "-m", "workers", "serve", *(flags or ("--queue", "cpu", "--slots", "1"))]
        with (self.folder / "worker.out").open("ab") as output:
            process = subprocess.Popen(
                [*argv, "--log-file", str(self.log)],
                env=os.environ | mine | environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.workers.append(process)
        if ready:
            wait(lambda: {worker.name for worker in self.live()} - before, "a worker")
        return process

    def live(self) -> list[WorkerInfo]:
        return live_workers(self.redis)

    def tape(self, name: str = "tape.avi", *, seconds: float = 8.0, size: str = "640x480") -> Path:
        """MPEG-4 ASP in AVI: has to be encoded, for about as long as it lasts."""
        path = self.folder / name
        ffmpeg("-f", "lavfi", "-i", f"testsrc2=s={size}:r=25:d={seconds}", "-c:v", "mpeg4", "-q:v", "4", str(path))
        return path

    def order(self, order_id: str, source: Path, *, item: str = "") -> TranscodeOrder:
        item = item or order_id
        description = describe_sandboxed(source, source.suffix, self.settings)
        self.store.adopt(f"sources/{item}", source)
        return TranscodeOrder(
            order_id=order_id,
            item_id=item,
            attempt=1,
            source_key=f"sources/{item}",
            description=description,
            plan=plan(description, ARCHIVE, modality="ES"),
            header_key="headers/h.json",
            output_prefix=f"results/{item}",
            sop_instance_uid="2.25.4711",
        )

    def send(self, order: TranscodeOrder) -> None:
        self.broker.send(order, order.kind, "cpu")

    def result(self, order_id: str) -> WorkResult:
        """Wait for an order's answer."""

        def arrived() -> list[WorkResult]:
            self.broker.receive(self.results.extend, seconds=0.05)
            return [result for result in self.results if result.order_id == order_id]

        return wait(arrived, f"the result of {order_id}")[0]

    def no_result(self) -> bool:
        self.broker.receive(self.results.extend, seconds=0.3)
        return not self.results

    def encoder(self, worker: subprocess.Popen[bytes]) -> psutil.Process:
        """Wait for the FFmpeg that encodes for a worker."""
        return wait(lambda: self.encoders(worker), "an encode")[0]

    def encoders(self, worker: subprocess.Popen[bytes]) -> list[psutil.Process]:
        """FFmpeg processes below a worker's pool, the self-test's not among them."""
        found = []
        for child in psutil.Process(worker.pid).children(recursive=True):
            try:
                words = child.cmdline()
                if words and "ffmpeg" in words[0] and str(self.folder) in " ".join(words):
                    found.append(child)
            except psutil.Error:
                continue
        return found

    def events(self, name: str) -> list[dict[str, Any]]:
        """Log events of all workers."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [event for event in map(json.loads, lines) if event["event"] == name]

    def words(self) -> str:
        """What the workers wrote for the operator."""
        return (self.folder / "worker.out").read_text()


@contextmanager
def running_plant(folder: Path) -> Iterator[Plant]:
    """A plant; everything it started is gone at the end of the block."""
    with redis_server() as url:
        plant = Plant(folder, url)
        try:
            yield plant
        finally:
            plant.broker.__exit__(None, None, None)
            for worker in plant.workers:
                worker.kill()
                worker.wait()


def gone(*processes: psutil.Process) -> bool:
    """True when all of them have ended within ten seconds."""
    _, alive = psutil.wait_procs(processes, timeout=10)
    return not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
