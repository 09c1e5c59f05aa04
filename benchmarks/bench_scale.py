"""One large job from found to done: is any query slower at its end than at its start? Does Redis grow with the job?

Real orchestrator, ledger and broker; the workers' work is made up by a stub (a process that answers whatever lies in the queues).
The first, the middle and the last ``--slice`` items are really worked on; those between them are written as done, with their
attempts and deliveries, in a few large statements: the tables are as full as if all had been worked on. On PostgreSQL VACUUM ANALYZE
follows: as many changes one by one take an hour, in which autovacuum does so many times (migration 0009).
Prints the median time of every statement in the three slices, the ratio of last to first (aim: at most 2), Redis' memory and
number of keys, and the memory of this process. The ratio of the fastest quarters stands beside it: what only the median says, other
work on the machine has done.
Usage: bench_scale.py [--items 1000000] [--slice 5000] [--slots 100] [--ledger URL]
"""

from __future__ import annotations

import argparse
import base64
import json
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event, exists, func, insert, literal, select, update
from synthetic import answer, broker_server, seed
from table import Row, at_most

from common import logs, queues
from common.leases import WorkerInfo, advertise, connect
from common.orders import ORDERS, WorkResult
from common.settings import Settings
from common.stages import State
from orchestrator.build import build_broker, build_ledger, build_orchestrator, build_store
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import Attempt, Base, Delivery, Item, now
from orchestrator.loop import Orchestrator
from orchestrator.status import progress

PHASES = ("start", "middle", "end")
LEAST_CALLS = 20
WATCH_SECONDS = 0.4
Line = tuple[str, list[float], float, float]
"""A statement, its median milliseconds by phase, last by first: of the medians, and of the fastest quarters."""
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
    pipe.set(f"lease:{order.order_id}", "ended", ex=300)
    pipe.lpush(queues.ORCHESTRATOR, result.model_dump_json(exclude_none=True))


def peak_mb() -> float:
    """Largest resident size of this process so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


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

    def table(self) -> list[Line]:
        """Statement, median milliseconds in each phase, last by first: of the medians, and of the fastest quarters."""
        lines = []
        for text, phases in self.seconds.items():
            if all(len(phases[phase]) >= LEAST_CALLS for phase in PHASES):
                quartiles = [statistics.quantiles(phases[phase], n=4) for phase in PHASES]
                quick, medians = ([1000 * each[nth] for each in quartiles] for nth in (0, 1))
                lines.append((text, medians, last_by_first(medians), last_by_first(quick)))
        return sorted(lines, key=lambda line: -line[1][2])


def last_by_first(milliseconds: list[float]) -> float:
    """How many times slower the last is than the first; see NOISE_MS."""
    return max(milliseconds[-1], NOISE_MS) / max(milliseconds[0], NOISE_MS)


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


def work(orchestrator: Orchestrator, ledger: Sessions, job_id: str, until: int, watch: Stopwatch, phase: str) -> None:
    """Turn until so many are done; the job is watched as often as the command line does."""
    due, done, first, started = 0.0, 0, 0, time.monotonic()
    while done < until:
        orchestrator.tick(seconds=0.05)
        if time.monotonic() < due:
            continue
        due = time.monotonic() + WATCH_SECONDS
        with ledger() as session:
            done = progress(session, job_id).counts.get(State.DONE, 0)
        first = first or done
        watch.phase = phase if done > first else ""  # the pipeline is filled
    watch.phase = ""
    seconds = time.monotonic() - started
    print(f"{phase}: {3 * (until - first) / seconds:.0f} orders/s", flush=True)


def fast_forward(ledger: Sessions, job_id: str, last: int) -> None:
    """Write all items up to this number that nobody works on as done, like one that really is."""
    with ledger.begin() as session:
        model = session.scalars(select(Item).where(Item.job_id == job_id, Item.state == State.DONE).limit(1)).one()
        delivery = session.scalars(select(Delivery).where(Delivery.item_id == model.id)).one()
        tries = session.scalars(select(Attempt).where(Attempt.item_id == model.id)).all()
        idle = ~exists().where(Attempt.item_id == Item.id)
        done = {name: getattr(model, name) for name in ("state", "queue", "plan", "description", "result")}
        skipped = f"written as done, up to {last}"
        session.execute(
            update(Item)
            .where(Item.job_id == job_id, Item.number <= last, Item.state == State.FOUND, idle)
            .values(done | {"reason": skipped, "digest": Item.id + Item.id, "updated_at": now()}),
            execution_options={"synchronize_session": False},
        )
        these = (Item.job_id == job_id, Item.reason == skipped)
        for number, one in enumerate(tries):
            copied = _copied(Attempt, one, order_id=literal(f"{number}-") + func.substr(Item.id, 3), item_id=Item.id)
            session.execute(insert(Attempt).from_select(list(copied), select(*copied.values()).where(*these)))
        copied = _copied(Delivery, delivery, item_id=Item.id)
        del copied["id"]
        session.execute(insert(Delivery).from_select(list(copied), select(*copied.values()).where(*these)))
    engine: Engine = ledger.kw["bind"]
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")


def _copied(table: type[Base], row: Base, **others: Any) -> dict[str, Any]:
    """A row's values as a select's columns, some of them replaced."""
    return {
        column.key: others.get(column.key, literal(getattr(row, column.key), column.type))
        for column in table.__table__.columns
    }


def rows(*, quick: bool) -> Iterator[Row]:
    """The statement that a full ledger slows most, end against start; and the broker's memory."""
    items, part = (2_000, 400) if quick else (100_000, 2_000)
    lines, redis_mb = measure(items, part, 100, "")
    worst = lines[0] if lines else ("no statement came often enough", [1.0] * len(PHASES), 1.0, 1.0)
    what, asked = f"slowest growing statement of {items} items", at_most(2)
    note = f"fastest quarters {worst[3]:.2g}; under {NOISE_MS} ms counts as {NOISE_MS} ms"
    yield Row(
        what, worst[1][-1], worst[1][0], "ms", "the same statement at the start", asked, ratio=worst[2], note=note
    )
    yield Row(f"Redis, {items} items", redis_mb[-1], 10, "MB", "asked", at_most(1))


