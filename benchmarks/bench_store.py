"""Send a large instance to dcmtk's ``storescp --ignore`` by dcmtk's ``storescu`` and by ours, side by side at each PDU size.

Prints MB/s of both (start of the program and of the association taken off, as measured with an object of a few bytes), the
ratio of ours to storescu (aim: at least 1), and our peak resident set (aim: under 250 MB). Then once over a link throttled to
20 MB/s: the same memory, and nothing times out.
Usage: bench_store.py [--gigabytes 0.5] [--rounds 3] [--link-gigabytes 0.1] [--folder DIR]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from pydicom.dataset import Dataset
from table import Row, at_least, at_most

from common.dicom.encapsulation import write_instance

PDUS = (16_384, 65_536, 131_072)
LINK_RATE = 20_000_000
ENDOSCOPY, HEVC = "1.2.840.10008.5.1.4.1.1.77.1.1.1", "1.2.840.10008.1.2.4.107"

SENDER = f"""
import sys, time
from pathlib import Path
from common.destinations import DicomDestination
from common.network.association import Caller, Timeouts
from workers.deliver.dicom import store_file
import pynetdicom.dsutils, pynetdicom.ae
path, port, pdu = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
caller = Caller("BENCH", pdu, Timeouts.for_size(path.stat().st_size))
started, used = time.monotonic(), time.process_time()
status, _ = store_file(path, ("{ENDOSCOPY}", "{HEVC}"), "2.25.1", DicomDestination("PEER", "127.0.0.1", port), caller)
seconds, used = time.monotonic() - started, time.process_time() - used
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]
print(status, seconds, peak, used)
"""


def make_instance(path: Path, size: int) -> None:
    """An endoscopic video whose stream is ``size`` random bytes, 16 MiB of them repeated."""
    header = Dataset()
    header.SOPClassUID, header.SOPInstanceUID = ENDOSCOPY, "2.25.1"
    header.StudyInstanceUID, header.SeriesInstanceUID = "2.25.2", "2.25.3"
    piece = os.urandom(min(size, 16 << 20))
    pieces = (piece[: size - at] for at in range(0, size, len(piece)))
    with path.open("wb") as stream:
        write_instance(stream, header, HEVC, pieces, size)


@contextlib.contextmanager
def storescp(pdu: int) -> Iterator[int]:
    """The port of a server that throws away what it receives and takes PDUs up to ``pdu`` bytes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    argv = ["storescp", "--ignore", "+xa", "-pdu", str(pdu), "-aet", "PEER", str(port)]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        for _ in range(200):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            time.sleep(0.02)
        try:
            yield port
        finally:
            server.terminate()


def theirs(path: Path, port: int) -> tuple[float, float]:
    """Wall time and CPU time of storescu, s."""
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        ["storescu", "-x4", "-R", "-aec", "PEER", "127.0.0.1", str(port), str(path)], check=True, capture_output=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic() - started, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ours(path: Path, port: int, pdu: int) -> tuple[float, float, int]:
    """Wall time and CPU time of one delivery in a fresh process, s, and its peak resident set, bytes."""
    argv = [sys.executable, "-c", SENDER, str(path), str(port), str(pdu)]
    said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split()
    if said[0] != "0":
        raise SystemExit(f"not stored: status {said[0]}")
    return float(said[1]), float(said[3]), int(said[2]) * 1024


@contextlib.contextmanager
def throttled(port: int) -> Iterator[int]:
    """The port of a link to ``port`` that passes ``LINK_RATE`` bytes/s towards it."""

    def serve() -> None:
        here, _ = listener.accept()
        there = socket.create_connection(("127.0.0.1", port))
        threading.Thread(target=back, args=(there, here), daemon=True).start()
        started, passed = time.monotonic(), 0
        with contextlib.suppress(OSError):
            while data := here.recv(65_536):
                there.sendall(data)
                passed += len(data)
                time.sleep(max(0.0, started + passed / LINK_RATE - time.monotonic()))
            there.shutdown(socket.SHUT_WR)

    def back(there: socket.socket, here: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := there.recv(65_536):
                here.sendall(data)
            here.shutdown(socket.SHUT_RDWR)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield int(listener.getsockname()[1])


def rows(*, quick: bool) -> Iterator[Row]:
    """Sending one large instance by C-STORE, against storescu; and the memory of it."""
    megabytes, rounds = (2, 1) if quick else (500, 3)
    with tempfile.TemporaryDirectory(prefix="cinefarm-bench-") as name:
        path, tiny = Path(name) / "large.dcm", Path(name) / "tiny.dcm"
        make_instance(path, megabytes * 1_000_000)
        make_instance(tiny, 1000)
        other, own, ratio, peak = compare(path, tiny, PDUS[-1], rounds)
    what, note = f"send {megabytes} MB by C-STORE", f"median of {rounds} rounds; start-up taken off"
    asked = at_least(1)
    yield Row(what, own, other, "MB/s", "storescu, the same PDUs", asked, ratio=ratio, note=note)
    yield Row(f"{what}, peak memory", peak / 1e6, 250, "MB", "asked", at_most(1))


def main() -> None:
    """Run all and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=0.5)
    parser.add_argument("--link-gigabytes", type=float, default=0.1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cinefarm-bench-", dir=options.folder) as name:
        path, tiny, link = (Path(name) / each for each in ("large.dcm", "tiny.dcm", "link.dcm"))
        make_instance(path, int(options.gigabytes * 1e9))
        make_instance(tiny, 1000)
        size = path.stat().st_size / 1e6
        print(f"instance: {size:.0f} MB, {os.cpu_count()} cores")
        for pdu in PDUS:
            compare(path, tiny, pdu, options.rounds)
        make_instance(link, int(options.link_gigabytes * 1e9))
        with storescp(PDUS[-1]) as port, throttled(port) as slow:
            seconds, _, peak = ours(link, slow, PDUS[-1])
        rate = link.stat().st_size / 1e6 / seconds
        print(f"over a link of {LINK_RATE / 1e6:.0f} MB/s: {rate:.1f} MB/s, peak {peak / 1e6:.0f} MB (aim: under 250)")


def compare(path: Path, tiny: Path, pdu: int, rounds: int) -> tuple[float, float, float, int]:
    """Both senders in turn, against one server: MB/s of theirs and ours, their ratio, our peak in bytes."""
    size = path.stat().st_size / 1e6
    rates, peaks, used = [], [], []
    with storescp(pdu) as port:
        start_theirs = min(theirs(tiny, port)[0] for _ in range(3))
        start_ours = min(ours(tiny, port, pdu)[0] for _ in range(3))
        theirs(path, port)  # into the page cache, for both
        for _ in range(rounds):
            seconds, cpu, peak = ours(path, port, pdu)
            other_seconds, other_cpu = theirs(path, port)
            rates.append((size / (other_seconds - start_theirs), size / (seconds - start_ours)))
            peaks.append(peak)
            used.append(cpu / other_cpu)
    other, own = (statistics.median(each) for each in zip(*rates, strict=True))
    ratio = statistics.median(own / other for other, own in rates)
    print(
        f"PDU {pdu // 1024} KiB: storescu {other:.0f} MB/s · ours {own:.0f} MB/s · ratio {ratio:.2f} (aim: at least 1) · "
        f"our CPU time {statistics.median(used):.2f} of storescu's · our peak {max(peaks) / 1e6:.0f} MB (aim: under 250)",
        flush=True,
    )
    return other, own, ratio, max(peaks)


if __name__ == "__main__":
    main()
