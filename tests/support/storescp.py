"""dcmtk's storescp, started with words of one's own on a free port; it keeps nothing."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Start = Callable[..., int]
"""Takes storescp's options, gives the port."""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def storescps() -> Iterator[Start]:
    """Starts as many as are asked for, and stops them all at the end."""
    servers: list[subprocess.Popen[bytes]] = []

    def start(*options: str) -> int:
        port = free_port()
        argv = ["storescp", "-aet", "PEER", "--ignore", *options, str(port)]
        servers.append(subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return port
        raise AssertionError("storescp does not listen")

    try:
        yield start
    finally:
        for server in servers:
            server.kill()
            server.wait()
