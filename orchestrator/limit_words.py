"""How people write limits: ``DEST concurrent=2 rate=20MB/s window=…`` (docs/limits.md)."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from common import queues
from common.destinations import parse_destination
from common.errors import PolicyError
from orchestrator.ledger.schema import Destination, QueueLimit
from orchestrator.limits import DestinationLimit, limit_destination, limit_of, limit_queue, parse_rate
from orchestrator.windows import parse_window

LIMIT_FORM = "Write it like 'dicom://PACS@host:104 concurrent=2 rate=20MB/s window=Mon-Fri 20:00-06:00 Europe/Berlin'."

_LIMIT = re.compile(
    r"(?P<to>.+?)(?: concurrent=(?P<concurrent>\d+))?(?: rate=(?P<rate>\S+))?(?: window=(?P<window>.+))?"
)


def parse_limit(text: str) -> tuple[str, DestinationLimit]:
    """The destination's URI and its limits, as ``--limit`` takes them.

    Raises:
        PolicyError: the text is not understood.
    """
    found = _LIMIT.fullmatch(text.strip())
    if found is None or not any(found.group("concurrent", "rate", "window")) or found["concurrent"] == "0":
        raise PolicyError(f"the limit {text!r} is not understood", hint=LIMIT_FORM)
    if found["window"]:
        parse_window(found["window"])
    return parse_destination(found["to"]).uri, DestinationLimit(
        concurrent=int(found["concurrent"]) if found["concurrent"] else None,
        bytes_per_second=parse_rate(found["rate"]) if found["rate"] else None,
        window=found["window"],
    )


def change_limit(
    session: Session,
    subject: str,
    *,
    concurrent: int | None = None,
    rate: str | None = None,
    window: str | None = None,
    lift: bool = False,
) -> None:
    """Limit a destination or a queue; what is None stays as it is, or is lifted with ``lift``.

    Raises:
        PolicyError: a word is not understood, or the subject has no such limit.
    """
    if subject in queues.WORK_QUEUES or subject.startswith(queues.GPU_PREFIX):
        if rate or window:
            hint = "Limit the destination, or give the job a window."
            raise PolicyError("a queue has no rate and no window", hint=hint)
        if concurrent is not None or lift:
            limit_queue(session, subject, concurrent)
        return
    uri = parse_destination(subject).uri
    before = DestinationLimit() if lift else limit_of(session, uri)
    after = DestinationLimit(
        concurrent=concurrent or before.concurrent,
        bytes_per_second=parse_rate(rate) if rate else before.bytes_per_second,
        window=window or before.window,
    )
    limit_destination(session, uri, after)


def limit_rows(session: Session) -> list[dict[str, Any]]:
    """All limits that are set, queues first (docs/json.md)."""
    rows: list[dict[str, Any]] = [
        {"type": "limit", "queue": row.queue, "concurrent": row.concurrent}
        for row in session.scalars(select(QueueLimit).order_by(QueueLimit.queue))
    ]
    for row in session.scalars(select(Destination).order_by(Destination.uri)):
        paused = row.paused_until.isoformat() if row.paused_until else None
        limit = asdict(limit_of(session, row.uri))
        rows.append({"type": "limit", "destination": row.uri, **limit, "away_until": paused})
    return rows
