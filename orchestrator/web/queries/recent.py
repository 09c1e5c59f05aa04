"""What has ended lately: the farm's pace and throughput, measured."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from orchestrator.eta import Pace, Sample, pace
from orchestrator.ledger.schema import Attempt, Item, now

SAMPLES = 400
"""Attempts that are looked at, the latest first: enough for a mean, and the same cost for any ledger."""

LOOKED_AT = 3 * SAMPLES
"""Orders of any kind among which they are: an item has about three."""

LOOK_BACK, OLDEST = timedelta(hours=1), timedelta(days=7)


@dataclass(frozen=True)
class Recent:
    """What the last attempts of a kind tell."""

    pace: Pace | None
    items_an_hour: float | None  # None: nothing ended in the last hour
    bytes_a_second: float | None  # of sources


def recent(session: Session, *, moment: datetime | None = None) -> Recent:
    """Of all jobs: how fast results were made in the last hour, or since the first of the last SAMPLES."""
    moment = moment or now()
    columns = (Attempt.item_id, Attempt.seconds, Attempt.ended_at, Attempt.state, Attempt.kind)
    late = select(*columns).where(Attempt.ended_at > moment - OLDEST).order_by(Attempt.ended_at.desc()).limit(LOOKED_AT)
    ended = late.subquery()  # the index of ended_at alone: one of states would be sorted as a whole
    statement = (
        select(ended.c.seconds, ended.c.ended_at, Item.estimated_seconds, Item.size_bytes)
        .join(Item, Item.id == ended.c.item_id)
        .where(ended.c.state == "done", ended.c.kind.in_(("transcode", "assemble")))
        .order_by(ended.c.ended_at.desc())
        .limit(SAMPLES)
    )
    rows = [(seconds, at, estimated, size) for seconds, at, estimated, size in session.execute(statement) if at]
    known = pace([Sample(estimated, seconds) for seconds, _, estimated, _ in rows])
    hour = [row for row in rows if row[1] > moment - LOOK_BACK]
    if not hour:
        return Recent(known, None, None)
    since = hour[-1][1] if len(hour) == SAMPLES else moment - LOOK_BACK
    first = rows[-1][1] if len(rows) < SAMPLES else None  # a farm that has just begun is not slow
    began = max(since, first - timedelta(seconds=rows[-1][0])) if first else since
    seconds = max(1.0, (moment - began).total_seconds())
    return Recent(known, 3600 * len(hour) / seconds, sum(row[3] for row in hour) / seconds)
