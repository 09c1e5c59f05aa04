"""Rewrap a large legal MP4 by ``cinefarm migrate`` beside ``cp`` of the same file on the same disk; watch every process's memory.

Prints MB/s of both and the ratio of the rewrapping to ``cp`` (aim: at least 0.6), beside it the time of the whole command: farm
started, source read and hashed, instance written, hashed, synced and delivered. And the largest resident set of any process
(aim: under 200 MB).
Usage: bench_rewrap.py [--gigabytes 3] [--folder DIR]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import imageio_ffmpeg
import psutil
from table import Row, at_least, at_most

CINEFARM = Path(sys.executable).with_name("cinefarm")
SCENE = "testsrc2=s=1920x1080:r=25:d={seconds},noise=alls=60:allf=t,format=yuv420p"
RATE = ("-b:v", "38M", "-minrate", "38M", "-maxrate", "38M", "-bufsize", "38M", "-x264-params", "nal-hrd=cbr")


@dataclass
class Watch:
    """Samples the resident sets of a process and all its descendants."""

    process: subprocess.Popen[bytes]
    peaks: dict[str, int] = field(default_factory=dict)

    def run(self) -> None:
        """Until the process ends."""
        while self.process.poll() is None:
            with contextlib.suppress(psutil.Error):
                root = psutil.Process(self.process.pid)
                for each in [root, *root.children(recursive=True)]:
                    with contextlib.suppress(psutil.Error):
                        name = kind(each.cmdline())
                        self.peaks[name] = max(self.peaks.get(name, 0), each.memory_info().rss)
            time.sleep(0.05)


def kind(words: list[str]) -> str:
    """What a process of the farm is."""
    if "serve" in words:
        return f"worker {words[words.index('--name') + 1]}"
    return Path(words[0]).name if words and "python" not in words[0] else "orchestrator"


def ffmpeg(*words: str) -> None:
    """Run FFmpeg to its end."""
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-y", "-v", "error", *words], check=True)


def make_source(path: Path, gigabytes: float) -> None:
    """A legal H.264 High@4.1 MP4 whose index comes last, as recorders write it: up to 20 s, repeated."""
    piece = path.with_name("piece.mp4")
    codec = ("-c:v", "libx264", "-preset", "ultrafast", "-profile:v", "high", "-level:v", "4.1", "-g", "25")
    colour = ("-color_range", "tv", "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709")
    ffmpeg(
        "-f",
        "lavfi",
        "-i",
        SCENE.format(seconds=min(20, max(1, round(200 * gigabytes)))),
        *codec,
        *RATE,
        *colour,
        str(piece),
    )
    repeats = max(0, round(gigabytes * 1e9 / piece.stat().st_size) - 1)
    ffmpeg("-stream_loop", str(repeats), "-i", str(piece), "-c", "copy", str(path))
    piece.unlink()


def copy_seconds(source: Path, target: Path) -> float:
    """Wall time of ``cp`` and of writing it to the disk. The copy stays: both ways shall write to blocks not used before,
    which on a virtual disk cost several times those that were just freed."""
    target.parent.mkdir()
    os.sync()
    started = time.monotonic()
    subprocess.run(["cp", str(source), str(target)], check=True)
    subprocess.run(["sync", str(target)], check=True)
    return time.monotonic() - started


def migrate_seconds(folder: Path, round_: int) -> tuple[float, float, dict[str, int]]:
    """Wall time of the whole command, of the rewrapping alone, and the peak of each kind of process in bytes."""
    out, state = folder / f"out{round_}", folder / f"state{round_}"
    argv = [str(CINEFARM), "migrate", str(folder / "source"), "--to", str(out), "--state", str(state)]
    os.sync()
    started = time.monotonic()
    process = subprocess.Popen([*argv, "--map", str(folder / "map.csv"), "--json"], stdout=subprocess.PIPE)
    watch = Watch(process)
    thread = threading.Thread(target=watch.run)
    thread.start()
    stdout, _ = process.communicate()
    subprocess.run(["sync", str(out)], check=True)
    seconds = time.monotonic() - started
    thread.join()
    item = json.loads(stdout.splitlines()[0])
    assert (item["state"], item["path"]) == ("done", "rewrap"), item
    with sqlite3.connect(state / "ledger.sqlite") as ledger:
        (rewrapping,) = ledger.execute("SELECT seconds FROM attempts WHERE kind = 'transcode'").fetchone()
    return seconds, rewrapping, watch.peaks


def rows(*, quick: bool) -> Iterator[Row]:
    """Rewrapping a large MP4 into DICOM, against ``cp`` and ``sync``, both on blocks of the disk not used before."""
    gigabytes = 0.005 if quick else 3.0
    with tempfile.TemporaryDirectory(prefix="cinefarm-bench-") as name:
        size, rounds, peaks = measure(Path(name), gigabytes, 1)
    copied, whole, rewrapping = rounds[0]
    what = f"rewrap {size / 1000:.2g} GB of MP4"
    asked = at_least(0.6)
    yield Row(
        what,
        size / rewrapping,
        size / copied,
        "MB/s",
        "cp and sync",
        asked,
        note=f"whole command {size / whole:.0f} MB/s",
    )
    yield Row(f"{what}, peak memory of a process", max(peaks.values()) / 1e6, 200, "MB", "asked", at_most(1))


def main() -> None:
    """Run both in turn and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cinefarm-bench-", dir=options.folder) as name:
        _, rounds, peaks = measure(Path(name), options.gigabytes, options.rounds)
    median = statistics.median(copied / rewrapping for copied, _, rewrapping in rounds)
    print(f"median: rewrapping at {median:.2f} of the speed of cp (aim: at least 0.6)")
    for each, peak in sorted(peaks.items()):
        print(f"peak resident set of {each}: {peak / 1e6:.0f} MB (aim: under 200)")


def measure(
    folder: Path, gigabytes: float, rounds: int
) -> tuple[float, list[tuple[float, float, float]], dict[str, int]]:
    """The source's size in MB; seconds of cp, of the whole command and of the rewrapping, by round; peaks by process, bytes."""
    (folder / "source").mkdir()
    source = folder / "source" / "long.mp4"
    make_source(source, gigabytes)
    (folder / "map.csv").write_text("file,PatientID,PatientName,StudyDate,Modality\n*,B-1,Bench^Mark,20240101,ES\n")
    size = source.stat().st_size / 1e6
    print(f"source: {size:.0f} MB, {os.cpu_count()} cores")
    found = []
    peaks: dict[str, int] = {}
    for round_ in range(rounds):
        copied = copy_seconds(source, folder / f"copy{round_}" / "copy.mp4")
        seconds, rewrapping, seen = migrate_seconds(folder, round_)
        found.append((copied, seconds, rewrapping))
        peaks = {each: max(peaks.get(each, 0), seen.get(each, 0)) for each in {*peaks, *seen}}
        print(
            f"cp {copied:.1f} s ({size / copied:.0f} MB/s) · rewrapping {rewrapping:.1f} s ({size / rewrapping:.0f} MB/s), "
            f"ratio {copied / rewrapping:.2f} · whole command {seconds:.1f} s, ratio {copied / seconds:.2f}"
        )
    return size, found, peaks


if __name__ == "__main__":
    main()
