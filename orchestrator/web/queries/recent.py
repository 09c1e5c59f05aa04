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

LOOK_BACK = timedelta(hours=1)


@dataclass(frozen=True)
class Recent:
    """What the last attempts of a kind tell."""

    pace: Pace | None
    items_an_hour: float | None  # None: nothing ended in the last hour
    bytes_a_second: float | None  # of sources


def recent(session: Session, *, moment: datetime | None = None) -> Recent:
    """Of all jobs: how fast results were made in the last hour, or since the first of the last SAMPLES."""
    moment = moment or now()
    statement = (
        select(Attempt.seconds, Attempt.ended_at, Item.estimated_seconds, Item.size_bytes)
        .join(Item, Item.id == Attempt.item_id)
        .where(Attempt.ended_at.is_not(None), Attempt.state == "done", Attempt.kind.in_(("transcode", "assemble")))
        .where(Attempt.ended_at > moment - timedelta(days=7))
        .order_by(Attempt.ended_at.desc())
        .limit(SAMPLES)
    )
    rows = [(seconds, at, estimated, size) for seconds, at, estimated, size in session.execute(statement) if at]
    known = pace([Sample(estimated, seconds) for seconds, _, estimated, _ in rows])
    late = [row for row in rows if row[1] > moment - LOOK_BACK]
    if not late:
        return Recent(known, None, None)
    since = late[-1][1] if len(late) == SAMPLES else moment - LOOK_BACK
    first = rows[-1][1] if len(rows) < SAMPLES else None  # a farm that has just begun is not slow
    began = max(since, first - timedelta(seconds=rows[-1][0])) if first else since
    seconds = max(1.0, (moment - began).total_seconds())
    return Recent(known, 3600 * len(late) / seconds, sum(row[3] for row in late) / seconds)
