"""A farm of separate services, as an operator runs it: a broker, a ledger, a store, ``cinefarm serve`` and workers."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from support.desk import Desk, Run

CINEFARM = str(Path(sys.executable).with_name("cinefarm"))


@dataclass
class Office:
    """Starts services and runs commands against them; ``close`` stops what still runs."""

    desk: Desk
    broker_url: str
    ledger_url: str
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        return os.environ | {
            "CINEFARM_BROKER_URL": self.broker_url,
            "CINEFARM_LEDGER_URL": self.ledger_url,
            "CINEFARM_STATE_DIR": str(self.desk.state),
            "CINEFARM_API_URL": "",
            "CINEFARM_API_TOKEN": "",
            "CINEFARM_LEASE_SECONDS": "4",
            "CINEFARM_LEASE_GRACE_SECONDS": "2",
            **self.environment,
        }

    @property
    def log(self) -> Path:
        return self.desk.folder / "serve.jsonl"

    def serve(self) -> subprocess.Popen[bytes]:
        """A service with an API on a port of its own; commands find the latest one."""
        port = str(free_port())
        process = self._start(CINEFARM, "serve", "--log-file", str(self.log), CINEFARM_HTTP_PORT=port)
        end = time.monotonic() + 60
        while process.poll() is None and f":{port}" not in self._address():
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.05)
        return process

    def worker(self, *queues: str, slots: int = 1) -> subprocess.Popen[bytes]:
        flags = [word for queue in queues for word in ("--queue", queue)]
        return self._start(CINEFARM, "worker", *flags, "--slots", str(slots), "--name", queues[0])

    def run(self, *words: str) -> Run:
        done = subprocess.run(
            [CINEFARM, *words], env=self.env, capture_output=True, text=True, timeout=120, check=False
        )
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        return Run(done.returncode, lines, done.stderr + ("" if lines else done.stdout))

    def job(self, **keys: Any) -> str:
        """Write a job file, submit it, return the job's id. Quality numbers are fixed: one encode an item, as long as it is."""
        path = self.desk.folder / "job.toml"
        keys = {"sources": [str(self.desk.sources)], "destinations": [str(self.desk.out)]} | keys
        keys = {"profile": "archive-fixed"} | keys
        path.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in keys.items()), encoding="utf-8")
        run = self.run("submit", str(path), "--json")
        assert run.code == 0, run.stderr
        return str(run.lines[0]["job"])

    def status(self, job: str) -> dict[str, Any]:
        run = self.run("status", job, "--json")
        assert run.code == 0, run.stderr
        return run.lines[0]

    def wait_for(self, job: str, ready: Callable[[dict[str, Any]], bool], seconds: float = 90.0) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while not ready(seen := self.status(job)):
            assert time.monotonic() < end, seen
            time.sleep(0.2)
        return seen

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = (json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines())
        return [line for line in lines if line["event"] == name]

    def encoders(self) -> list[psutil.Process]:
        """FFmpeg processes below our workers that write a result: no look for a region, no trial of an encoder."""
        found = []
        for process in self.running:
            if process.poll() is None:
                for child in psutil.Process(process.pid).children(recursive=True):
                    try:
                        words = child.cmdline()
                        if "ffmpeg" in words[0] and "-progress" in words and words[-1] != "-":
                            found.append(child)
                    except (psutil.Error, IndexError):
                        continue
        return found

    def close(self) -> None:
        for process in self.running:
            process.kill()
            process.wait()

    def _address(self) -> str:
        path = self.desk.state / "api.json"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def _start(self, *argv: str, **environment: str) -> subprocess.Popen[bytes]:
        with (self.desk.folder / "services.log").open("ab") as output:
            process = subprocess.Popen(argv, env=self.env | environment, stdout=output, stderr=output)
        self.running.append(process)
        return process


def free_port() -> int:
    """A TCP port of loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