def main() -> None:
    """Run one job and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--slice", type=int, default=5_000)
    parser.add_argument("--slots", type=int, default=100)
    parser.add_argument("--ledger", default="", help="SQLAlchemy URL; default: a fresh SQLite file")
    options = parser.parse_args()
    lines, _ = measure(options.items, options.slice, options.slots, options.ledger)
    print(f"{'start':>8} {'middle':>8} {'end':>8}  ratio  quick  (median ms; quick: ratio of the fastest quarters)")
    for text, medians, ratio, quick in lines:
        print(" ".join(f"{each:8.3f}" for each in medians), f"{ratio:6.2f} {quick:6.2f}  {text[:150]}")
    worst = [max((line[nth] for line in lines), default=1.0) for nth in (2, 3)]
    print(f"worst ratio of end to start: {worst[0]:.2f} (aim: at most 2); of the fastest quarters: {worst[1]:.2f}")


def measure(items: int, part: int, slots: int, ledger_url: str) -> tuple[list[Line], list[float]]:
    """Run one job: the statements with their times, the worst first, and the broker's memory after each phase, MB."""
    redis_mb = []
    with tempfile.TemporaryDirectory(prefix="cinefarm-bench-") as name, broker_server() as url:
        (source := Path(name) / "source").mkdir()
        settings = Settings(broker_url=url, ledger_url=ledger_url, state_dir=Path(name) / "state")
        logs.configure(Path("/dev/null"))
        ledger, redis = build_ledger(settings), connect(url)
        started = time.monotonic()
        job_id = seed(ledger, items, source)
        print(f"{items} items seeded in {time.monotonic() - started:.0f} s", flush=True)
        watch = Stopwatch(ledger)
        with stub_worker(url, slots), build_broker(settings) as broker:
            orchestrator = build_orchestrator(settings, ledger, build_store(settings), broker)
            ends = (part, items // 2, items)
            for phase, end in zip(PHASES, ends, strict=True):
                if phase != PHASES[0]:
                    started = time.monotonic()
                    fast_forward(ledger, job_id, end - part)
                    print(f"up to {end - part} written as done in {time.monotonic() - started:.0f} s", flush=True)
                work(orchestrator, ledger, job_id, end - part // 10, watch, phase)
                redis_mb.append(redis.info("memory")["used_memory"] / 1e6)
                print(
                    f"{phase}: Redis {redis_mb[-1]:.1f} MB, {redis.dbsize()} keys; this process {peak_mb():.0f} MB at most"
                )
    return watch.table(), redis_mb


if __name__ == "__main__":
    main()
