"""dcmtk's archive: dcmqrscp over a folder of files, which dcmqridx has put into its index."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from support.s3 import free_ports

AET = "QRSCP"


@contextmanager
def serve(folder: Path, instances: Sequence[bytes], *, moves_to: tuple[str, int] | None = None) -> Iterator[int]:
    """The port of an archive with these instances; ``moves_to``: AE title and port of whom it may send to (C-MOVE)."""
    (port,), files = free_ports(1), folder / "files"
    files.mkdir(parents=True)
    for number, instance in enumerate(instances):
        (files / f"{number}.dcm").write_bytes(instance)
    subprocess.run(["dcmqridx", str(files), *sorted(map(str, files.glob("*.dcm")))], check=True, capture_output=True)
    host = f"mover = ({moves_to[0]}, 127.0.0.1, {moves_to[1]})" if moves_to else ""
    config = folder / "dcmqrscp.cfg"
    config.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 131072\nMaxAssociations = 16\n"
        f"HostTable BEGIN\n{host}\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\n{AET} {files} RW (500, 1024mb) ANY\nAETable END\n"
    )
    with subprocess.Popen(
        ["dcmqrscp", "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            _await(port, server)
            yield port
        finally:
            server.kill()


def _await(port: int, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        assert server.poll() is None
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError("dcmqrscp did not start")
