"""Fetches from archives that lie at the source: how many go out at a time, and how fast, as the archive's limits say.

A fetch is a describe order: the worker brings the source before it reads it. Its archive's row among the destinations holds the
limits, so an archive that is both source and destination has one set of them.
"""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import ColumnElement, or_

from common.orders import DescribeOrder
from orchestrator.ledger.schema import Item, Job
from orchestrator.limits import Doors

PLACE = Item.retrieval["place"].as_string()

_SCHEMES = ("dicom://", "dicom+tls://", "dicomweb+http://", "dicomweb+https://")


class Fetches:
    """The archives that sources lie in, at one moment."""

    def __init__(self, doors: Doors, slots: int) -> None:
        self._doors, self._slots = doors, slots

    def room(self, job: Job, free: int) -> int:
        """How many items of a job may be described now, at most ``free``."""
        places = _archives(job)
        if not places or len(places) < len(job.sources):  # the others lie in folders
            return free
        return min(free, sum(self._doors.room(job, place, free) for place in set(places)))

    def fits(self, job: Job) -> list[ColumnElement[bool]]:
        """Leaves out items in archives that take no more now."""
        full = [place for place in set(_archives(job)) if self._doors.room(job, place, 1) == 0]
        return [or_(PLACE.is_(None), PLACE.not_in(full))] if full else []

    def admits(self, job: Job, item: Item) -> bool:
        """Whether an item's archive takes one more; if so it is counted."""
        if item.retrieval is None:
            return True
        place = str(item.retrieval["place"])
        if self._doors.room(job, place, 1) == 0:
            return False
        self._doors.take(place)
        return True

    def paced(self, order: DescribeOrder) -> DescribeOrder:
        """The order with what its archive bears."""
        if order.retrieval is None:
            return order
        share = asdict(self._doors.share(order.retrieval.place, self._slots))
        return order.model_copy(update={"retrieval": order.retrieval.model_copy(update=share)})


def _archives(job: Job) -> list[str]:
    """Addresses of a job's sources that are archives, as its items name them."""
    return [source.partition("?")[0] for source in job.sources if source.startswith(_SCHEMES)]
