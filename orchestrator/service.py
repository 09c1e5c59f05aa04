"""The orchestrator as a service: jobs come through the ledger, several replicas may run, SIGTERM ends it within seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from common.alive import touch
from common.broker_access import greet_broker
from common.errors import DestinationUnavailable, EnvironmentFault
from common.logs import logger
from common.settings import Settings
from common.store import ObjectStore
from orchestrator.build import build_broker, build_ledger, build_orchestrator, build_store, prepare_store
from orchestrator.embedded import state_lock
from orchestrator.ledger.database import LedgerAway, Sessions
from orchestrator.ledger.locks import Leadership
from orchestrator.listing import list_job, note_listing, unlisted_jobs
from orchestrator.loop import Orchestrator
from orchestrator.reconciler import reconcile
from orchestrator.trust.keeper import Keeper
from orchestrator.trust.starting import on_record
from orchestrator.viewable import Keeping

log = logger(__name__)

LOOK_SECONDS = 1.0
"""How soon the leader sees a job that was submitted."""

ALIVE_SECONDS = 3.0
"""How often the loop touches ``Settings.alive_file``; a health check allows ten times as much."""

LIST_AGAIN_SECONDS = 60.0
"""Wait after an archive did not answer the query of a job; what is listed by then is listed."""

LEDGER_PATIENCE_SECONDS = 120.0
"""How long a starting service waits for its database: both may be started together."""


class Housekeeper:
    """What takes long and needs the lead: lists new jobs and reconciles, in a thread beside the loop.

    It reconciles every ``Settings.reconcile_seconds``, and at once when this replica takes the lead.
    """

    def __init__(self, ledger: Sessions, store: ObjectStore, leadership: Leadership, settings: Settings) -> None:
        self._ledger, self._store, self._leadership, self._settings = ledger, store, leadership, settings
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeper", daemon=True)
        self._reconcile_due = 0.0
        self._list_due: dict[str, float] = {}  # jobs whose archive was away → when it is asked again

    def __enter__(self) -> Housekeeper:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            if not self._leadership.held:
                self._reconcile_due = 0.0
                continue
            try:
                self._work()
            except (*LedgerAway, EnvironmentFault, OSError) as error:
                log.warning("housekeeping_waits", error=type(error).__name__)
            except Exception:  # a bug here must not end listing for ever
                log.exception("housekeeping_broke")

    def _work(self) -> None:
        if time.monotonic() >= self._reconcile_due:
            keeping = Keeping.of(self._settings)
            reconcile(self._ledger, self._store, keeping=keeping, stopped=self._stopped)
            self._reconcile_due = time.monotonic() + self._settings.reconcile_seconds
        for job_id in unlisted_jobs(self._ledger):
            if self._stopped():
                return
            if time.monotonic() >= self._list_due.get(job_id, 0.0):
                self._list(job_id)

    def _list(self, job_id: str) -> None:
        """An archive that is away holds up its own job only."""
        try:
            list_job(self._ledger, self._store, job_id, self._settings, stopped=self._stopped)
            self._list_due.pop(job_id, None)
        except DestinationUnavailable as error:
            log.warning("listing_waits", job=job_id, message=error.message)
            note_listing(self._ledger, job_id, "listing", f"{error.message}. {error.hint}".strip())
            self._list_due[job_id] = time.monotonic() + LIST_AGAIN_SECONDS

    def _stopped(self) -> bool:
        return self._stop.is_set() or not self._leadership.held


@dataclass(frozen=True)
class Service:
    """A running orchestrator and what belongs to it."""

    orchestrator: Orchestrator
    ledger: Sessions
    leadership: Leadership
    alive_file: Path | None = None

    def run(self, stopped: Callable[[], bool]) -> None:
        """Turn until ``stopped``; a turn lasts a fraction of a second when nothing is away."""
        log.info("service_started")
        touched_at = -ALIVE_SECONDS

        def ended() -> bool:
            nonlocal touched_at
            if time.monotonic() - touched_at >= ALIVE_SECONDS:
                touch(self.alive_file)
                touched_at = time.monotonic()
            return stopped()

        self.orchestrator.run(ended)
        log.info("service_stopped")


@contextmanager
def service(
    settings: Settings, *, stopped: Callable[[], bool] = lambda: False, locked: bool = False
) -> Iterator[Service]:
    """Open ledger, store and broker, keep house in a thread; all of it is closed at the end of the block.

    Running orders go on when the service ends: their leases are renewed by their workers, and the next orchestrator, or
    another replica, records their results. ``locked``: the caller holds the lock of the state directory.

    Raises:
        StoreFault: the object store cannot be used.
        PolicyError: the ledger is SQLite and another farm works with its state directory; settings of the broker are wrong.
        EnvironmentFault: the ledger did not answer for LEDGER_PATIENCE_SECONDS; the broker refuses us.
    """
    with ExitStack() as stack:
        if not (locked or is_shared(settings)):
            stack.enter_context(state_lock(settings.state_dir))
        greet_broker(settings)
        ledger, store = wait_for_ledger(settings, stopped), build_store(settings)
        prepare_store(store)
        broker = stack.enter_context(build_broker(settings))
        leadership = Leadership(ledger.kw["bind"])
        stack.callback(leadership.release)
        stack.enter_context(Housekeeper(ledger, store, leadership, settings))
        stack.enter_context(Keeper(ledger, leadership, settings))
        stack.enter_context(on_record(ledger, settings))
        yield Service(
            build_orchestrator(settings, ledger, store, broker, leadership), ledger, leadership, settings.alive_file
        )


def is_shared(settings: Settings) -> bool:
    """True when the ledger admits several replicas (PostgreSQL)."""
    return bool(settings.ledger_url) and make_url(settings.ledger_url).get_backend_name() == "postgresql"


def wait_for_ledger(settings: Settings, stopped: Callable[[], bool], *, durable: bool = False) -> Sessions:
    """The ledger of the settings, once its server answers; ``durable``: see open_ledger.

    Raises:
        EnvironmentFault: it did not answer for LEDGER_PATIENCE_SECONDS.
    """
    end = time.monotonic() + LEDGER_PATIENCE_SECONDS
    while True:
        try:
            return build_ledger(settings, durable=durable)
        except LedgerAway as error:
            if stopped() or time.monotonic() > end:
                hint = "Check CINEFARM_LEDGER_URL (address, user, password, sslrootcert), and that its database server runs."
                raise EnvironmentFault(f"the ledger does not answer: {_last_words(error)}", hint=hint) from error
            log.warning("ledger_away", error=type(error).__name__, message=_last_words(error))
            time.sleep(0.5)


def _last_words(error: DBAPIError) -> str:
    """What the driver said last, in one line: libpq repeats no password."""
    return (str(error.orig).strip().splitlines() or [type(error).__name__])[-1].strip()
