"""What the farm itself costs an item, from found to done: the processor time of everything but FFmpeg.

    .venv/bin/python benchmarks/bench_overhead.py [--items 34]

``cinefarm migrate`` encodes clips of a second and 160×120, so small that the codec does next to nothing: describe, plan, send,
encode, measure, judge, package, check, deliver, record. Its processes are watched from outside; FFmpeg runs behind a script that
notes its own times, which are taken off. Starting the farm is taken off by running a small job and a large one: the
difference of their times by the difference of their items is what an item costs. The demand: 150 ms.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from table import Row, at_most

from common.ffmpeg import ffmpeg_program

FEW = 4
ASKED_MS = 150
SCENE = "testsrc2=s=160x120:r=25:d=1,format=yuv420p"
NOTED = re.compile(r"(\d+)m([\d.]+)s (\d+)m([\d.]+)s$")


@dataclass(frozen=True)
class Spent:
    """CPU seconds of one job."""

    farm: float
    ffmpeg: float


def rows(*, quick: bool) -> Iterator[Row]:
    """CPU of the farm for each further item."""
    each = measure(FEW + (2 if quick else 40))
    note = f"FFmpeg's own {1000 * each.ffmpeg:.0f} ms taken off"
    yield Row("farm's CPU for an item, 1 s clips", 1000 * each.farm, ASKED_MS, "ms", "asked", at_most(1), note=note)


def measure(items: int) -> Spent:
    """What each item beyond the first few costs."""
    with tempfile.TemporaryDirectory(prefix="cinefarm-bench-") as name:
        folder = Path(name)
        program = noting(folder)
        few, many = (job(folder / str(count), count, program) for count in (FEW, items))
    further = items - FEW
    return Spent((many.farm - few.farm) / further, (many.ffmpeg - few.ffmpeg) / further)


def noting(folder: Path) -> Path:
    """A program that is FFmpeg and writes down what it took."""
    script, log = folder / "ffmpeg-noted", folder / "times"
    script.write_text(f'#!/bin/bash\n"{ffmpeg_program()}" "$@"\ncode=$?\ntimes >> "{log}"\nexit $code\n')
    script.chmod(0o755)
    return script


def job(folder: Path, items: int, program: Path) -> Spent:
    """One migration in a farm of its own."""
    make_clips(folder / "source", items)
    log = program.with_name("times")
    log.unlink(missing_ok=True)
    (folder / "map.csv").write_text("file,PatientID,PatientName,StudyDate,Modality\n*,B-1,Bench^Mark,20240101,ES\n")
    argv = [
        str(Path(sys.executable).with_name("cinefarm")),
        "migrate",
        str(folder / "source"),
        "--to",
        str(folder / "out"),
    ]
    argv += ["--map", str(folder / "map.csv"), "--profile", "archive-fixed", "--state", str(folder / "state"), "--json"]
    environment = os.environ | {"IMAGEIO_FFMPEG_EXE": str(program)}
    with (
        (folder / "said").open("w") as said,
        subprocess.Popen(argv, stdout=said, stderr=said, env=environment) as process,
    ):
        spent = watched(psutil.Process(process.pid), process)
    told = (folder / "said").read_text()
    if process.returncode or told.count('"path": "encode"') + told.count('"path":"encode"') < items:
        raise SystemExit(f"not all items were encoded: {told[-300:]}")
    ffmpeg = sum(noted(line) for line in log.read_text().splitlines()[1::2])
    return Spent(spent - ffmpeg, ffmpeg)


def make_clips(folder: Path, count: int) -> None:
    """One clip under many comments: other bytes, so that none is another's twin."""
    folder.mkdir(parents=True)
    first = folder.parent / "clip.avi"
    encode = ("-f", "lavfi", "-i", SCENE, "-c:v", "mpeg4", "-b:v", "1M")
    subprocess.run([ffmpeg_program(), "-v", "error", "-y", *encode, str(first)], check=True)
    for number in range(count):
        copy = ("-i", str(first), "-c", "copy", "-metadata", f"comment={number}", str(folder / f"{number}.mkv"))
        subprocess.run([ffmpeg_program(), "-v", "error", "-y", "-fflags", "+genpts", *copy], check=True)


def watched(top: psutil.Process, process: subprocess.Popen[bytes]) -> float:
    """CPU seconds of a process and all below it: their own and those of children that they have outlived."""
    most = 0.0
    while process.poll() is None:
        total = 0.0
        for each in tree(top):
            with contextlib.suppress(psutil.Error):
                times = each.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
        most = max(most, total)
        time.sleep(0.05)
    return most


def tree(top: psutil.Process) -> list[psutil.Process]:
    """The processes that live now."""
    try:
        return [top, *top.children(recursive=True)]
    except psutil.Error:
        return []


def noted(line: str) -> float:
    """Seconds of user and system time in bash's words: 0m0.123s 0m0.045s."""
    found = NOTED.match(line)
    if found is None:
        raise SystemExit(f"bash said {line!r} of FFmpeg's times")
    user, system = (60 * int(found[at]) + float(found[at + 1]) for at in (1, 3))
    return user + system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=34)
    each = measure(parser.parse_args().items)
    print(f"an item: farm {1000 * each.farm:.0f} ms of CPU (aim: {ASKED_MS}), FFmpeg {1000 * each.ffmpeg:.0f} ms")


if __name__ == "__main__":
    main()
