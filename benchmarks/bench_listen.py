"""Receive a large instance from dcmtk's ``storescu`` by dcmtk's ``storescp +B`` and by ``cinefarm listen``, side by side at each PDU size.

Prints seconds and MB/s of both, their ratio, and the listener's peak resident set (aim: under 250 MB). Ours is on the disk
(fsync), hashed and in the ledger when it answers; storescp's is in the page cache, so it is also timed with ``sync FILE`` after it.
Then eight instances at once over eight associations, and the listener's peak again.
Usage: bench_listen.py [--gigabytes 0.5] [--rounds 3] [--parallel-megabytes 200] [--folder DIR]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pydicom.dataset import Dataset
from table import Row, at_most

from common.dicom.encapsulation import write_instance

PDUS = (16_384, 131_072)
ENDOSCOPY, HEVC = "1.2.840.10008.5.1.4.1.1.77.1.1.1", "1.2.840.10008.1.2.4.107"


def make_instance(path: Path, size: int, uid: str) -> Path:
    """An endoscopic video whose stream is ``size`` random bytes, 16 MiB of them repeated."""
    header = Dataset()
    header.SOPClassUID, header.SOPInstanceUID = ENDOSCOPY, uid
    header.StudyInstanceUID, header.SeriesInstanceUID = "2.25.2", "2.25.3"
    piece = os.urandom(min(size, 16 << 20))
    pieces = (piece[: size - at] for at in range(0, size, len(piece)))
    with path.open("wb") as stream:
        write_instance(stream, header, HEVC, pieces, size)
    return path


@contextlib.contextmanager
def storescp(folder: Path) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = subprocess.Popen(["storescp", "+B", "+xa", "-od", str(folder), str(port)])
    try:
        _await(port)
        yield port
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def listener(folder: Path) -> Iterator[tuple[int, int]]:
    """Its port and process id."""
    argv = [sys.executable, "-m", "orchestrator", "listen", "--port", "0", "--state", str(folder)]
    with (folder / "log").open("w") as log, subprocess.Popen([*argv], stderr=log) as process:
        try:
            while not (found := re.search(r"listening on port (\d+)", (folder / "log").read_text())):
                assert process.poll() is None
                time.sleep(0.05)
            yield int(found[1]), process.pid
        finally:
            process.kill()


def _await(port: int) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.02)


def send(port: int, path: Path, pdu: int = PDUS[-1]) -> float:
    argv = ["storescu", "-R", "-x4", "-aec", "CINEFARM", "--max-pdu", "131072", "--max-send-pdu", str(pdu)]
    begin = time.monotonic()
    subprocess.run([*argv, "127.0.0.1", str(port), str(path)], check=True)
    return time.monotonic() - begin


def peak(pid: int) -> float:
    """MB."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6


def synced(folder: Path) -> float:
    begin = time.monotonic()
    for path in folder.iterdir():
        subprocess.run(["sync", str(path)], check=True)
    return time.monotonic() - begin


def theirs(folder: Path, made: Path, pdu: int) -> tuple[float, float]:
    """Seconds, and seconds until it is on the disk."""
    received = folder / "theirs"
    received.mkdir()
    with storescp(received) as port:
        seconds = send(port, made, pdu)
    whole = seconds + synced(received)
    shutil.rmtree(received)
    return seconds, whole


def ours(folder: Path, made: Path, pdu: int) -> tuple[float, float]:
    """Seconds until it is on the disk and in the ledger, and the peak, MB."""
    state = folder / "ours"
    state.mkdir()
    with listener(state) as (port, pid):
        seconds, most = send(port, made, pdu), peak(pid)
    shutil.rmtree(state)
    return seconds, most


def rows(*, quick: bool) -> Iterator[Row]:
    """Receiving one large instance until it is on the disk, against storescp; and the listener's memory."""
    megabytes, pdu = (2 if quick else 500), PDUS[-1]
    with tempfile.TemporaryDirectory(prefix="cinefarm-bench-") as name:
        folder = Path(name)
        made = make_instance(folder / "made.dcm", megabytes * 1_000_000, "2.25.1")
        (_, durable), (seconds, most) = theirs(folder, made, pdu), ours(folder, made, pdu)
    what = f"receive {megabytes} MB by C-STORE"
    yield Row(
        what, megabytes / seconds, megabytes / durable, "MB/s", "storescp +B, and sync", note="ours is hashed too"
    )
    yield Row(f"{what}, peak memory", most, 250, "MB", "asked", at_most(1))


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--gigabytes", type=float, default=0.5)
    asked.add_argument("--rounds", type=int, default=3)
    asked.add_argument("--parallel-megabytes", type=float, default=200)
    asked.add_argument("--folder", type=Path)
    options = asked.parse_args()
    size = int(options.gigabytes * 1e9)
    with tempfile.TemporaryDirectory(prefix="cinefarm-bench-", dir=options.folder) as name:
        folder = Path(name)
        made = make_instance(folder / "made.dcm", size, "2.25.1")
        for pdu in PDUS:
            rounds = [(*theirs(folder, made, pdu), *ours(folder, made, pdu)) for _ in range(options.rounds)]
            plain, durable, seconds, _ = (statistics.median(column) for column in zip(*rounds, strict=True))
            print(
                f"PDU {pdu >> 10:3d} KiB: storescp {plain:.2f} s ({size / plain / 1e6:.0f} MB/s), on the disk {durable:.2f} s; "
                f"listener {seconds:.2f} s ({size / seconds / 1e6:.0f} MB/s), ratio {plain / seconds:.2f} "
                f"(on the disk {durable / seconds:.2f}), peak {max(one[3] for one in rounds):.0f} MB"
            )
        made.unlink()
        large = int(options.parallel_megabytes * 1e6)
        files = [make_instance(folder / f"{number}.dcm", large, f"2.25.1{number}") for number in range(8)]
        state = folder / "ours"
        state.mkdir()
        with listener(state) as (port, pid), ThreadPoolExecutor(8) as modalities:
            begin = time.monotonic()
            list(modalities.map(lambda path: send(port, path), files))
            seconds = time.monotonic() - begin
            print(
                f"8 x {large / 1e6:.0f} MB at once: {seconds:.2f} s ({8 * large / seconds / 1e6:.0f} MB/s), peak {peak(pid):.0f} MB"
            )


if __name__ == "__main__":
    main()
