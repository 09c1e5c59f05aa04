"""Small files described per second of one core: the whole description, digest included, as the farm's workers do it.

    .venv/bin/python benchmarks/bench_describe.py [--files 600]

Prints files per second of processor time for each kind of clip (352×288, a second; a DICOM loop), without the fork that
surrounds a description in the farm, and with it. The demand: 200 files/s.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench_gate import Stopwatch
from bench_plan import make_clips
from table import Row, at_least

from common.settings import Settings
from workers.describe import describe, describe_sandboxed
from workers.preload import preload

ASKED = 200


def rows(*, quick: bool) -> Iterator[Row]:
    """All kinds in turn, in this process and in a fork each."""
    count = 12 if quick else 600
    with tempfile.TemporaryDirectory(prefix="cinefarm-bench-") as name:
        clips = [path for path in make_clips(Path(name)) if path.suffix != ".txt"]
        settings = Settings()
        bare = rate(clips, count, lambda path: describe(path, path.suffix))
        forked = rate(clips, count, lambda path: describe_sandboxed(path, path.suffix, settings))
        kinds = ", ".join(
            f"{path.name} {rate([path], max(5, count // 6), lambda p: describe(p, p.suffix)):.0f}" for path in clips
        )
    yield Row("describe small files, a core", bare, ASKED, "files/s", "asked", at_least(1), note=kinds)
    yield Row("describe small files, a fork each, a core", forked, bare, "files/s", "without the fork")


def rate(clips: list[Path], count: int, work: Callable[[Path], object]) -> float:
    """Files per second of processor time, this process and its children."""
    work(clips[0])
    watch, began = Stopwatch(), time.process_time()
    for number in range(count):
        work(clips[number % len(clips)])
    return count / (time.process_time() - began + watch.read()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=600)
    parser.parse_args()
    for row in rows(quick=False):
        print(f"{row.name}: {row.ours:.0f} {row.unit} ({row.against}: {row.reference:.0f}) {row.note}")


if __name__ == "__main__":
    preload()
    main()
