"""STOW-RS and WADO-RS of one large instance: bytes a second, and how much memory it takes of us.

    .venv/bin/python benchmarks/bench_dicomweb.py [--gib 1] [--json]

The instance is a sparse file, the server a loop on sockets that counts bytes. The reference is that loop fed by
``sendfile`` and read by ``recv_into`` in the same process: what loopback gives when nobody looks at the bytes. We take a
SHA-256 on the way out (a rotten copy must not arrive) and pass the file meta by its elements. Each way runs in a process of
its own, whose peak resident memory is printed. The demand: below 250 MB whatever the size.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from table import Row, at_most

GIB = 1 << 30
LIMIT_BYTES = 250_000_000
STUDY, SERIES, INSTANCE = "2.25.1", "2.25.2", "2.25.3"
CLASS, SYNTAX = "1.2.840.10008.5.1.4.1.1.77.1.1.1", "1.2.840.10008.1.2.4.102.1"
_BUFFER = 1 << 20


@contextmanager
def server(instance: Path) -> Iterator[int]:
    """Counts what is posted and gives ``instance``; finds nothing until something was stored."""
    listener = socket.create_server(("127.0.0.1", 0))
    stored: list[int] = []
    threading.Thread(target=_accept, args=(listener, instance, stored), daemon=True).start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        listener.close()


def _accept(listener: socket.socket, instance: Path, stored: list[int]) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(connection, instance, stored), daemon=True).start()


def _serve(connection: socket.socket, instance: Path, stored: list[int]) -> None:
    buffer = bytearray(_BUFFER)
    with connection:
        while head := _head(connection):
            method = head.split(b" ", 1)[0]
            if method == b"POST":
                found = re.search(rb"(?i)content-length: (\d+)", head)
                left = int(found.group(1)) - len(head.partition(b"\r\n\r\n")[2]) if found else 0
                stored.append(left)
                while left:
                    left -= connection.recv_into(buffer, min(left, _BUFFER))
                receipt = {"00081199": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": [INSTANCE]}}]}}
                _answer(connection, json.dumps(receipt).encode())
            elif b"/instances/" in head.split(b" ")[1]:
                before = b"--b\r\nContent-Type: application/dicom\r\n\r\n"
                after, size = b"\r\n--b--\r\n", instance.stat().st_size
                kind = b'multipart/related; type="application/dicom"; boundary=b'
                _begin(connection, kind, len(before) + size + len(after))
                connection.sendall(before)
                with instance.open("rb") as f:
                    connection.sendfile(f)
                connection.sendall(after)
            else:
                match = {"00080018": {"vr": "UI", "Value": [INSTANCE]}}
                _answer(connection, json.dumps([match] if stored else []).encode())


def _head(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(_BUFFER)
        if not piece:
            return b""
        data += piece
    return data


def _begin(connection: socket.socket, kind: bytes, length: int) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (kind, length))


def _answer(connection: socket.socket, content: bytes) -> None:
    _begin(connection, b"application/dicom+json", len(content))
    connection.sendall(content)


def make_instance(path: Path, size: int) -> None:
    """A sparse file that begins as DICOM: fragments of a GiB of zeros."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.filewriter import dcmwrite

    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = SYNTAX
    header.SOPClassUID = header.file_meta.MediaStorageSOPClassUID = CLASS
    header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = INSTANCE
    header.StudyInstanceUID, header.SeriesInstanceUID = STUDY, SERIES
    dcmwrite(path, header, enforce_file_format=True)
    with path.open("ab") as f:
        f.write(bytes.fromhex("e07f1000 4f420000 ffffffff feff00e0 00000000"))
        while size > 0:
            length = min(size, GIB)
            f.write(bytes.fromhex("feff00e0") + length.to_bytes(4, "little"))
            f.truncate(f.tell() + length)
            f.seek(0, os.SEEK_END)
            size -= length
        f.write(bytes.fromhex("feffdde0 00000000"))


def one_way(what: str, port: int, instance: Path, digest: str) -> None:
    """Runs in a process of its own; prints seconds and peak memory."""
    begun = time.perf_counter()
    {"out": _out, "in": _in, "reference out": _plain_out, "reference in": _plain_in}[what](port, instance, digest)
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "peak": peak}))


