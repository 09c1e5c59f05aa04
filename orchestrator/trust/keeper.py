"""The thread of a service that keeps the audit trail provable: the leader seals it at intervals."""

from __future__ import annotations

import threading

from common.errors import EnvironmentFault
from common.logs import logger
from common.settings import Settings
from orchestrator.ledger.database import LedgerAway, Sessions
from orchestrator.ledger.locks import Leadership
from orchestrator.trust.keys import load_signer
from orchestrator.trust.sealing import seal

log = logger(__name__)


class Keeper:
    """Works while the block lasts; what is written at its end is sealed before it ends.

    Raises:
        PolicyError: the key of the settings cannot be used.
    """

    def __init__(self, ledger: Sessions, leadership: Leadership, settings: Settings) -> None:
        self._ledger, self._leadership, self._seconds = ledger, leadership, settings.audit_seal_seconds
        self._signer = load_signer(settings.audit_key_file)
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
        except (*LedgerAway, EnvironmentFault, OSError) as error:  # the next turn does it
            log.warning("audit_waits", error=type(error).__name__)
        except Exception:  # a bug here must not end sealing for ever
            log.exception("audit_keeper_broke")
