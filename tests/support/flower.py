"""A real Flower on a free port of this machine, watching a farm's broker."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from common.settings import Settings
from orchestrator.cli.flower import flower_program

USER = "operator:secret"


@dataclass(frozen=True)
class Flower:
    """Reads pages as a logged-in operator, unless told otherwise."""

    url: str

    def get(self, path: str, user: str | None = USER) -> str:
        request = urllib.request.Request(self.url + path)  # noqa: S310 our own
        if user:
            request.add_header("Authorization", "Basic " + base64.b64encode(user.encode()).decode())
        with urllib.request.urlopen(request, timeout=10) as reply:  # noqa: S310 our own
            return str(reply.read().decode())

    def json(self, path: str) -> Any:
        return json.loads(self.get(path))

    def everything(self) -> dict[str, str]:
        """Every page and every answer that can be asked for without changing anything."""
        tasks, workers = self.json("/api/tasks?limit=10000"), self.json("/api/workers?refresh=1")
        paths = [
            "/",
            "/workers",
            "/tasks",
            "/broker",
            "/metrics",
            "/healthcheck",
            "/api/task/types",
            "/api/queues/length",
        ]
        paths += ["/api/workers?refresh=1", "/api/tasks?limit=10000", "/workers?json=1", TASK_TABLE]
        paths += [f"/api/task/info/{task}" for task in tasks] + [f"/task/{task}" for task in tasks]
        paths += [f"/worker/{urllib.parse.quote(name)}" for name in workers]
        return {path: self.get(path) for path in paths}


TASK_TABLE = "/tasks/datatable?" + urllib.parse.urlencode(
    {
        "draw": 1,
        "start": 0,
        "length": 1000,
        "search[value]": "",
        "order[0][column]": 0,
        "order[0][dir]": "asc",
        "columns[0][data]": "name",
    }
)


@contextmanager
def flower_server(broker_url: str, **settings: object) -> Iterator[Flower]:
    """Flower as ``cinefarm flower`` starts it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    values = {"broker_url": broker_url, "flower_port": port, "flower_basic_auth": USER}
    program = flower_program(Settings.model_validate({**values, **settings}))
    process = subprocess.Popen(
        program.argv, env=os.environ | program.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    flower = Flower(f"http://127.0.0.1:{port}")
    try:
        while not _answers(flower):
            assert process.poll() is None, "Flower did not start"
            time.sleep(0.1)
        yield flower
    finally:
        process.kill()
        process.wait()


def _answers(flower: Flower) -> bool:
    try:
        return bool(flower.get("/healthcheck"))
    except (urllib.error.URLError, OSError):
        return False
