"""The orchestrator's heart: record what came back, watch the leases, fill the windows; again and again."""

from __future__ import annotations

import time
from collections.abc import Callable

from redis.exceptions import RedisError

from common.errors import EnvironmentFault
from common.logs import logger
from common.store import ObjectStore
from orchestrator.broker import Broker
from orchestrator.chunk_policy import Policy
from orchestrator.devices import DeviceWatch
from orchestrator.dispatcher import dispatch
from orchestrator.ledger.database import LedgerAway, Sessions
from orchestrator.ledger.locks import Leadership
from orchestrator.metrics import instruments
from orchestrator.proof import Patience
from orchestrator.recorder import Recorder
from orchestrator.sources import Sources
from orchestrator.watcher import Watcher
from orchestrator.window import Window

log = logger(__name__)

SWEEP_SECONDS = 1.0
DISPATCH_SECONDS = 0.25
"""How long a new item, or a slot that has come, waits at most while no results come in."""


class Orchestrator:
    """Ties ledger and broker together. Holds no state of its own: stop it anywhere, start another, or let several run.

    Every replica records and dispatches; the leader alone sweeps.
    """

    def __init__(
        self,
        ledger: Sessions,
        store: ObjectStore,
        broker: Broker,
        recorder: Recorder,
        watcher: Watcher,
        leadership: Leadership,
        *,
        overrun_seconds: float = 0.0,
        chunks: Policy | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._sources = Sources(store)
        self._broker = broker
        self._recorder = recorder
        self._watcher = watcher
        self._leadership = leadership
        self._overrun_seconds = overrun_seconds
        self._chunks = chunks or Policy()
        self._patience = patience or Patience()
        self._window = Window()
        self._devices = DeviceWatch(ledger, broker, recorder)
        self._next_sweep = self._next_dispatch = 0.0
        self._ended = 0  # orders, since the last dispatch

    def tick(self, *, seconds: float = 0.2) -> None:
        """One turn; waits at most ``seconds`` for results. Broker, ledger or store away: waited for, nothing is lost.

        A result whose transaction did not commit is kept and recorded at the next turn.
        """
        try:
            handled = self._broker.receive(self._recorder.record_all, seconds=seconds)
            if time.monotonic() >= self._next_sweep:
                if self._leadership.hold():
                    self._watcher.sweep()
                    self._devices.sweep()
                self._next_sweep = time.monotonic() + SWEEP_SECONDS
            self._ended += handled
            if self._window.is_low(self._ended) or time.monotonic() >= self._next_dispatch:
                dispatch(
                    self._ledger,
                    self._broker,
                    self._store,
                    sources=self._sources,
                    overrun_seconds=self._overrun_seconds,
                    chunks=self._chunks,
                    window=self._window,
                    patience=self._patience,
                )
                self._next_dispatch, self._ended = time.monotonic() + DISPATCH_SECONDS, 0
        except LedgerAway as error:
            instruments.faults.labels("ledger").inc()
            log.warning("ledger_away", error=type(error).__name__)
            time.sleep(seconds)
        except (RedisError, OSError) as error:
            instruments.faults.labels("broker").inc()
            log.warning("broker_away", error=type(error).__name__)
            time.sleep(seconds)
        except EnvironmentFault as error:
            instruments.faults.labels("store").inc()
            log.warning("store_away", error=type(error).__name__)
            time.sleep(seconds)

    def run(self, until: Callable[[], bool]) -> None:
        """Turn until ``until`` says so."""
        while not until():
            self.tick()
