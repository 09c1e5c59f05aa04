"""A real Redis-compatible server on a Unix socket of its own."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from common.leases import connect
from orchestrator.embedded import server_program


@contextmanager
def redis_server() -> Iterator[str]:
    """The broker URL of a server that lives as long as the block."""
    with tempfile.TemporaryDirectory(prefix="cf-") as folder:
        socket = Path(folder) / "s"
        argv = [str(server_program()), "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", folder]
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
        url = f"redis+socket://{socket}?virtual_host=0"
        try:
            while not answers(connect(url)):
                assert process.poll() is None
                time.sleep(0.02)
            yield url
        finally:
            process.kill()
            process.wait()


def answers(redis: Redis) -> bool:
    """True when the server takes commands."""
    try:
        return bool(redis.ping())
    except (RedisError, OSError):
        return False
