"""The thread of a service that keeps the audit trail provable: the leader seals it at intervals, and sends it to the collector."""

from __future__ import annotations

import socket
import threading

from common.errors import CinefarmError
from common.logs import logger
from common.settings import Settings
from orchestrator.ledger.database import LedgerAway, Sessions
from orchestrator.ledger.locks import Leadership
from orchestrator.trust.exporting import collector_of, export
from orchestrator.trust.keys import load_signer
from orchestrator.trust.sealing import seal

log = logger(__name__)


class Keeper:
    """Works while the block lasts; what is written at its end is sealed before it ends.

    Raises:
        PolicyError: the key or the collector of the settings cannot be used.
    """

    def __init__(self, ledger: Sessions, leadership: Leadership, settings: Settings) -> None:
        self._ledger, self._leadership, self._seconds = ledger, leadership, settings.audit_seal_seconds
        self._signer = load_signer(settings.audit_key_file)
        self._collector, self._url = collector_of(settings), settings.audit_syslog_url
        self._source = settings.audit_source or socket.gethostname()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit-keeper", daemon=True)

    def __enter__(self) -> Keeper:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            last = self._stop.wait(self._seconds)
            if self._leadership.held:
                self._turn()
            if last:
                return

    def _turn(self) -> None:
        try:
            seal(self._ledger, self._signer)
            if self._collector is not None:
                export(self._ledger, self._collector, url=self._url, source=self._source)
        except CinefarmError as error:  # the next turn does it
            log.warning("audit_waits", error=error.code, message=error.message)
        except (*LedgerAway, OSError) as error:
            log.warning("audit_waits", error=type(error).__name__)
        except Exception:  # a bug here must not end sealing for ever
            log.exception("audit_keeper_broke")
