"""The orchestrator's heart: record what came back, watch the leases, fill the windows; again and again."""

from __future__ import annotations

import time
from collections.abc import Callable

from redis.exceptions import RedisError

from common.logs import logger
from common.store import ObjectStore
from orchestrator.broker import CeleryBroker
from orchestrator.dispatcher import dispatch
from orchestrator.ledger.database import Sessions
from orchestrator.recorder import Recorder
from orchestrator.watcher import Watcher

log = logger(__name__)

SWEEP_SECONDS = 1.0
DISPATCH_SECONDS = 0.25
"""How long a new item, or a slot that has come, waits at most while no results come in."""


class Orchestrator:
    """Ties ledger and broker together. Holds no state of its own: stop it anywhere, start another."""

    def __init__(
        self, ledger: Sessions, store: ObjectStore, broker: CeleryBroker, recorder: Recorder, watcher: Watcher
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._broker = broker
        self._recorder = recorder
        self._watcher = watcher
        self._next_sweep = self._next_dispatch = 0.0

    def tick(self, *, seconds: float = 0.2) -> None:
        """One turn; waits at most ``seconds`` for results. A broker that is away is waited for, nothing is lost."""
        try:
            handled = self._broker.receive(self._recorder.record, seconds=seconds)
            if time.monotonic() >= self._next_sweep:
                self._watcher.sweep()
                self._next_sweep = time.monotonic() + SWEEP_SECONDS
            if handled or time.monotonic() >= self._next_dispatch:
                dispatch(self._ledger, self._broker, self._store)
                self._next_dispatch = time.monotonic() + DISPATCH_SECONDS
        except (RedisError, OSError) as error:
            log.warning("broker_away", error=type(error).__name__)
            time.sleep(seconds)

    def run(self, until: Callable[[], bool]) -> None:
        """Turn until ``until`` says so."""
        while not until():
            self.tick()
