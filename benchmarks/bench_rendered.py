"""The video of a stored instance as a player reads it: /rendered of a real ``cinefarm api`` beside a plain file server.

A video of 2 GB (a clip of coloured noise, copied behind itself) lies as a DICOM instance in a folder store, with its index first and with
its index at its end. Asked are the first byte of the whole, the first byte of a range in the middle (both over a new connection, the
median and the slowest of many), and the whole. The reference is Starlette's FileResponse on uvicorn, which gives the MP4 file itself.
Aim: the first byte in 200 ms.
Usage: bench_rendered.py [--gigabytes 2] [--rounds 30]
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import imageio_ffmpeg
from bench_api import server
from pydicom.dataset import Dataset
from synthetic import broker_server
from table import Row, at_least, at_most

from common.dicom.encapsulation import write_instance
from common.orders import TranscodeDone, Verdict
from common.settings import Settings
from orchestrator import viewable
from orchestrator.build import build_ledger, build_store
from workers.instance_writer import instance_writer

MOST_MS = 200.0
SYNTAX = "1.2.840.10008.1.2.4.102"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Timed:
    """What one address gave: first bytes in ms, the whole in MB/s."""

    first: list[float]
    middle: list[float]
    speed: float


def film(folder: Path, size: int, name: str, *options: str) -> Path:
    """A video of about ``size`` bytes."""
    program, clip, whole = imageio_ffmpeg.get_ffmpeg_exe(), folder / "clip.mp4", folder / name
    words = [program, "-nostdin", "-y", "-v", "error"]
    if not clip.exists():
        scene = "nullsrc=s=1280x720:r=25:d=4,geq=random(1)*255:128:128"
        coded = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "12", "-pix_fmt", "yuv420p", "-g", "25"]
        subprocess.run([*words, "-f", "lavfi", "-i", scene, *coded, str(clip)], check=True)
    times = max(1, round(size / clip.stat().st_size))
    looped = ["-stream_loop", str(times - 1), "-i", str(clip), "-c", "copy", *options, str(whole)]
    subprocess.run([*words, *looped], check=True)
    return whole


def stored(state: Path, video: Path, number: int) -> str:
    """Keep a video as a worker does; the path of its /rendered."""
    settings = Settings(state_dir=state)
    uids = ("1.2.3", "1.2.3.1", f"1.2.3.1.{number}")
    header = Dataset()
    header.SOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.1.1"
    header.StudyInstanceUID, header.SeriesInstanceUID, header.SOPInstanceUID = uids
    key = f"results/aa/{number}/x/instance.dcm"
    with video.open("rb") as source, instance_writer(build_store(settings), key) as writer:
        write_instance(writer, header, SYNTAX, iter(lambda: source.read(_CHUNK), b""), video.stat().st_size)
    size = writer.stored.size_bytes
    made = TranscodeDone(
        instance_key=key, instance_digest=writer.stored.digest, instance_bytes=size, study_uid=uids[0], series_uid=uids[1],
        sop_instance_uid=uids[2], sop_class_uid=header.SOPClassUID, transfer_syntax_uid=SYNTAX,
        verdict=Verdict(passed=True, misses=()),
    )  # fmt: skip
    ledger = build_ledger(settings)
    with ledger.begin() as session:
        session.info["viewable"] = viewable.rows_of("bench", made)
        viewable.write(session)
    ledger.kw["bind"].dispose()
    return f"/dicomweb/studies/{uids[0]}/series/{uids[1]}/instances/{uids[2]}/rendered"


@contextmanager
def plain(video: Path) -> Iterator[str]:
    """Starlette's FileResponse on uvicorn; its address."""
    argv = [sys.executable, __file__, "--serve", str(video)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def serve(video: str) -> None:
    """Answer every address with one file, on a free port that is printed."""
    import socket

    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import FileResponse
    from starlette.routing import Route

    async def give(_request: Request) -> FileResponse:
        return FileResponse(video, media_type="video/mp4")

    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    application = Starlette(routes=[Route("/{rest:path}", give)])
    uvicorn.Server(uvicorn.Config(application, log_level="error", access_log=False)).run(sockets=[listening])


def first_byte_ms(url: str, begin: int) -> float:
    """Over a new connection, from the request to the first byte of its body."""
    with httpx.Client(timeout=60) as client:
        started = time.perf_counter()
        with client.stream("GET", url, headers={"Range": f"bytes={begin}-", "Accept": "*/*"}) as answer:
            answer.raise_for_status()
            next(answer.iter_raw(1))
            return 1000 * (time.perf_counter() - started)


def speed(url: str) -> float:
    """MB/s of the whole, thrown away."""
    curl = [shutil.which("curl") or "curl", "-sf", "-o", "/dev/null", "-w", "%{speed_download}", url]
    return float(subprocess.run(curl, check=True, capture_output=True, text=True).stdout) / 1e6


def side_by_side(urls: dict[str, str], size: int, rounds: int) -> dict[str, Timed]:
    """Round by round, so that what else the machine does meets all alike."""
    for url in urls.values():
        first_byte_ms(url, 0)  # so that nobody is measured while modules are imported
    first, middle = ({name: list[float]() for name in urls} for _ in range(2))
    for _ in range(rounds):
        for name, url in urls.items():
            first[name].append(first_byte_ms(url, 0))
            middle[name].append(first_byte_ms(url, size // 2))
    speeds = {name: statistics.median(speed(url) for _ in range(3)) for name, url in urls.items()}
    return {name: Timed(first[name], middle[name], speeds[name]) for name in urls}


def measured(size: int, rounds: int) -> Iterator[Row]:
    """The rows."""
    with tempfile.TemporaryDirectory(prefix="bench-rendered-") as made:
        folder, state = Path(made), Path(made) / "state"
        state.mkdir()
        last = film(folder, size, "last.mp4")
        first = film(folder, size, "first.mp4", "-movflags", "+faststart")
        paths = {"index first": stored(state, first, 1), "index last": stored(state, last, 2)}
        last.unlink()
        with broker_server() as broker_url, server(state, broker_url) as (url, process), plain(first) as reference:
            urls = {name: f"{url}{path}" for name, path in paths.items()}
            cold = {name: first_byte_ms(each, 0) for name, each in urls.items()}
            found = side_by_side({**urls, "plain": f"{reference}/film.mp4"}, size, rounds)
            memory = process.memory_info().rss / 1e6
        yield from _rows(found, cold, f"{first.stat().st_size / 1e9:.2g} GB", memory)


def _rows(found: dict[str, Timed], cold: dict[str, float], size: str, memory: float) -> Iterator[Row]:
    known = found["plain"]
    for name, slowest in cold.items():
        mine = found[name]
        note = f"the very first {slowest:.0f} ms, the slowest of the others {max(mine.first):.0f} ms"
        yield Row(
            f"first byte, {size}, {name}", statistics.median(mine.first), MOST_MS, "ms", "200 ms", at_most(1), note=note
        )
        for what, ours, theirs in (
            ("first byte", mine.first, known.first),
            ("first byte, middle", mine.middle, known.middle),
        ):
            yield Row(
                f"{what}, {size}, {name}",
                statistics.median(ours),
                statistics.median(theirs),
                "ms",
                "FileResponse of the file",
            )
        note = f"the server's memory afterwards {memory:.0f} MB"
        yield Row(
            f"whole, {size}, {name}",
            mine.speed,
            known.speed,
            "MB/s",
            "FileResponse of the file",
            at_least(0.5),
            note=note,
        )


def rows(*, quick: bool) -> Iterator[Row]:
    """For the table of all benchmarks."""
    yield from measured(50_000_000 if quick else 2_000_000_000, 3 if quick else 30)


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--serve", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    for each in measured(int(options.gigabytes * 1e9), options.rounds):
        ratio = each.ratio or each.ours / each.reference
        print(
            f"{each.name}: {each.ours:.1f} {each.unit}; {each.against}: {each.reference:.1f}; ratio {ratio:.2f} {each.note}"
        )


if __name__ == "__main__":
    main()