def _out(port: int, instance: Path, digest: str) -> None:
    from common.destinations import WebDestination
    from common.orders import DeliverOrder
    from common.settings import Settings
    from common.store.folder import FolderStore
    from workers.deliver.dicomweb import deliver_to_web

    order = DeliverOrder(
        order_id="o", item_id="i", attempt=1, destination="", instance_key=instance.name, instance_digest=digest,
        instance_bytes=instance.stat().st_size, study_uid=STUDY, series_uid=SERIES, sop_instance_uid=INSTANCE,
        sop_class_uid=CLASS, transfer_syntax_uid=SYNTAX, verify="none",
    )  # fmt: skip
    deliver_to_web(order, WebDestination(f"http://127.0.0.1:{port}"), FolderStore(instance.parent), Settings())


def _in(port: int, instance: Path, _: str) -> None:
    from common.orders import Retrieval
    from common.settings import Settings
    from workers.retrieve.web import fetch_from_web

    place = f"dicomweb+http://127.0.0.1:{port}"
    wanted = Retrieval(place=place, study_uid=STUDY, series_uid=SERIES, sop_instance_uid=INSTANCE, method="web")
    sizes: list[int] = []
    fetch_from_web(wanted, lambda piece: sizes.append(len(piece)), Settings())
    assert sum(sizes) == instance.stat().st_size


def _plain_out(port: int, instance: Path, _: str) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection, instance.open("rb") as f:
        connection.sendall(b"POST /studies HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % instance.stat().st_size)
        connection.sendfile(f)
        connection.recv(1000)


def _plain_in(port: int, instance: Path, _: str) -> None:
    buffer, left = bytearray(_BUFFER), instance.stat().st_size
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /instances/1 HTTP/1.1\r\n\r\n")
        while left > 0:
            left -= connection.recv_into(buffer)


def main() -> int:
    """Measure; returns 1 when memory is not flat."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gib", type=float, default=1.0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--way", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.way:
        what, port, path, digest = asked.way
        one_way(what, int(port), Path(path), digest)
        return 0
    results, size = measure(asked.gib)
    for way in ("out", "in"):
        row, reference = results[way], results[f"reference {way}"]
        rate = size / row["seconds"] / 1e6
        line = {
            "way": way, "gib": asked.gib, "MB/s": round(rate), "peak_MB": round(row["peak"] / 1e6),
            "ratio_of_time": round(row["seconds"] / reference["seconds"], 2),
        }  # fmt: skip
        words = (
            f"{way:>3}: {rate:5.0f} MB/s, {line['ratio_of_time']} x the time of bare sockets, peak {line['peak_MB']} MB"
        )
        print(json.dumps(line) if asked.json else words)
    return int(any(result["peak"] > LIMIT_BYTES for result in results.values()))


def rows(*, quick: bool) -> Iterator[Row]:
    """Memory of sending and fetching one large instance, and speed beside bare sockets."""
    gib = 0.01 if quick else 1.0
    results, size = measure(gib)
    for way, words in (("out", "STOW-RS"), ("in", "WADO-RS")):
        ours, bare = (size / results[name]["seconds"] / 1e6 for name in (way, f"reference {way}"))
        yield Row(f"{words} of {gib:g} GiB", ours, bare, "MB/s", "bare sockets, nothing hashed")
        peak, limit = results[way]["peak"] / 1e6, LIMIT_BYTES / 1e6
        yield Row(f"{words} of {gib:g} GiB, peak memory", peak, limit, "MB", "asked", at_most(1))


def measure(gib: float) -> tuple[dict[str, Any], int]:
    """Seconds and peak of each way, and the size of the instance, bytes."""
    with tempfile.TemporaryDirectory(prefix="bench-dicomweb-") as folder:
        instance = Path(folder, "instance.dcm")
        make_instance(instance, int(gib * GIB))
        with instance.open("rb") as f:
            digest = hashlib.file_digest(f, "sha256").hexdigest()
        results: dict[str, Any] = {}
        for what in ("reference out", "out", "reference in", "in"):
            with server(instance) as port:
                argv = [sys.executable, __file__, "--way", what, str(port), str(instance), digest]
                results[what] = json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)
        return results, instance.stat().st_size


if __name__ == "__main__":
    sys.exit(main())
