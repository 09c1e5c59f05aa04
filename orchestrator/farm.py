"""What the servers beside the loop share: HTTP API, web page and DICOMweb are given one ``Farm`` and open nothing themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from common.settings import Settings
from common.store import ObjectStore
from orchestrator.broker import CeleryBroker
from orchestrator.build import build_broker, build_store
from orchestrator.ledger.database import Sessions, reader_of
from orchestrator.service import wait_for_ledger


@dataclass(frozen=True)
class Farm:
    """The doors of one farm.

    ``ledger`` is for what changes rows (``with farm.ledger.begin() as session``), ``reading`` for what only looks
    (``with farm.reading() as session``): on SQLite it waits for no writer.
    """

    settings: Settings
    ledger: Sessions
    reading: Sessions
    store: ObjectStore
    broker: CeleryBroker


@contextmanager
def open_farm(settings: Settings, *, stopped: Callable[[], bool] = lambda: False) -> Iterator[Farm]:
    """Open ledger, store and broker of the settings; all of it is closed at the end of the block.

    Raises:
        PolicyError: a setting is wrong.
        EnvironmentFault: the ledger did not answer in time.
    """
    ledger = wait_for_ledger(settings, stopped)
    reading = reader_of(ledger)
    try:
        with build_broker(settings) as broker:
            yield Farm(settings, ledger, reading, build_store(settings), broker)
    finally:
        reading.kw["bind"].dispose()
        ledger.kw["bind"].dispose()
