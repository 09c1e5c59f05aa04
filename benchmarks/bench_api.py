"""Every list of the HTTP API with a full ledger, the web page's pages that are lists too, and 200 open event streams.

A real ``cinefarm api`` on a SQLite ledger whose items are spread over jobs and states; each address is asked one after the other,
by the 95th percentile of its answers. Then 200 streams are opened, and what they add to the memory of the server is taken when an
event has reached every one of them. Aims: 150 ms, 150 MB.
Usage: bench_api.py [--items 1000000] [--rounds 60] [--streams 200]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
from sqlalchemy import insert, update
from synthetic import broker_server, row
from table import Row, at_most

from common.recipes import ARCHIVE
from common.settings import Settings
from common.stages import State
from orchestrator.build import build_ledger
from orchestrator.jobs import JobRequest, submit
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import Item, StateChange

MOST_MS, MOST_MB = 150.0, 150.0
JOBS = 20
BATCH = 5_000
SPREAD = (State.DONE,) * 6 + (State.PLANNED,) * 2 + (State.FAILED, State.QUARANTINED)
CAUSES = {State.FAILED: "TruncatedSource", State.QUARANTINED: "gate.vmaf"}


def fill(ledger: Sessions, items: int) -> str:
    """Most items in one job, some in others; the id of the large one."""
    source = Path("/synthetic")
    jobs = [submit(ledger, JobRequest((f"/synthetic/{n}",), ("/out",), ARCHIVE, name=f"job {n}")) for n in range(JOBS)]
    few = items // 100
    shares = [items - few * (JOBS - 1), *[few] * (JOBS - 1)]
    for job, share in zip(jobs, shares, strict=True):
        for start in range(0, share, BATCH):
            with ledger.begin() as session:
                session.execute(insert(Item), [filled(job, n, source) for n in range(start, min(share, start + BATCH))])
    return jobs[0]


def filled(job: str, number: int, source: Path) -> dict[str, object]:
    """One item that has come some way."""
    state = SPREAD[number % len(SPREAD)]
    known = {"queue": "cpu", "study_uid": f"2.25.{number // 20}", "estimated_seconds": 12.5}
    # columns of one statement are the same for all rows
    return row(job, number, source) | known | {"state": state, "cause": CAUSES.get(state), "made_bytes": 500_000}


@contextmanager
def server(state: Path, broker_url: str) -> Iterator[tuple[str, psutil.Process]]:
    """A running ``cinefarm api``: its address and process."""
    argv = [sys.executable, "-m", "orchestrator", "api", "--port", "0", "--state", str(state)]
    environment = os.environ | {"CINEFARM_BROKER_URL": broker_url}
    with (state / "bench.log").open("wb") as log, subprocess.Popen(argv, env=environment, stderr=log) as process:
        try:
            while not (said := (state / "bench.log").read_text().partition("API on ")[2].strip()):
                if process.poll() is not None:
                    raise SystemExit((state / "bench.log").read_text())
                time.sleep(0.1)
            yield said.split()[0], psutil.Process(process.pid)
        finally:
            process.terminate()


def addresses(client: httpx.Client, job: str) -> dict[str, str]:
    """What is asked, by name. Cursors stand far inside the lists."""
    middle = client.get(f"/api/v1/jobs/{job}/items?limit=1").json()["items"][0]["item"]
    found = {
        "jobs": "/api/v1/jobs",
        "one job": f"/api/v1/jobs/{job}",
        "items": f"/api/v1/jobs/{job}/items",
        "items, page of 500": f"/api/v1/jobs/{job}/items?limit=500",
        "failed items": f"/api/v1/jobs/{job}/items?state=failed",
        "items by cause": f"/api/v1/jobs/{job}/items?cause=gate.vmaf",
        "items of a study": f"/api/v1/jobs/{job}/items?study=2.25.777",
        "one item": f"/api/v1/items/{middle}",
        "queues": "/api/v1/queues",
        "workers": "/api/v1/workers",
        "limits": "/api/v1/limits",
        "destinations": "/api/v1/destinations",
        "destination profiles": "/api/v1/destination-profiles",
        "profiles": "/api/v1/profiles",
        "readiness": "/api/v1/health/ready",
    }
    for name in ("items", "failed items", "items by cause"):
        path = found[name] + ("&" if "?" in found[name] else "?")
        deep = client.get(f"{path}cursor={_cursor(client, path)}")
        deep.raise_for_status()
        found[f"{name}, far inside"] = str(deep.request.url.raw_path.decode())
    return found


def _cursor(client: httpx.Client, path: str) -> str:
    """A cursor some pages on; cursors are opaque, so one walks."""
    cursor = ""
    for _ in range(20):
        after = client.get(f"{path}limit=500" + (f"&cursor={cursor}" if cursor else "")).json()["next"]
        if after is None:
            break
        cursor = after
    return cursor


def p95_ms(client: httpx.Client, path: str, rounds: int) -> float:
    """The 95th percentile of answers, ms."""
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        client.get(path).raise_for_status()
        taken.append(1000 * (time.perf_counter() - began))
    return sorted(taken)[max(0, round(0.95 * rounds) - 1)]


def streams_mb(url: str, process: psutil.Process, ledger: Sessions, job: str, count: int) -> float:
    """What so many open streams add to the server's memory, when an event has reached all of them, MB."""
    before = process.memory_info().rss
    ready, told = threading.Semaphore(0), threading.Semaphore(0)

    def follow() -> None:
        with (
            contextlib.suppress(httpx.TransportError),
            httpx.stream("GET", f"{url}/api/v1/events", timeout=120) as answer,
        ):
            for line in answer.iter_lines():
                if line == ": following":
                    ready.release()
                if line.startswith("data:"):
                    told.release()
                    done.wait()
                    return

    done = threading.Event()
    threads = [threading.Thread(target=follow, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for _ in threads:
        ready.acquire()
    with ledger.begin() as session:
        session.execute(insert(StateChange), [{"job_id": job, "item_id": "x", "before": "found", "after": "failed"}])
    for _ in threads:
        told.acquire()
    added = (process.memory_info().rss - before) / 1e6
    done.set()
    for thread in threads:
        thread.join()
    return added


def measure(items: int, rounds: int, streams: int) -> Iterator[tuple[str, float, str]]:
    """Name, figure, unit."""
    with tempfile.TemporaryDirectory(prefix="cinefarm-bench-") as name, broker_server() as broker_url:
        state = Path(name)
        ledger = build_ledger(Settings(state_dir=state))
        job = fill(ledger, items)
        with ledger.begin() as session:
            session.execute(update(Item).where(Item.job_id == job, Item.number == 1).values(reason="x"))
        with server(state, broker_url) as (url, process), httpx.Client(base_url=url, timeout=60) as client:
            for what, path in addresses(client, job).items():
                yield what, p95_ms(client, path, rounds), "ms"
            yield f"{streams} event streams", streams_mb(url, process, ledger, job, streams), "MB"
            yield "the whole server", process.memory_info().rss / 1e6, "MB in all"


def rows(*, quick: bool) -> Iterator[Row]:
    """The slowest list, and the memory of open streams."""
    items, rounds, streams = (2_000, 5, 10) if quick else (200_000, 40, 200)
    found = list(measure(items, rounds, streams))
    slowest = max((each for each in found if each[2] == "ms"), key=lambda each: each[1])
    memory = next(value for _, value, unit in found if unit == "MB")
    note = f"95th percentile of {rounds} answers"
    yield Row(
        f"slowest API list, {items} items: {slowest[0]}", slowest[1], MOST_MS, "ms", "asked", at_most(1), note=note
    )
    yield Row(f"{streams} open event streams", memory, MOST_MB, "MB", "asked", at_most(1))


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--streams", type=int, default=200)
    options = parser.parse_args()
    aims = {"ms": MOST_MS, "MB": MOST_MB}
    for what, value, unit in measure(options.items, options.rounds, options.streams):
        aim = aims.get(unit)
        verdict = "" if aim is None else f"  (aim {aim:g}: {'met' if value < aim else 'NOT MET'})"
        print(f"{what:32} {value:8.1f} {unit}{verdict}", flush=True)


if __name__ == "__main__":
    main()
