"""``cinefarm plan`` over a tree of many small files beside one loop that describes and plans the same files by itself.

The tree is hard links of a few real clips. Prints items/s of both, their ratio by core, the largest resident set of the command and
of its readers, and the same for a tenth of the tree: memory must not follow the number of items.
Usage: bench_plan.py [--items 100000] [--full] [--folder DIR]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from pydicom.data import get_testdata_file
from table import Row, at_least, at_most

from common.ffmpeg import ffmpeg_program
from common.recipes import ARCHIVE
from orchestrator.planner import plan
from workers.describe import describe

CLIPS = {
    "legal.mp4": ("-c:v", "libx264", "-profile:v", "high", "-bf", "2"),
    "legal.mpg": ("-c:v", "mpeg2video", "-b:v", "2M", "-maxrate", "4M", "-bufsize", "1835008", "-f", "vob"),
    "hevc.mp4": ("-c:v", "libx265", "-x265-params", "log-level=none"),
    "motion.avi": ("-c:v", "mjpeg", "-q:v", "4", "-pix_fmt", "yuvj420p"),
    "old.ts": ("-c:v", "mpeg1video", "-b:v", "2M", "-f", "mpegts"),
}


def make_clips(folder: Path) -> list[Path]:
    """One second of 352×288 in several ways, a DICOM loop, and a text file."""
    scene = ("-f", "lavfi", "-i", "testsrc2=s=352x288:r=25:d=1,format=yuv420p")
    for name, words in CLIPS.items():
        subprocess.run([ffmpeg_program(), "-v", "error", "-y", *scene, *words, str(folder / name)], check=True)
    shutil.copyfile(str(get_testdata_file("examples_ybr_color.dcm", download=False)), folder / "loop.dcm")
    (folder / "notes.txt").write_text("no video")
    return sorted(folder.iterdir())


def make_tree(folder: Path, clips: list[Path], count: int) -> None:
    """Hard links in folders of a thousand."""
    for number in range(count):
        clip = clips[number % len(clips)]
        path = folder / f"room{number // 10_000:03}" / f"day{number // 1000:04}" / f"case{number:07}{clip.suffix}"
        if number % 1000 == 0:
            path.parent.mkdir(parents=True)
        os.link(clip, path)


def planned(tree: Path, mapping: Path, flags: list[str]) -> tuple[float, int, int]:
    """(seconds, largest RSS of the command, of all its readers together), as the command runs."""
    command = [str(Path(sys.executable).with_name("cinefarm")), "plan", str(tree), "--to", str(tree.parent / "out")]
    command += ["--map", str(mapping), "--json", *flags]
    started, own, readers = time.monotonic(), 0, 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        process = psutil.Process(running.pid)
        while running.poll() is None:
            try:
                own = max(own, process.memory_info().rss)
                readers = max(readers, sum(child.memory_info().rss for child in process.children(recursive=True)))
            except psutil.NoSuchProcess:
                pass
            time.sleep(0.05)
    return time.monotonic() - started, own, readers


def alone(clips: list[Path], count: int, *, quick: bool) -> float:
    """Items/s of one process that describes and plans without anything around it."""
    started = time.monotonic()
    for number in range(count):
        path = clips[number % len(clips)]
        if path.suffix != ".txt":
            plan(describe(path, path.suffix, quick=quick), ARCHIVE, modality="ES")
    return count / (time.monotonic() - started)


def rows(*, quick: bool) -> Iterator[Row]:
    """The whole command over a tree, against a bare loop in one process, by core."""
    items, cores = (60 if quick else 8_000), len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="cinefarm-bench-") as place:
        folder = Path(place)
        (folder / "clips").mkdir()
        clips = make_clips(folder / "clips")
        (mapping := folder / "map.csv").write_text("file,PatientID,Modality\n**/*,P-1,ES\n")
        reference = alone(clips, min(items, 700), quick=True)
        make_tree(folder / "tree", clips, items)
        taken, own, _ = planned(folder / "tree", mapping, [])
    what = f"plan of {items} files"
    yield Row(f"{what}, a core", items / taken / cores, reference, "files/s", "a bare loop", at_least(0.5))
    yield Row(f"{what}, peak memory", own / 1e6, 250, "MB", "asked", at_most(1))


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--items", type=int, default=100_000)
    options.add_argument("--full", action="store_true")
    options.add_argument("--folder", type=Path)
    asked = options.parse_args()
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(dir=asked.folder) as place:
        folder = Path(place)
        (folder / "clips").mkdir()
        clips = make_clips(folder / "clips")
        mapping = folder / "map.csv"
        mapping.write_text("file,PatientID,Modality\n**/*,P-1,ES\n")
        reference = alone(clips, min(asked.items, 700), quick=not asked.full)
        for items in (asked.items // 10, asked.items):
            tree = folder / f"tree{items}"
            make_tree(tree, clips, items)
            seconds, own, readers = planned(tree, mapping, ["--full"] if asked.full else [])
            rate = items / seconds
            print(
                f"{items} items: {rate:.0f}/s, {rate / cores / reference:.2f} by core of the bare loop's {reference:.0f}/s; "
                f"command {own / 1e6:.0f} MB, readers {readers / 1e6:.0f} MB"
            )


if __name__ == "__main__":
    main()
