"""No-op orders, from dispatched to recorded, beside bare no-op Celery tasks: same broker, same worker processes, same run.

Prints orders/s of both, round by round, and the median ratio (aim: at least 0.6 on SQLite, 0.5 on PostgreSQL); beside them the CPU
time that a task and an order take in each process (user and system), which says more on a machine that others use too.
A PostgreSQL server's own processes are not among them.
Usage: bench_orders.py [--orders 3000] [--rounds 3] [--slots 2] [--ledger URL]
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil
from celery import Celery, shared_task
from redis import Redis
from sqlalchemy import select
from synthetic import answer, broker_server, seed
from table import Row, at_least

from common import logs, queues
from common.farm import make_app
from common.leases import connect, live_workers
from common.settings import Settings
from common.stages import State
from orchestrator.build import build_broker, build_ledger, build_orchestrator, build_store
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import Item
from orchestrator.loop import Orchestrator
from workers import serve
from workers.attempt import Attempt, Done, Order
from workers.build import Worker

BARE = "bench.noop"
WARM_UP = 300
"""Tasks and orders before the first measured ones: modules are loaded, statements compiled, windows learned."""


@shared_task(name=BARE, ignore_result=True)
def noop() -> None:
    """Nothing, done by Celery."""


class NoopWorker(Worker):
    """Answers at once."""

    def work(self, order: Order, attempt: Attempt) -> Done:  # noqa: ARG002
        return answer(order)


def serve_noop(settings: Settings, slots: int, log: Path) -> None:
    """The product's worker around no work."""
    logs.configure(log)
    serve.Worker = NoopWorker  # type: ignore[misc]
    serve.serve(settings, queues=(queues.DESCRIBE,), slots=slots, name="noop")


@contextmanager
def worker(settings: Settings, slots: int) -> Iterator[int]:
    """A worker process with its pool, ready to take orders: its process id."""
    process = multiprocessing.get_context("spawn").Process(
        target=serve_noop, args=(settings, slots, settings.state_dir / "worker.jsonl")
    )
    process.start()
    try:
        wait(lambda: bool(live_workers(connect(settings.broker_url))))
        yield process.pid or 0
    finally:
        process.terminate()
        process.join()


def wait(ready: Callable[[], bool]) -> None:
    """Until something is so."""
    while not ready():
        time.sleep(0.002)


def bare_rate(app: Celery, redis: Redis, count: int) -> float:
    """Tasks per second from the first publish until the last one was taken from the queue."""
    started = time.monotonic()
    for _ in range(count):
        app.send_task(BARE, queue=queues.DESCRIBE)
    wait(lambda: redis.llen(queues.DESCRIBE) == 0)
    return count / (time.monotonic() - started)


def order_rate(orchestrator: Orchestrator, ledger: Sessions, state_dir: Path, count: int) -> float:
    """Orders per second from the first dispatch until the ledger has recorded the last answer."""
    job_id = seed(ledger, count, state_dir)
    started = time.monotonic()
    while waiting(ledger, job_id):
        orchestrator.tick(seconds=0.01)
    seconds = time.monotonic() - started
    return count / seconds


class CpuTimes:
    """CPU seconds, user and system, of all that take part: this process, the worker's main process, its pool, the broker."""

    def __init__(self, worker_pid: int, broker_pid: int) -> None:
        main = psutil.Process(worker_pid)
        self._groups = {"here": [psutil.Process()], "worker": [main], "pool": main.children(recursive=True)}
        self._groups["broker"] = [psutil.Process(broker_pid)]

    def of(self, run: Callable[[], float], count: int) -> tuple[float, str]:
        """What ``run`` returns, and in words what it cost by process, ms for each of ``count``."""
        before = self._read()
        result = run()
        spent = {name: 1000 * (seconds - before[name]) / count for name, seconds in self._read().items()}
        words = " + ".join(f"{name} {each:.2f}" for name, each in spent.items())
        return result, f"{words} = {sum(spent.values()):.2f} ms"

    def _read(self) -> dict[str, float]:
        times = {name: [process.cpu_times() for process in some] for name, some in self._groups.items()}
        return {name: sum(each.user + each.system for each in some) for name, some in times.items()}


def waiting(ledger: Sessions, job_id: str) -> bool:
    """True while the order of an item is not recorded yet."""
    with ledger() as session:
        found = select(Item.id).where(Item.job_id == job_id, Item.state == State.FOUND).limit(1)
        return session.scalar(found) is not None


def rows(*, quick: bool) -> Iterator[Row]:
    """No-op orders on SQLite, against no-op tasks of Celery."""
    count, rounds = (60, 1) if quick else (3000, 3)
    pairs = measure(count, rounds, 2, "")
    bare, ours = (statistics.median(each) for each in zip(*pairs, strict=True))
    ratio = statistics.median(order / task for task, order in pairs)
    note = f"median of {rounds} rounds"
    yield Row(
        "no-op orders, SQLite", ours, bare, "/s", "bare no-op Celery tasks", at_least(0.6), ratio=ratio, note=note
    )


def main() -> None:
    """Run both in turn and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--ledger", default="", help="SQLAlchemy URL; default: a fresh SQLite file")
    options = parser.parse_args()
    pairs = measure(options.orders, options.rounds, options.slots, options.ledger)
    median = statistics.median(orders / bare for bare, orders in pairs)
    print(f"median ratio: {median:.2f} (aim: at least 0.6 on SQLite, 0.5 on PostgreSQL)")


def measure(count: int, rounds: int, slots: int, ledger_url: str) -> list[tuple[float, float]]:
    """(bare tasks/s, orders/s) of each round."""
    pairs = []
    with tempfile.TemporaryDirectory(prefix="cinefarm-bench-") as name, broker_server() as url:
        settings = Settings(broker_url=url, ledger_url=ledger_url, state_dir=Path(name))
        logs.configure(Path(name) / "orchestrator.jsonl")
        ledger, store = build_ledger(settings), build_store(settings)
        with worker(settings, slots) as pid, build_broker(settings) as broker:
            orchestrator = build_orchestrator(settings, ledger, store, broker)
            app, redis = make_app(settings), connect(url)
            bare_rate(app, redis, WARM_UP)
            order_rate(orchestrator, ledger, Path(name) / "warm-up", WARM_UP)
            cpu = CpuTimes(pid, int(redis.info("server")["process_id"]))
            for round_ in range(rounds):
                bare, bare_cost = cpu.of(partial(bare_rate, app, redis, count), count)
                orders, cost = cpu.of(partial(order_rate, orchestrator, ledger, Path(name) / str(round_), count), count)
                pairs.append((bare, orders))
                print(f"bare no-op tasks {bare:.0f}/s · orders {orders:.0f}/s · ratio {orders / bare:.2f}")
                print(f"  CPU a task: {bare_cost}\n  CPU an order: {cost}", flush=True)
    return pairs


if __name__ == "__main__":
    main()
