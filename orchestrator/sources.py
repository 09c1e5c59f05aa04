"""Bring sources to where workers can read them, without holding up the dispatcher: a film takes minutes to upload."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path

from sqlalchemy import select

from common.errors import CinefarmError, InternalFault
from common.logs import logger
from common.settings import Settings
from common.stages import ENDS
from common.store import ObjectStore
from orchestrator.ingest.bucket import bring, in_bucket
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import Item

log = logger(__name__)

PREFIX = "sources/"
"""Of the keys that orchestrator.work.source_key gives."""

PAGE = 500
"""Keys looked up in the ledger at a time."""

PARALLEL = 4
"""Uploads at a time: small files wait for answers more than for the line."""

PATIENCE_SECONDS = 0.2
"""How long one turn waits for sources that are there in a moment, or there already."""


class Sources:
    """Adopts sources into the store: a folder gets links to files, at once; what has to be copied comes by threads."""

    def __init__(self, store: ObjectStore, settings: Settings | None = None) -> None:
        """``settings`` say how to reach the server of buckets that are sources; default: those of the environment."""
        self._store, self._settings = store, settings
        self._pool = ThreadPoolExecutor(PARALLEL, thread_name_prefix="sources")
        self._coming: dict[str, Future[None]] = {}

    def bring(self, wanted: Mapping[str, str]) -> dict[str, CinefarmError | None]:
        """What has become of sources (paths, or URIs of objects), by their keys: None, it is there; an error, it cannot be brought.

        Those that are still on their way are left out: ask again.
        """
        remote = {
            key: place for key, place in wanted.items() if in_bucket(place) or self._store.local_path(key) is None
        }
        outcomes = {key: self._adopted(key, Path(place)) for key, place in wanted.items() if key not in remote}
        for key, place in remote.items():
            if key not in self._coming:
                self._coming[key] = self._pool.submit(self._bring, key, place)
        wait([self._coming[key] for key in remote], timeout=PATIENCE_SECONDS)
        for key in remote:
            if self._coming[key].done():
                outcomes[key] = _outcome(self._coming.pop(key))
        return outcomes

    def holds(self, key: str) -> bool:
        """Whether the store has this object. Raises: StoreFault: it cannot be asked."""
        return self._store.size(key) is not None

    def close(self) -> None:
        """Start no more uploads; those that run are given up with the process."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _bring(self, key: str, place: str) -> None:
        if in_bucket(place):
            self._settings = self._settings or Settings()
            bring(place, key, self._store, self._settings)
        else:
            self._store.adopt(key, Path(place))

    def _adopted(self, key: str, path: Path) -> CinefarmError | None:
        try:
            self._store.adopt(key, path)
        except CinefarmError as error:
            return error
        return None


def _outcome(adopted: Future[None]) -> CinefarmError | None:
    error = adopted.exception()
    if error is None or isinstance(error, CinefarmError):
        return error
    return InternalFault(f"bringing a source to the store broke with {type(error).__name__}")


def forget_settled(ledger: Sessions, store: ObjectStore, *, stopped: Callable[[], bool]) -> int:
    """Delete sources that no item needs any more: of cancelled ones, of ones whose last worker died. Returns how many.

    An item that starts again in this moment has its source brought again.
    """
    deleted = 0
    keys = store.keys(PREFIX)
    while not stopped() and (batch := list(islice(keys, PAGE))):
        ids = {key.removeprefix(PREFIX): key for key in batch}
        with ledger() as session:
            needed = set(session.scalars(select(Item.id).where(Item.id.in_(ids), Item.state.not_in(ENDS))))
        for item_id in ids.keys() - needed:
            store.delete(ids[item_id])
            deleted += 1
    if deleted:
        log.info("sources_forgotten", count=deleted)
    return deleted
