"""Failures that pass: how long an item waits for a peer that is away, and when a destination is left alone.

A destination that was found away several times in a row is paused: its deliveries wait in the ledger, others go on. After the
pause one delivery goes out as a probe. Its answer opens the destination; its silence makes the next pause twice as long.
"""

from __future__ import annotations

import zlib
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from common.logs import logger
from common.orders import Failure
from common.retry import next_try
from orchestrator.ledger.schema import FOR_CHANGE, Attempt, Chunk, Delivery, Destination, Item, Job

log = logger(__name__)

AWAY = "DestinationUnavailable"

AWAY_IN_A_ROW = 3
"""Deliveries that must find a destination away before it is paused: one may be its own fault, or a dropped connection."""

FIRST_PAUSE_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 900.0
"""An archive that comes back at dawn waits at most this long for its first delivery."""


def pause_seconds(away_in_a_row: int) -> float:
    """How long to leave a destination alone: 0 below AWAY_IN_A_ROW, then 30 s, doubling to 15 min."""
    if away_in_a_row < AWAY_IN_A_ROW:
        return 0.0
    return float(min(FIRST_PAUSE_SECONDS * 2 ** min(away_in_a_row - AWAY_IN_A_ROW, 30), LONGEST_PAUSE_SECONDS))


def failed(
    session: Session, item: Item, attempt: Attempt, failure: Failure, max_attempts: int, moment: datetime
) -> float | None:
    """Record what a failure says about its destination and its item; returns the wait before the next try, s, or None.

    A failure within the job's patience gives its try back: a million items must not wear out on an archive that is down.
    """
    delivery = session.get_one(Delivery, attempt.delivery_id) if attempt.delivery_id is not None else None
    if (place := delivery.destination if delivery is not None else _fetched_from(item, attempt)) is not None:
        _note(session, place, attempt, away=failure.code == AWAY, moment=moment)
    waiting = delivery or item
    since = waiting.waiting_since or moment
    again = next_try(
        failure,
        attempt.number,
        max_attempts,
        waited_seconds=(moment - since).total_seconds(),
        patience_seconds=session.get_one(Job, item.job_id).patience_seconds,
        draw=draw(attempt.order_id),
    )
    patient = again is not None and not again.counted
    waiting.waiting_since = since if patient else None
    if patient:
        tried = session.get(Chunk, attempt.chunk_id) if attempt.chunk_id is not None else waiting
        if tried is not None:
            tried.attempts = max(0, tried.attempts - 1)
    return again.wait_seconds if again is not None else None


def answered(session: Session, item: Item, attempt: Attempt, moment: datetime) -> None:
    """The work of an attempt was done: nothing is waited for any longer."""
    if attempt.delivery_id is None:
        item.waiting_since = None
        if (place := _fetched_from(item, attempt)) is not None:
            _note(session, place, attempt, away=False, moment=moment)
        return
    delivery = session.get_one(Delivery, attempt.delivery_id)
    delivery.waiting_since = None
    _note(session, delivery.destination, attempt, away=False, moment=moment)


def draw(order_id: str) -> float:
    """A number in [0, 1) that belongs to an order: spread like a drawn one, and the same in every replica."""
    return zlib.crc32(order_id.encode()) / 2**32


def _fetched_from(item: Item, attempt: Attempt) -> str | None:
    """The archive that a describe order fetched its source from."""
    return str(item.retrieval["place"]) if item.retrieval is not None and attempt.kind == "describe" else None


def _note(session: Session, uri: str, attempt: Attempt, *, away: bool, moment: datetime) -> None:
    """Count a destination's silence. The dispatcher has made its row; what was sent before a pause does not prolong it."""
    row = session.get(Destination, uri)
    if row is None or (not away and row.away_in_a_row == 0):
        return  # the usual answer: nothing to write, nothing to lock
    session.refresh(row, with_for_update=FOR_CHANGE)
    if away and row.paused_until is not None and attempt.sent_at < row.paused_until:
        return
    if not away:
        if row.paused_until is not None:
            log.info("destination_back", failures=row.away_in_a_row)
        row.away_in_a_row, row.paused_until = 0, None
        return
    row.away_in_a_row += 1
    pause = pause_seconds(row.away_in_a_row)
    if pause > 0:
        row.paused_until = moment + timedelta(seconds=pause)
        log.warning("destination_paused", failures=row.away_in_a_row, seconds=pause)
