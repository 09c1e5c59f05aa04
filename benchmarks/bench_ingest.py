"""Ingest of a tree of 100,000 files beside bare bulk inserts of the same rows into the same tables; and the memory it takes.

Prints items/s of both, their ratio (aim: at least 0.3), and the largest resident set of the ingesting process (aim: under 200 MB).
Usage: bench_ingest.py [--items 100000] [--rounds 2] [--ledger URL] [--folder DIR]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psutil
from sqlalchemy import delete, insert, select
from table import Row, at_least, at_most

from common.recipes import ARCHIVE
from common.settings import Settings
from orchestrator.build import build_ledger, build_store
from orchestrator.jobs import JobRequest, ingest, submit
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import Item, Job
from orchestrator.status import progress

BULK = 10_000
"""Rows of one bare insert: more make it no faster."""


class Watch(threading.Thread):
    """The largest resident set of this process, in bytes, over all the time it ran."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self.done = threading.Event()

    def run(self) -> None:
        process = psutil.Process()
        while not self.done.wait(0.02):
            self.peak = max(self.peak, process.memory_info().rss)


def make_tree(folder: Path, count: int) -> None:
    """Small files in folders of a thousand, named like an archive's."""
    for number in range(count):
        path = folder / f"room{number // 10_000:03}" / f"day{number // 1000:04}" / f"case{number:07}.mpg"
        if number % 1000 == 0:
            path.parent.mkdir(parents=True)
        path.touch()


def ingest_rate(ledger: Sessions, settings: Settings, tree: Path) -> tuple[float, str]:
    """Items per second of the product's listing, walk included; and the job."""
    job_id = submit(ledger, JobRequest((str(tree),), (str(tree.with_name("out")),), ARCHIVE))
    started = time.monotonic()
    listing = ingest(ledger, build_store(settings), job_id, [str(tree)], None, [])
    seconds = time.monotonic() - started
    with ledger() as session:
        assert listing.new == sum(progress(session, job_id).counts.values())
    return listing.new / seconds, job_id


def bare_rate(ledger: Sessions, job_id: str) -> float:
    """Rows per second of inserting an ingested job's rows again, for another job, with nothing else done."""
    names = ("number", "source", "name", "size_bytes", "mtime_ns", "state", "reason")
    bare = uuid4().hex
    with ledger.begin() as session:
        job = session.get_one(Job, job_id)
        session.add(
            Job(id=bare, key=bare, sources=[], destinations=[], profile=job.profile, audio=job.audio, listing="listed")
        )
    seconds, last, count = 0.0, 0, 0
    while True:
        with ledger() as session:
            page = select(*(getattr(Item, name) for name in names)).where(Item.job_id == job_id, Item.number > last)
            found = session.execute(page.order_by(Item.number).limit(BULK)).all()
        if not found:
            return count / seconds
        rows = [row._asdict() | {"id": uuid4().hex, "job_id": bare} for row in found]
        last, count = found[-1].number, count + len(rows)
        started = time.monotonic()
        with ledger.begin() as session:
            session.execute(insert(Item.__table__), rows)
        seconds += time.monotonic() - started


def rows(*, quick: bool) -> Iterator[Row]:
    """Listing a tree into the ledger, against bare inserts of the same rows."""
    items = 2_000 if quick else 50_000
    ours, bare, peak = measure(items, 1, "", None)[0]
    yield Row(f"ingest of {items} files", ours, bare, "items/s", "bare inserts of the rows", at_least(0.3))
    yield Row(f"ingest of {items} files, peak memory", peak, 200, "MB", "asked", at_most(1))


def main() -> None:
    """Run both in turn and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--ledger", default="", help="SQLAlchemy URL; default: a fresh SQLite file")
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    rounds = measure(options.items, options.rounds, options.ledger, options.folder)
    print(f"median ratio: {statistics.median(ours / bare for ours, bare, _ in rounds):.2f} (aim: at least 0.3)")
    print(f"peak resident set: {max(peak for _, _, peak in rounds):.0f} MB (aim: under 200)")


def measure(items: int, rounds: int, ledger_url: str, place: Path | None) -> list[tuple[float, float, float]]:
    """(items/s of ours, of bare inserts, peak so far in MB) of each round."""
    found = []
    with tempfile.TemporaryDirectory(prefix="cinefarm-bench-", dir=place) as name:
        tree = Path(name) / "tree"
        make_tree(tree, items)
        print(f"{items} files, {os.cpu_count()} cores", flush=True)
        settings = Settings(state_dir=Path(name) / "state", ledger_url=ledger_url)
        ledger = build_ledger(settings)
        watch = Watch()
        watch.start()
        for _ in range(rounds):
            rate, job_id = ingest_rate(ledger, settings, tree)
            bare = bare_rate(ledger, job_id)
            found.append((rate, bare, watch.peak / 1e6))
            print(f"bare inserts {bare:.0f}/s · ingest {rate:.0f}/s · ratio {rate / bare:.2f}", flush=True)
            with ledger.begin() as session:
                session.execute(delete(Job))
        watch.done.set()
    return found


if __name__ == "__main__":
    main()
