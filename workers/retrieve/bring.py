"""Bring the source of an order to the store, should it not be there: whole and under its key at once, or not at all."""

from __future__ import annotations

from collections.abc import Callable

from common.bandwidth import Pace
from common.errors import PolicyError, UnreadableSource
from common.logs import logger
from common.orders import Retrieval
from common.settings import Settings
from common.store import ObjectStore

log = logger(__name__)


def bring(
    retrieval: Retrieval, key: str, store: ObjectStore, settings: Settings, pace: Pace, *, digest: str | None = None
) -> None:
    """Fetch one instance; nothing happens when it is there. ``digest``: SHA-256 of what was described, if it was.

    Raises:
        DestinationUnavailable: the archive is away or busy: try again.
        DestinationRefused: it does not give this instance to us in this way.
        NotSent: it tried and failed.
        UnreadableSource: it has no such instance (any more), or gives other bytes than when it was described.
        StoreFault: our store cannot take it.
        LeaseLost: the attempt was revoked.
    """
    if store.size(key) is not None:
        return
    if retrieval.method == "move":
        from workers.retrieve.move import fetch_by_move

        fetch_by_move(retrieval, key, store, settings, pace)
        return
    with store.writer(key) as writer:
        _fetch(retrieval, writer.write, settings, pace)
    log.info("source_fetched", method=retrieval.method, bytes=writer.stored.size_bytes)
    if digest is not None and writer.stored.digest != digest:
        store.delete(key)
        raise UnreadableSource(
            "the archive gives other bytes now than when this source was described",
            hint="`cinefarm retry JOB` describes it anew.",
        )


def _fetch(retrieval: Retrieval, write: Callable[[bytes], object], settings: Settings, pace: Pace) -> None:
    if retrieval.method == "get":
        from workers.retrieve.get import fetch_by_get

        fetch_by_get(retrieval, write, settings, pace)
        return
    raise PolicyError("sources on DICOMweb servers are not in this release")
