"""Errands of the API: what takes a while (a plan, a probe) is done in a thread, and the ledger says how it stands.

Any replica can tell of an errand; the one that was asked does it. When that process dies the errand has failed: ask again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import delete, select, update

from common.errors import CinefarmError, ConflictingRequest, InternalFault, UnknownName
from common.logs import logger
from common.store import ObjectStore
from orchestrator.ledger.database import LedgerAway, Sessions
from orchestrator.ledger.schema import Errand, now

log = logger(__name__)

AT_A_TIME = 2
"""Errands that one process does; a plan keeps all cores busy by itself."""

MOST_WAITING = 50

BEAT_SECONDS = 2.0
"""How often a running errand says that it lives, and hears that nobody wants it any more."""

LOST_AFTER = timedelta(seconds=60)
KEPT = timedelta(days=7)
_SWEPT = 20

OPEN = ("waiting", "running")


@dataclass
class Run:
    """An errand at work, as its work sees it."""

    id: str
    _ledger: Sessions = field(repr=False)
    _store: ObjectStore = field(repr=False)
    unwanted: threading.Event = field(default_factory=threading.Event)
    pages: int = 0
    done: int = 0

    def add(self, lines: Sequence[str]) -> None:
        """Keep lines of the answer, in the object store: they may name patients."""
        if not lines:
            return
        self._store.put(page_key(self.id, self.pages), "\n".join(lines).encode())
        self.pages, self.done = self.pages + 1, self.done + len(lines)
        with self._ledger.begin() as session:
            values = {"pages": self.pages, "done": self.done, "seen_at": now()}
            session.execute(update(Errand).where(Errand.id == self.id).values(**values))


Work = Callable[[Run], dict[str, Any]]


def page_key(errand_id: str, page: int) -> str:
    """Where some lines of an errand's answer lie in the store."""
    return f"errands/{errand_id}/{page:06}.jsonl"


class Errands:
    """Begins errands and ends them with the process."""

    def __init__(self, ledger: Sessions, store: ObjectStore) -> None:
        self._ledger, self._store = ledger, store
        self._pool = ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="errand")
        self._runs: dict[str, Run] = {}

    def begin(self, kind: str, asked: dict[str, Any], by: str, work: Work) -> str:
        """The id of a new errand, which ``work`` does; its result is small and JSON.

        Raises:
            ConflictingRequest: too many wait already.
        """
        if len(self._runs) >= MOST_WAITING:
            raise ConflictingRequest("too many errands wait already", hint="Cancel some, or come again later.")
        run = Run(uuid4().hex, self._ledger, self._store)
        self._sweep()
        with self._ledger.begin() as session:
            session.add(Errand(id=run.id, kind=kind, by=by, asked=asked))
        self._runs[run.id] = run
        threading.Thread(target=self._beat, args=(run,), name="errand-beat", daemon=True).start()
        self._pool.submit(self._do, run, work)
        return run.id

    def close(self) -> None:
        """The process ends: what is not done is not wanted."""
        for run in list(self._runs.values()):
            run.unwanted.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _do(self, run: Run, work: Work) -> None:
        try:
            if run.unwanted.is_set():
                return
            self._note(run, state="running")
            result = work(run)
            if not run.unwanted.is_set():
                self._note(run, state="done", result=result)
        except CinefarmError as error:
            self._note(run, state="failed", failure=_told(error))
        except Exception as error:
            log.exception("errand_broke", errand=run.id)
            self._note(run, state="failed", failure=_told(InternalFault(f"it broke with {type(error).__name__}")))
        finally:
            self._runs.pop(run.id, None)

    def _note(self, run: Run, **values: Any) -> None:
        """Write how it stands, unless somebody has cancelled it."""
        wanted = update(Errand).where(Errand.id == run.id, Errand.state.in_(OPEN))
        try:
            with self._ledger.begin() as session:
                session.execute(wanted.values(**values, seen_at=now()))
        except LedgerAway as error:  # then it is taken for lost, which it is
            log.warning("errand_not_noted", errand=run.id, error=type(error).__name__)

    def _beat(self, run: Run) -> None:
        while run.id in self._runs and not run.unwanted.wait(BEAT_SECONDS):
            self._note(run)
            with self._ledger() as session:
                state = session.scalar(select(Errand.state).where(Errand.id == run.id))
            if state not in (*OPEN, "done"):
                run.unwanted.set()

    def _sweep(self) -> None:
        """Forget what is a week old, some at a time."""
        with self._ledger.begin() as session:
            rows = session.execute(
                select(Errand.id, Errand.pages).where(Errand.created_at < now() - KEPT).limit(_SWEPT)
            ).all()
            session.execute(delete(Errand).where(Errand.id.in_([row.id for row in rows])))
        for errand_id, pages in rows:
            for page in range(pages):
                self._store.delete(page_key(errand_id, page))


def find(ledger: Sessions, kind: str, errand_id: str) -> Errand:
    """One errand; one whose process died has failed.

    Raises:
        UnknownName: there is none of this kind.
    """
    with ledger() as session:
        row = session.get(Errand, errand_id)
    if row is None or row.kind != kind:
        raise UnknownName(f"there is no such {kind}", hint=f"A {kind} is kept for seven days.")
    if row.state in OPEN and row.seen_at < now() - LOST_AFTER:
        row.state = "failed"
        row.failure = {"code": "Lost", "message": "the service that did it is gone", "hint": "Ask again."}
    return row


def cancel(ledger: Sessions, kind: str, errand_id: str) -> Errand:
    """Nobody wants it any more; what has ended stays as it is."""
    find(ledger, kind, errand_id)
    with ledger.begin() as session:
        wanted = update(Errand).where(Errand.id == errand_id, Errand.state.in_(OPEN))
        session.execute(wanted.values(state="cancelled"))
    return find(ledger, kind, errand_id)


def _told(error: CinefarmError) -> dict[str, Any]:
    return {"code": error.code, "message": error.message, "hint": error.hint}
