"""Gauges that the ledger and the broker answer at the moment of a scrape. Cheap with a million items: sums of tallies and open orders."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import func, select

from common import __version__, queues
from orchestrator.backlog import backlog_of, open_orders
from orchestrator.farm import Farm
from orchestrator.ledger.schema import Destination, Tally, now
from orchestrator.metrics.instruments import place

KEEP_SECONDS = 2.0
"""Several scrapers, or an impatient one, cost the ledger one look in this time."""


class FarmCollector(Collector):
    """The farm as it stands."""

    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self._kept: list[GaugeMetricFamily] = []
        self._looked_at = float("-inf")
        self._lock = threading.Lock()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges, at most KEEP_SECONDS old."""
        with self._lock:
            if time.monotonic() - self._looked_at > KEEP_SECONDS:
                self._kept, self._looked_at = [*self._ledger(), *self._workers(), _build()], time.monotonic()
            yield from self._kept

    def _ledger(self) -> Iterator[GaugeMetricFamily]:
        with self._farm.reading() as session:
            out, running = open_orders(session)
            waiting, seconds = backlog_of(session)
            tallies = session.execute(
                select(Tally.state, func.sum(Tally.items), func.sum(Tally.bytes), func.sum(Tally.made_bytes)).group_by(
                    Tally.state
                )
            ).all()
            causes = session.execute(
                select(Tally.cause, func.sum(Tally.items)).where(Tally.cause != "").group_by(Tally.cause)
            ).all()
            away = session.execute(select(Destination.uri, Destination.paused_until)).all()
        names = sorted({*queues.WORK_QUEUES, *out, *waiting})
        yield _gauge(
            "cinefarm_backlog_seconds",
            "Estimated work that waits, on one slot.",
            "queue",
            {n: seconds[n] for n in names},
        )
        yield _gauge(
            "cinefarm_backlog_items",
            "Items whose next order belongs to the queue.",
            "queue",
            {n: waiting[n] for n in names},
        )
        yield _gauge("cinefarm_orders_out", "Orders in the broker or at work.", "queue", {n: out[n] for n in names})
        yield _gauge("cinefarm_orders_running", "Orders at work.", "queue", {n: running[n] for n in names})
        states = {str(state.value): (items or 0, size or 0, made or 0) for state, items, size, made in tallies}
        yield _gauge("cinefarm_items", "Items by state.", "state", {state: row[0] for state, row in states.items()})
        yield _gauge(
            "cinefarm_source_bytes",
            "Bytes of their sources.",
            "state",
            {state: row[1] for state, row in states.items()},
        )
        yield _gauge(
            "cinefarm_result_bytes",
            "Bytes that were made of them.",
            "state",
            {state: row[2] for state, row in states.items()},
        )
        yield _gauge(
            "cinefarm_set_aside_items",
            "Items that failed or are quarantined.",
            "cause",
            {cause: count or 0 for cause, count in causes},
        )
        paused = {place(uri): float(until is not None and until > now()) for uri, until in away}
        yield _gauge(
            "cinefarm_destination_paused",
            "1 while a destination that does not answer is waited for.",
            "destination",
            paused,
        )

    def _workers(self) -> Iterator[GaugeMetricFamily]:
        live = self._farm.broker.workers()
        states: dict[str, float] = {}
        slots: dict[str, float] = {}
        for info in live:
            states[info.state.value] = states.get(info.state.value, 0) + 1
            for queue in info.queues:
                slots[queue] = slots.get(queue, 0) + info.offered
        yield _gauge("cinefarm_workers", "Live workers by state.", "state", states)
        yield _gauge("cinefarm_slots", "Orders at a time that workers offer.", "queue", slots)


def _build() -> GaugeMetricFamily:
    return _gauge("cinefarm_build_info", "1, with the version.", "version", {__version__: 1.0})


def _gauge(name: str, words: str, label: str, values: dict[str, Any]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, words, labels=[label])
    for value, figure in values.items():
        family.add_metric([value], float(figure))
    return family
