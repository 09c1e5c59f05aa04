"""Bring the source of an order to the store, should it not be there: whole and under its key at once, or not at all."""

from __future__ import annotations

from collections.abc import Callable

from common.bandwidth import Pace
from common.destinations import DicomDestination, parse_destination
from common.errors import RetrievalFailed, UnreadableSource
from common.logs import logger
from common.network.association import Caller, Timeouts
from common.network.find import ArchiveFinder
from common.network.query import Query
from common.orders import Retrieval
from common.settings import Settings
from common.store import ObjectStore
from workers.retrieve.suboperations import gone

log = logger(__name__)


def bring(
    retrieval: Retrieval, key: str, store: ObjectStore, settings: Settings, pace: Pace, *, digest: str | None = None
) -> None:
    """Fetch one instance; nothing happens when it is there. ``digest``: SHA-256 of what was described, if it was.

    Raises:
        DestinationUnavailable: the archive is away or busy: try again.
        DestinationRefused: it does not give this instance to us in this way.
        RetrievalFailed: it tried and failed.
        UnreadableSource: it has no such instance (any more), or gives other bytes than when it was described.
        StoreFault: our store cannot take it.
        LeaseLost: the attempt was revoked.
    """
    if store.size(key) is not None:
        return
    if retrieval.method == "move":
        from workers.retrieve.move import fetch_by_move

        try:
            fetch_by_move(retrieval, key, store, settings, pace)
        except RetrievalFailed:
            require_listed(retrieval, settings, pace.check)
            raise
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


def require_listed(retrieval: Retrieval, settings: Settings, check: Callable[[], None]) -> None:
    """Ask an archive that failed to send an instance whether it still has it: many do not tell the one from the other.

    Raises:
        UnreadableSource: it has not.
        DestinationUnavailable, DestinationRefused: it does not answer the question.
    """
    archive = parse_destination(retrieval.place)
    if not isinstance(archive, DicomDestination):
        return
    caller = Caller.of(settings, Timeouts(answer=60.0))
    only = Query({"SOPInstanceUID": retrieval.sop_instance_uid})
    with ArchiveFinder(archive, caller, check=check) as finder:
        there = finder.instances(retrieval.study_uid, retrieval.series_uid, only)
        if all(one.sop_instance_uid != retrieval.sop_instance_uid for one in there):
            raise gone()


def _fetch(retrieval: Retrieval, write: Callable[[bytes], object], settings: Settings, pace: Pace) -> None:
    if retrieval.method == "get":
        from workers.retrieve.get import fetch_by_get

        try:
            fetch_by_get(retrieval, write, settings, pace)
        except RetrievalFailed:
            require_listed(retrieval, settings, pace.check)
            raise
        return
    from workers.retrieve.web import fetch_from_web

    fetch_from_web(retrieval, write, settings, pace)
