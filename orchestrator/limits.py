"""What may go out now: limits of queues and destinations, time windows, and destinations that are away.

All of it lies in the ledger, so every replica keeps the same limits and a change acts at once. How many deliveries a destination
has is counted by the attempts that are open; the dispatcher's lock on a queue's window makes the count hold across replicas.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from common import queues
from common.errors import PolicyError
from common.orders import Verify
from orchestrator.acceptance import Acceptance
from orchestrator.ledger.locks import lock_transaction
from orchestrator.ledger.schema import Attempt, Delivery, Destination, Item, Job, QueueLimit
from orchestrator.windows import HORIZON, parse_window


class Policy(StrEnum):
    """What happens to running work when its window closes."""

    FINISH = "finish"  # it may finish; nothing new begins
    STOP = "stop"  # it is stopped and done again in the next window; nobody is blamed


_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMG]?)(i?)(B|bit)/s")
_POWERS = {"": 0, "k": 1, "M": 2, "G": 3}


def parse_rate(text: str) -> int:
    """Bytes per second of ``20MB/s``, ``500 kB/s``, ``1MiB/s`` or ``100Mbit/s`` (k is 1000, ki is 1024).

    Raises:
        PolicyError: the text is no rate, or less than one byte per second.
    """
    found = _RATE.fullmatch(text.strip())
    rate = 0
    if found is not None:
        number, prefix, binary, unit = found.groups()
        rate = int(float(number) * (1024 if binary else 1000) ** _POWERS[prefix] / (8 if unit == "bit" else 1))
    if rate < 1:
        raise PolicyError(f"{text!r} is no rate", hint="Write it like 20MB/s, 500kB/s or 100Mbit/s.")
    return rate


@dataclass(frozen=True)
class Gate:
    """One moment, and what time windows let through then. ``overrun_seconds``: how far an estimate may reach past the end."""

    moment: datetime
    overrun_seconds: float = 0.0

    def is_open(self, window: str | None) -> bool:
        """Whether work may begin; without a window always."""
        return window is None or parse_window(window).is_open(self.moment)

    def fits(self, job: Job, seconds: ColumnElement[float]) -> list[ColumnElement[bool]]:
        """``fits_window`` for what one job sends. Work that is stopped when the window closes may begin at any time."""
        return [] if job.window_policy == Policy.STOP else self.fits_window(job.window, seconds)

    def fits_window(self, window: str | None, seconds: ColumnElement[float]) -> list[ColumnElement[bool]]:
        """The condition that work of so many estimated seconds is over when an open window closes; none: anything fits.

        What fits into no window at all would never begin: it may in the first half of one.
        """
        closes = parse_window(window).next_change(self.moment) if window else None
        if window is None or closes is None:
            return []
        opened = parse_window(window).last_change(self.moment) or closes - HORIZON
        left, whole = (closes - self.moment).total_seconds(), (closes - opened).total_seconds()
        in_time = seconds <= left + self.overrun_seconds
        return [or_(in_time, seconds > whole + self.overrun_seconds) if left >= whole / 2 else in_time]


@dataclass(frozen=True)
class Share:
    """What a delivery is told of its destination: its limit, how many keep it together at most, what counts as proof, its PDUs."""

    bytes_per_second: int | None
    sharers: int
    verify: Verify
    pdu_bytes: int | None = None
    keep_open: bool = True


def queue_limit(session: Session, queue: str) -> int | None:
    """Orders of a queue that may be out at a time, over all workers; None: as many as the slots allow."""
    return session.scalar(select(QueueLimit.concurrent).where(QueueLimit.queue == queue))


class Doors:
    """The destinations at one moment: which are open, and for how many more deliveries."""

    def __init__(self, session: Session, gate: Gate) -> None:
        self._session = session
        self._gate = gate
        self._rows = {row.uri: row for row in session.scalars(select(Destination))}
        self._closed = {uri for uri, row in self._rows.items() if not gate.is_open(row.window)}
        self._away = {uri for uri, row in self._rows.items() if row.paused_until and row.paused_until > gate.moment}
        self._room: dict[str, int] | None = None

    def holds(self, job: Job, destination: str | None) -> bool:
        """Whether an order that has not begun must wait; ``destination`` of a delivery, else None."""
        return self._shut(job, destination) or (destination in self._away and job.patience_seconds > 0)

    def waits(self, job: Job) -> tuple[str, ...]:
        """Why work of a job waits now and until when, in words for people."""
        places = [place for place in job.destinations if place in self._rows]
        closed = [("the job is outside its time window", job.window)] if not self._gate.is_open(job.window) else []
        closed += [
            (f"{place} is outside its time window", self._rows[place].window)
            for place in places
            if place in self._closed
        ]
        away = [place for place in places if place in self._away and self.holds(job, place)]
        return (
            *(f"{what}, which opens at {_opens(window, self._gate.moment)}" for what, window in closed),
            *(f"{place} is away; the next try is at {_clock(self._rows[place].paused_until)}" for place in away),
        )

    def stops(self, job: Job, destination: str | None) -> bool:
        """Whether an order must be stopped even when it runs."""
        return job.window_policy == Policy.STOP and self._shut(job, destination)

    def room(self, job: Job, destination: str, free: int) -> int:
        """How many deliveries of a job may go to a destination now, at most ``free``."""
        return 0 if self.holds(job, destination) else max(0, min(free, self._rooms().get(destination, free)))

    def fits(self, job: Job, destination: str) -> list[ColumnElement[bool]]:
        """With a limit in bytes per second the duration of a delivery is known, and must fit into the windows."""
        row = self._rows.get(destination)
        if row is None or row.bytes_per_second is None:
            return []
        seconds = Item.result["instance_bytes"].as_float() / float(row.bytes_per_second)
        return self._gate.fits_window(row.window, seconds) + self._gate.fits(job, seconds)

    def take(self, destination: str) -> None:
        """Count one more delivery."""
        if destination not in self._rows:
            self._rows[destination] = destination_row(self._session, destination)
        if destination in self._rooms():
            self._rooms()[destination] -= 1

    def share(self, destination: str, slots: int) -> Share:
        """What a delivery to a destination is told, with so many slots for deliveries on the farm."""
        row = self._rows[destination]
        known = Acceptance.model_validate(row.accepts) if row.accepts else Acceptance()
        sharers = max(1, min(slots, row.concurrent or slots))
        return Share(row.bytes_per_second, sharers, known.verify, known.pdu_bytes, keep_open=row.concurrent is None)

    def _shut(self, job: Job, destination: str | None) -> bool:
        return destination in self._closed or not self._gate.is_open(job.window)

    def _rooms(self) -> dict[str, int]:
        """How many more deliveries each limited destination takes."""
        if self._room is None:
            limits = {uri: limit for uri, row in self._rows.items() if (limit := self._limit(row)) is not None}
            out = _out(self._session) if limits else Counter[str]()
            self._room = {uri: limit - out.get(uri, 0) for uri, limit in limits.items()}
        return self._room

    def _limit(self, row: Destination) -> int | None:
        """A destination whose pause is over gets one delivery as a probe, the others when that one was answered."""
        probing = row.paused_until is not None and row.uri not in self._away
        return 1 if probing else row.concurrent


def _opens(window: str | None, moment: datetime) -> str:
    return _clock(parse_window(window).next_change(moment) if window else None)


def _clock(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else "no time that is known"


def _out(session: Session) -> Counter[str]:
    """Deliveries and fetches under way, by place. One that was told to stop holds its association until it does."""
    stopping = and_(Attempt.state == "stopping", Attempt.seen_at.is_not(None))
    under_way = or_(Attempt.state.in_(("queued", "running")), stopping)
    deliveries = (
        select(Delivery.destination, func.count())
        .join(Attempt, Attempt.delivery_id == Delivery.id)
        .where(Attempt.queue == queues.DELIVER, under_way)
        .group_by(Delivery.destination)
    )
    place = Item.retrieval["place"].as_string()
    fetches = (
        select(place, func.count())
        .join(Attempt, Attempt.item_id == Item.id)
        .where(Attempt.queue == queues.DESCRIBE, under_way, place.is_not(None))
        .group_by(place)
    )
    out = Counter[str]()
    for statement in (deliveries, fetches):
        out.update({row[0]: row[1] for row in session.execute(statement)})
    return out


@dataclass(frozen=True)
class DestinationLimit:
    """What an operator sets for one destination; None: no limit."""

    concurrent: int | None = None
    bytes_per_second: int | None = None
    window: str | None = None


def limit_destination(session: Session, uri: str, limit: DestinationLimit) -> None:
    """Set the limits of a destination; a running farm keeps them from its next look on.

    Raises:
        PolicyError: the window is not understood.
    """
    if limit.window is not None:
        parse_window(limit.window)
    row = destination_row(session, uri)
    row.concurrent, row.bytes_per_second, row.window = limit.concurrent, limit.bytes_per_second, limit.window


def destination_row(session: Session, uri: str) -> Destination:
    """The row of a destination, made when it has none; two replicas must not make it at once."""
    lock_transaction(session, "destinations")
    row = session.get(Destination, uri)
    if row is None:
        row = Destination(uri=uri, away_in_a_row=0)
        session.add(row)
    return row


def limit_of(session: Session, uri: str) -> DestinationLimit:
    """The limits of a destination as they are set now."""
    row = session.get(Destination, uri)
    return DestinationLimit(row.concurrent, row.bytes_per_second, row.window) if row else DestinationLimit()


def limit_queue(session: Session, queue: str, concurrent: int | None) -> None:
    """Set how many orders of a queue may be out at a time; None lifts the limit."""
    row = session.get(QueueLimit, queue)
    if concurrent is not None:
        session.merge(QueueLimit(queue=queue, concurrent=concurrent))
    elif row is not None:
        session.delete(row)
