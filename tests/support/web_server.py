"""The HTTP server on a real ledger, store and broker, on a free port; it runs in a thread of the test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from support.server import redis_server

from common.settings import Settings
from orchestrator.api.server import http_server
from orchestrator.farm import Farm, open_farm


@dataclass(frozen=True)
class Served:
    """A running server: its farm's doors, and a client that knows its address."""

    farm: Farm
    url: str
    client: httpx.Client


@contextmanager
def serving(settings: Settings, *, headers: dict[str, str] | None = None) -> Iterator[Served]:
    """The server of these settings, on a free port."""
    with open_farm(settings) as farm, http_server(farm, port=0) as server:
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            with httpx.Client(base_url=server.url, headers=headers, timeout=30) as client:
                yield Served(farm, server.url, client)
        finally:
            server.stop()
            thread.join()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A server on an empty SQLite ledger and a folder, in ``tmp_path / "state"``."""
    with redis_server() as broker_url, serving(Settings(broker_url=broker_url, state_dir=tmp_path / "state")) as server:
        yield server
