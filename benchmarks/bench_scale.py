"""One large job from found to done: is any query slower at its end than at its start? Does Redis grow with the job?

Real orchestrator, ledger and broker; the workers' work is made up by a stub (a process that answers whatever lies in the queues).
Prints the median time of every statement while the first, the middle and the last items are worked on, the ratio of last to
first (aim: at most 2), and Redis' memory and number of keys at the same moments.
Usage: bench_scale.py [--items 20000] [--slots 100] [--ledger URL]
"""

from __future__ import annotations

import argparse
import base64
import json
import multiprocessing
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redis import Redis
from sqlalchemy import event
from synthetic import answer, broker_server, seed

from common import logs, queues
from common.leases import WorkerInfo, advertise, connect
from common.orders import ORDERS, WorkResult
from common.settings import Settings
from common.stages import State
from orchestrator.build import build_broker, build_ledger, build_orchestrator, build_store
from orchestrator.ledger.database import Sessions
from orchestrator.status import progress

PHASES = {"start": (0.05, 0.15), "middle": (0.45, 0.55), "end": (0.85, 0.95)}
"""Shares of items done: the pipeline is filled and not yet running dry."""

LEAST_CALLS = 20
WATCH_SECONDS = 0.4
NOISE_MS = 0.3
"""A statement this much faster than a scheduler's tick is compared with it, not with its own microseconds."""


def stub(url: str, slots: int) -> None:
    """A node that does nothing, at once: takes orders, marks their leases as ended, answers."""
    redis = connect(url)
    info = WorkerInfo(name="stub", queues=queues.WORK_QUEUES, slots=slots)
    due = 0.0
    while True:
        if time.monotonic() >= due:
            advertise(redis, info, ttl_seconds=60)
            due = time.monotonic() + 3
        texts = [text for queue in queues.WORK_QUEUES for text in redis.rpop(queue, 200) or ()]
        with redis.pipeline(transaction=False) as pipe:
            for text in texts:
                _answer(pipe, text)
            pipe.execute()
        if not texts:
            time.sleep(0.005)


def _answer(pipe: Any, text: str) -> None:
    _args, kwargs, _embed = json.loads(base64.b64decode(json.loads(text)["body"]))
    order = ORDERS.validate_python(kwargs["order"])
    result = WorkResult(
        order_id=order.order_id,
        item_id=order.item_id,
        attempt=order.attempt,
        worker="stub",
        seconds=0.0,
        done=answer(order),  # type: ignore[arg-type]
    )
    body = json.dumps([[], {"result": result.model_dump(mode="json")}, {}])
    pipe.set(f"lease:{order.order_id}", "ended", ex=300)
    pipe.lpush(queues.ORCHESTRATOR, json.dumps({"body": base64.b64encode(body.encode()).decode()}))


class Stopwatch:
    """Times every statement of an engine, by its text and by the phase of the job."""

    def __init__(self, ledger: Sessions) -> None:
        self.phase = ""
        self.seconds: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        engine = ledger.kw["bind"]
        event.listen(engine, "before_cursor_execute", self._before)
        event.listen(engine, "after_cursor_execute", self._after)

    def _before(self, _connection: Any, _cursor: Any, _text: str, _values: Any, context: Any, _many: bool) -> None:
        context.started = time.perf_counter()

    def _after(self, _connection: Any, _cursor: Any, text: str, values: Any, context: Any, many: bool) -> None:
        if self.phase:
            rows = len(values) if many else 1
            self.seconds[shape(text)][self.phase].append((time.perf_counter() - context.started) / rows)

    def table(self) -> list[tuple[str, list[float], float]]:
        """Statement, median milliseconds in each phase, last by first."""
        lines = []
        for text, phases in self.seconds.items():
            if all(len(phases[phase]) >= LEAST_CALLS for phase in PHASES):
                medians = [1000 * statistics.median(phases[phase]) for phase in PHASES]
                lines.append((text, medians, max(medians[2], NOISE_MS) / max(medians[0], NOISE_MS)))
        return sorted(lines, key=lambda line: -line[1][2])


def shape(text: str) -> str:
    """A statement without what differs between calls: the number of values in a list, the columns it reads."""
    words = " ".join(text.split())
    if words.startswith("SELECT") and " FROM " in words:
        words = words.partition(" FROM ")[2]
    start = words.find(" IN (")
    while start >= 0:
        stop = words.find(")", start)
        words = words[: start + 5] + "…" + words[stop:]
        start = words.find(" IN (", start + 6)
    return words


@contextmanager
def stub_worker(url: str, slots: int) -> Iterator[None]:
    """The stub in a process of its own."""
    process = multiprocessing.get_context("spawn").Process(target=stub, args=(url, slots), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def work(settings: Settings, ledger: Sessions, job_id: str, items: int, redis: Redis, watch: Stopwatch) -> None:
    """Turn until all is done; the job is watched as often as the command line does."""
    memory: dict[str, tuple[float, int]] = {}
    with build_broker(settings) as broker:
        orchestrator = build_orchestrator(settings, ledger, build_store(settings), broker)
        due, done, started = 0.0, 0, time.monotonic()
        while done < items:
            orchestrator.tick(seconds=0.05)
            if time.monotonic() < due:
                continue
            due = time.monotonic() + WATCH_SECONDS
            with ledger() as session:
                done = progress(session, job_id).counts.get(State.DONE, 0)
            watch.phase = next((name for name, (low, high) in PHASES.items() if low <= done / items < high), "")
            if watch.phase:
                memory[watch.phase] = (redis.info("memory")["used_memory"] / 1e6, redis.dbsize())
    seconds = time.monotonic() - started
    print(f"{items} items, {3 * items} orders in {seconds:.0f} s: {3 * items / seconds:.0f} orders/s")
    for name, (used, keys) in memory.items():
        print(f"Redis in the {name}: {used:.1f} MB, {keys} keys")


def main() -> None:
    """Run one job and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--slots", type=int, default=100)
    parser.add_argument("--ledger", default="", help="SQLAlchemy URL; default: a fresh SQLite file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cinefarm-bench-") as name, broker_server() as url:
        (source := Path(name) / "source").mkdir()
        settings = Settings(broker_url=url, ledger_url=options.ledger, state_dir=Path(name) / "state")
        logs.configure(Path("/dev/null"))
        ledger = build_ledger(settings)
        started = time.monotonic()
        job_id = seed(ledger, options.items, source)
        print(f"seeded in {time.monotonic() - started:.0f} s", flush=True)
        watch = Stopwatch(ledger)
        with stub_worker(url, options.slots):
            work(settings, ledger, job_id, options.items, connect(url), watch)
    lines = watch.table()
    print(f"{'start':>8} {'middle':>8} {'end':>8}  ratio  (median ms)")
    for text, medians, ratio in lines:
        print(" ".join(f"{each:8.3f}" for each in medians), f"{ratio:6.2f}  {text[:150]}")
    print(f"worst ratio of end to start: {max((ratio for _, _, ratio in lines), default=1.0):.2f} (aim: at most 2)")


if __name__ == "__main__":
    main()
