"""Do two chunk workers on two cores finish one long video sooner than one encode does?

    .venv/bin/python benchmarks/bench_chunks.py [--seconds 60] [--size 1280x720] [--rate 30] [--chunks 4] [--rounds 1] [--json]

Three ways, the same source, recipe (but for the encoder's threads) and measurement, gate included:
  one core       one whole encode on one core, the encoder with one thread
  own threads    one whole encode with the encoder's own frame threads, on both cores: what the farm does by default
  chunks         two workers, a core each, one encoder thread each; the longest chunk first; the split before and the join after
                 are part of the time

Demands: chunks ≤ 0.60 × one core, ≤ 0.92 × own threads, luma PSNR within 0.05 dB of the own-threads encode.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from bench_gate import Stopwatch, make_clip
from table import Row, at_most

from common.media import Description
from common.orders import AssembleOrder, ChunkOrder, ChunkRef, Part, Plan, SplitOrder, TranscodeOrder
from common.orders import Path as Way
from common.recipes import ARCHIVE
from common.settings import Settings
from common.store.folder import FolderStore
from workers.assemble import join_of, merged
from workers.attempt import Attempt
from workers.chunks import chunk_scores, find_cuts, make_chunk
from workers.describe import describe_sandboxed
from workers.encode import encode
from workers.ffmpeg.parse import Scores
from workers.join import join
from workers.quality import judge, pool
from workers.sources import open_source

SOURCE = "sources/clip"


@dataclass(frozen=True)
class Result:
    """One way of doing the work, done once."""

    seconds: float  # wall time
    cpu_seconds: float  # of all children; a busy machine sways it less
    size_bytes: int
    scores: Scores


@dataclass(frozen=True)
class Work:
    """The clip and where everything lies."""

    clip: Path
    description: Description
    folder: Path
    cores: tuple[int, ...]

    @property
    def rate(self) -> Fraction:
        assert self.description.video is not None
        return self.description.video.frame_rate

    @property
    def store(self) -> FolderStore:
        return FolderStore(self.folder / "store")

    def plan(self, threads: int | None = None) -> Plan:
        recipe = ARCHIVE.ladder[0]
        return Plan(
            path=Way.ENCODE,
            reason="benchmark",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.77.1.1.1",
            transfer_syntax_uid=recipe.transfer_syntax_uid,
            recipe=recipe.model_copy(update={"threads": threads or recipe.threads}),
            gate=ARCHIVE.gate,
        )

    def scratch(self, name: str) -> Path:
        path = self.folder / name
        path.mkdir(exist_ok=True)
        return path


def whole(work: Work, threads: int | None, cores: tuple[int, ...]) -> Result:
    """workers.encode on some cores: everything it does, from the first byte to the proven file and its parsed scores."""
    scratch = work.scratch("whole")
    watch = Stopwatch()
    with pinned(cores):
        media = open_source(work.clip, work.description, scratch)
        done = encode(media, work.description, work.plan(threads), scratch / "out.mp4", scratch, settings=Settings())
    return Result(*watch.read(), done.size_bytes, done.scores)


class pinned:  # noqa: N801  used as a function
    """Keep this process, and what it starts, to some cores."""

    def __init__(self, cores: tuple[int, ...]) -> None:
        self._cores, self._before = cores, os.sched_getaffinity(0)

    def __enter__(self) -> None:
        os.sched_setaffinity(0, self._cores)

    def __exit__(self, *_: object) -> None:
        os.sched_setaffinity(0, self._before)


def chunked(work: Work, chunks: int, workers: ProcessPoolExecutor) -> Result:
    """Split, encode on two workers, join; as the farm does it, but for the broker (benchmarks/bench_orders.py measures that)."""
    store = work.store
    store.adopt(SOURCE, work.clip)
    watch = Stopwatch()
    ids = {"order_id": "o", "item_id": "i", "attempt": 1}
    split = SplitOrder(source_key=SOURCE, description=work.description, wanted=chunks, **ids)
    cut = find_cuts(split, store, work.scratch("split"), Settings(), Attempt())
    prefixes = {part.first: f"chunks/{time.monotonic_ns()}" for part in cut.parts}
    orders = [
        ChunkOrder(
            source_key=SOURCE,
            description=work.description,
            plan=work.plan(threads=1),
            part=part,
            timeline=cut.timeline,
            output_prefix=prefixes[part.first],
            **ids,
        )
        for part in sorted(cut.parts, key=lambda part: -part.frames)
    ]
    cpu = in_parallel(workers, work, orders)
    refs = tuple(ref(part, prefixes[part.first]) for part in cut.parts)
    transcode = TranscodeOrder(
        source_key=SOURCE,
        description=work.description,
        plan=work.plan(1),
        output_prefix="r",
        sop_instance_uid="2.25.1",
        **ids,
    )
    order = AssembleOrder(transcode=transcode, timeline=cut.timeline, chunks=refs, **ids)
    output = work.folder / "joined.mp4"
    join(store, join_of(order, transcode.plan, work.description, None), output)
    scores = merged([chunk_scores(one.output_prefix, store, work.folder) for one in refs])
    judge(pool(scores, work.rate), ARCHIVE.gate)
    seconds, own_cpu = watch.read()
    return Result(seconds, own_cpu + cpu, output.stat().st_size, scores)


def ref(part: Part, prefix: str) -> ChunkRef:
    return ChunkRef(part=part, output_prefix=prefix, rung=0, worker="bench")


def in_parallel(pool_of_two: ProcessPoolExecutor, work: Work, orders: list[ChunkOrder]) -> float:
    """The next chunk goes to whoever is free; returns the CPU seconds of the encoders."""
    return sum(pool_of_two.map(one_chunk, [work] * len(orders), orders))


def one_chunk(work: Work, order: ChunkOrder) -> float:
    watch = Stopwatch()
    make_chunk(order, work.store, work.scratch(f"chunk{order.part.first}"), Settings(), Attempt())
    return watch.read()[1]


def take_core(cores: Any) -> None:
    """A worker keeps to one core for its life."""
    os.sched_setaffinity(0, {cores.get()})


def two_workers(cores: tuple[int, ...]) -> ProcessPoolExecutor:
    """As in a farm, workers run before there is work: they are started, and have loaded what they need."""
    context = get_context("spawn")
    free = context.Queue()
    for core in cores:
        free.put(core)
    workers = ProcessPoolExecutor(2, mp_context=context, initializer=take_core, initargs=(free,))
    list(workers.map(time.sleep, (1.0, 1.0)))
    return workers


def rows(*, quick: bool) -> Iterator[Row]:
    """Chunks on two cores against the whole on one, and on both."""
    size, seconds = ("320x180", 4.0) if quick else ("1280x720", 20.0)
    once = run_all(argparse.Namespace(size=size, rate=30, seconds=seconds, chunks=4, rounds=1))[0]
    what, chunks = f"4 chunks of {seconds:.0f} s, {size}, two cores", once["chunks"].seconds
    yield Row(what, chunks, once["one core"].seconds, "s", "the whole by one core", at_most(0.6))
    note = "one machine's cores are busy already: chunks are for several machines"
    yield Row(what, chunks, once["own threads"].seconds, "s", "the whole by the encoder's own threads", note=note)


def main() -> None:
    """Run all ways in turn, print the ratios of the sums of their wall times."""
    options = _options()
    report(run_all(options), options)


def run_all(options: argparse.Namespace) -> list[dict[str, Result]]:
    """Make the clip, run all ways, in turn, as often as asked."""
    cores = tuple(sorted(os.sched_getaffinity(0)))[:2]
    if len(cores) < 2:
        raise SystemExit("this benchmark needs two cores")
    with tempfile.TemporaryDirectory(prefix="cinefarm-bench-") as name, pinned(cores), two_workers(cores) as workers:
        clip = make_clip(Path(name), options.size, options.rate, options.seconds)
        work = Work(clip.path, describe_sandboxed(clip.path, ".mp4", Settings()), Path(name), cores)
        ways: dict[str, Callable[[], Result]] = {
            "chunks": lambda: chunked(work, options.chunks, workers),
            "own threads": lambda: whole(work, None, cores),
            "one core": lambda: whole(work, 1, cores[:1]),
        }
        return [
            {way: ways[way]() for way in (ways if number % 2 == 0 else reversed(ways))}
            for number in range(options.rounds)
        ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the clip")
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--rate", type=int, default=30, help="frames per second")
    parser.add_argument("--chunks", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=1, help="how often each way is run, in turn")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    return parser.parse_args()


def report(rounds: list[dict[str, Result]], options: argparse.Namespace) -> None:
    """Print times, ratios and how far the results agree."""
    names = ("chunks", "own threads", "one core")
    wall = {way: sum(one[way].seconds for one in rounds) for way in names}
    cpu = {way: sum(one[way].cpu_seconds for one in rounds) for way in names}
    pooled = {way: pool(rounds[-1][way].scores, Fraction(options.rate)) for way in names}
    apart = {
        metric: round(pooled["chunks"][metric].mean - pooled["own threads"][metric].mean, 4)
        for metric in pooled["chunks"]
    }
    met = {
        "at most 0.60 of one core": wall["chunks"] / wall["one core"] <= 0.60,
        "at most 0.92 of own threads": wall["chunks"] / wall["own threads"] <= 0.92,
        "within 0.05 dB": abs(apart["psnr_y"]) <= 0.05,
        "same gate": len({judge(one, ARCHIVE.gate).passed for one in pooled.values()}) == 1,
    }
    result: dict[str, Any] = {
        "clip": f"{options.size}, {options.rate} frames/s, {options.seconds:g} s, {options.chunks} chunks",
        "seconds": {way: [round(one[way].seconds, 2) for one in rounds] for way in names},
        "cpu_seconds": {way: round(value, 1) for way, value in cpu.items()},
        "ratio_to_one_core": round(wall["chunks"] / wall["one core"], 3),
        "ratio_to_own_threads": round(wall["chunks"] / wall["own threads"], 3),
        "bytes": {way: rounds[-1][way].size_bytes for way in names},
        "mean_scores_chunks_minus_own_threads": apart,
        "demands": met,
    }
    if options.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:38} {value}")


if __name__ == "__main__":
    main()
