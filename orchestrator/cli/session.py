"""A job at work on the embedded farm: start all parts, list the sources beside the work, turn until nothing is left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from sqlalchemy import update

from common import logs
from common.store import ObjectStore
from orchestrator.build import (
    build_broker,
    build_ledger,
    build_orchestrator,
    build_store,
    prepare_store,
    require_buckets,
)
from orchestrator.cli.migration import Migration
from orchestrator.commitment import ask_again
from orchestrator.embedded import EmbeddedFarm, state_lock
from orchestrator.ingest.identifiers import put_identifiers
from orchestrator.jobs import Listing, ingest, submit
from orchestrator.ledger.database import LedgerAway, Sessions
from orchestrator.ledger.schema import Job
from orchestrator.listener.child import listening
from orchestrator.listing import note_listing
from orchestrator.loop import Orchestrator
from orchestrator.reconciler import recover_attempts, reopen_vanished
from orchestrator.status import Progress, progress
from orchestrator.trust.keys import Signer, load_signer
from orchestrator.trust.sealing import seal

log = logs.logger(__name__)

WATCH_SECONDS = 0.4
"""How often the job's state is read for the person who watches."""


@dataclass(frozen=True)
class Session:
    """One job on a running farm."""

    job_id: str
    ledger: Sessions
    orchestrator: Orchestrator
    farm: EmbeddedFarm
    lister: Lister

    def run(self, watch: Callable[[Progress], None], *, until: Callable[[Progress], bool]) -> Listing:
        """Turn the farm until all sources are listed and ``until`` holds; ``watch`` sees the job now and then.

        Raises:
            PolicyError: a source cannot be listed.
        """
        due = 0.0
        while True:
            self.orchestrator.tick()
            self.farm.keep_alive()
            if time.monotonic() < due:
                continue
            due = time.monotonic() + WATCH_SECONDS
            listing = self.lister.finished()  # asked first: items listed after the count below must not be missed
            with self.ledger() as session:
                seen = progress(session, self.job_id)
            watch(seen)
            if listing is not None and until(seen):
                return listing


@contextmanager
def running(asked: Migration, *, cpu_slots: int) -> Iterator[Session]:
    """Start (or go on with) the job on a farm of its own; all of it is stopped at the end of the block, whatever happens.

    Without ``cpu_slots`` nothing is transcoded and nothing delivered: sources are only described and planned.

    Raises:
        PolicyError: another farm works with this state directory.
        EnvironmentFault: the farm cannot be started, or its object store cannot be used.
    """
    settings = asked.settings
    with ExitStack() as stack:
        stack.enter_context(state_lock(settings.state_dir))
        (settings.state_dir / "logs").mkdir(exist_ok=True)
        logs.configure(settings.state_dir / "logs" / "orchestrator.jsonl")
        ledger, store = build_ledger(settings), build_store(settings)
        stack.callback(_seal, ledger, load_signer(settings.audit_key_file))
        prepare_store(store)
        require_buckets(asked.request.destinations, settings)
        recover_attempts(ledger)
        put_identifiers(asked.identifiers, store)
        job_id = submit(ledger, asked.request)
        ask_again(ledger, job_id)
        _only(ledger, job_id)
        reopen_vanished(ledger, store, job_id)
        farm = stack.enter_context(EmbeddedFarm(settings, cpu_slots=cpu_slots))
        broker = stack.enter_context(build_broker(farm.settings))
        stack.enter_context(listening(farm.settings, rules=False))
        lister = stack.enter_context(Lister(asked, ledger, store, job_id))
        yield Session(job_id, ledger, build_orchestrator(farm.settings, ledger, store, broker), farm, lister)


def _seal(ledger: Sessions, signer: Signer | None) -> None:
    """What was done is sealed at the end; where that fails, the next command seals it."""
    try:
        seal(ledger, signer)
    except LedgerAway as error:
        log.warning("audit_not_sealed", error=type(error).__name__)


def _only(ledger: Sessions, job_id: str) -> None:
    """One command works on its own job; others that were stopped half-way wait for theirs."""
    with ledger.begin() as session:
        session.execute(update(Job).values(paused=Job.id != job_id, halted=False))


class Lister:
    """Lists the sources in a thread, so that the first items are worked on while the last are found."""

    def __init__(self, asked: Migration, ledger: Sessions, store: ObjectStore, job_id: str) -> None:
        self._asked, self._ledger, self._store, self._job_id = asked, ledger, store, job_id
        self._listing: Listing | None = None
        self._error: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._list, name="lister", daemon=True)

    def __enter__(self) -> Lister:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def finished(self) -> Listing | None:
        """What was listed, once all is; None before.

        Raises:
            CinefarmError: what stopped it.
        """
        if self._error is not None:
            raise self._error
        return self._listing

    def _list(self) -> None:
        asked = self._asked
        try:
            self._listing = ingest(
                self._ledger,
                self._store,
                self._job_id,
                asked.request.sources,
                asked.mapping,
                asked.exclude,
                stopped=self._stop.is_set,
                settings=asked.settings,
                worklist=asked.request.worklist,
            )
            if not self._stop.is_set():
                note_listing(self._ledger, self._job_id, "listed")
        except BaseException as error:  # handed to the thread that waits
            self._error = error
