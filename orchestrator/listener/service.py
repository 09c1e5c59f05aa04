"""The listener at work: the network, the ledger's side of it, and the clock that starts jobs. One process of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.errors import EnvironmentFault
from common.logs import logger
from common.network.arrivals import new_arrival_id
from common.network.association import DEFAULT_PDU_BYTES
from common.network.storage_scp import Entrance, Report, StorageServer
from common.network.upper_layer import Patience
from common.settings import Settings
from common.store import ObjectStore
from orchestrator.ledger.database import LedgerAway, Sessions
from orchestrator.listener.custody import Custody
from orchestrator.listener.rules import Rules
from orchestrator.listener.studies import start_complete

if TYPE_CHECKING:
    import ssl

log = logger(__name__)

LOOK_SECONDS = 1.0
"""How often studies are looked at."""

SWEEP_SECONDS = 3600.0
"""How often the store is compared with the ledger, and bytes of finished items are deleted; at the start too."""


@dataclass(frozen=True)
class Listener:
    """A running listener."""

    port: int


@contextmanager
def listener(
    settings: Settings, ledger: Sessions, store: ObjectStore, rules: Rules, *, port: int
) -> Iterator[Listener]:
    """Listen while the block lasts; what is being received at its end has ``drain_seconds`` to arrive.

    Raises:
        PolicyError: the port cannot be had, or a setting of TLS is wrong.
    """
    own = {
        settings.listen_aet or settings.dicom_ae_title,
        settings.dicom_ae_title,
    }  # archives send to the latter by C-MOVE
    custody = Custody(ledger, store, settings.dicom_ae_title)
    entrance = Entrance(
        settings.listen_address,
        port,
        titles=lambda title: title in own or rules.names(title),
        callers=rules.lets_in,
        classes=rules.classes,
        associations=settings.listen_associations,
        max_pdu_bytes=settings.dicom_max_pdu_bytes or DEFAULT_PDU_BYTES,
        patience=Patience(settings.listen_request_seconds, settings.listen_stall_seconds, settings.listen_idle_seconds),
        tls=_tls(settings),
        least_free_bytes=settings.listen_free_bytes,
    )
    began = new_arrival_id()
    with StorageServer(entrance, store, custody, _report(ledger, store, settings)) as server:
        keeper = _Keeper(custody, rules, server.receives, settings.listen_keep_days, began)
        log.info("listener_started", port=server.port, rules=len(rules.rules))
        with keeper:
            yield Listener(server.port)
        server.close(settings.drain_seconds)
        log.info("listener_stopped")


class _Keeper:
    """Starts jobs and keeps house, in a thread beside the network."""

    def __init__(
        self, custody: Custody, rules: Rules, receives: Callable[[str], bool], keep_days: float, began: str
    ) -> None:
        self._custody, self._rules, self._receives, self._keep_days = custody, rules, receives, keep_days
        self._before = began  # arrival ids: what is older was left by a listener that is gone
        self._sweep_due = 0.0
        self._reconsidered = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            try:
                self._work()
            except (*LedgerAway, EnvironmentFault, OSError) as error:
                log.warning("keeping_waits", error=type(error).__name__)
            except Exception:  # a bug here must not end the starting of jobs for ever
                log.exception("keeping_broke")

    def _work(self) -> None:
        if not self._reconsidered:
            self._custody.reconsider()
            self._reconsidered = True
        if time.monotonic() >= self._sweep_due:
            before, following = self._before, new_arrival_id()
            self._custody.recover(before=before)
            self._custody.release(self._keep_days)
            # an hour from now everything that begins before this moment has been answered
            self._before, self._sweep_due = following, time.monotonic() + SWEEP_SECONDS
        if self._rules.rules:
            start_complete(self._custody.ledger, self._rules, receives=self._receives)


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.listen_tls == "off":
        return None
    from common.network.tls import Credentials, server_context

    return server_context(Credentials.of(settings), anonymous_clients=settings.listen_tls == "anonymous")


def _report(ledger: Sessions, store: ObjectStore, settings: Settings) -> Report:
    """What archives report on commitments that were asked for goes into the ledger (docs/commitment.md)."""
    from common.network.commitment import answer_message
    from orchestrator.commitment import keeper
    from orchestrator.viewable import Keeping

    keep = keeper(ledger, store, keeping=Keeping.of(settings))
    return lambda event, data, syntax: answer_message(event, data, syntax, keep)
