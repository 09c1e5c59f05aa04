"""``cinefarm limit``, and how limits are written on a command line: ``DEST concurrent=2 rate=20MB/s window=…``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from common import queues
from common.destinations import parse_destination
from common.errors import PolicyError

Subject = Annotated[str | None, typer.Argument(metavar="[DEST|QUEUE]", help="what to limit; none: show all limits")]
Concurrent = Annotated[int | None, typer.Option("--concurrent", min=1, help="orders at a time, over all workers")]
Rate = Annotated[
    str | None, typer.Option("--rate", metavar="RATE", help="of a destination: 20MB/s, 500kB/s, 100Mbit/s")
]
WindowText = Annotated[str | None, typer.Option("--window", metavar="WHEN", help="of a destination (docs/limits.md)")]
Lift = Annotated[bool, typer.Option("--lift", help="lift every limit that is not given here")]
State = Annotated[Path | None, typer.Option("--state", metavar="DIR", help="state directory of a farm on SQLite")]
Json = Annotated[bool, typer.Option("--json", help="one JSON object a line on stdout (docs/json.md)")]


def limit(
    subject: Subject = None,
    concurrent: Concurrent = None,
    rate: Rate = None,
    window: WindowText = None,
    lift: Lift = False,
    state: State = None,
    json: Json = False,
) -> int:
    """Limit a destination or a queue, or show the limits. A running farm keeps them from its next look on."""
    from common.settings import Settings
    from orchestrator.build import build_ledger

    base = Settings()
    ledger = build_ledger(base.model_copy(update={"state_dir": (state or base.state_dir).absolute()}))
    with ledger.begin() as session:
        if subject is not None:
            _set(session, subject, concurrent, rate, window, lift=lift)
        for line in _limits(session):
            _show(line, as_json=json)
    return 0


def _set(
    session: Any, subject: str, concurrent: int | None, rate: str | None, window: str | None, *, lift: bool
) -> None:
    from orchestrator.limits import DestinationLimit, limit_destination, limit_of, limit_queue, parse_rate

    if subject in queues.WORK_QUEUES or subject.startswith(queues.GPU_PREFIX):
        if rate or window:
            raise PolicyError(
                "a queue has no rate and no window", hint="Limit the destination, or give the job a window."
            )
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


def _limits(session: Any) -> list[dict[str, Any]]:
    from sqlalchemy import select

    from orchestrator.ledger.schema import Destination, QueueLimit
    from orchestrator.limits import limit_of

    rows: list[dict[str, Any]] = [
        {"type": "limit", "queue": row.queue, "concurrent": row.concurrent}
        for row in session.scalars(select(QueueLimit).order_by(QueueLimit.queue))
    ]
    for row in session.scalars(select(Destination).order_by(Destination.uri)):
        paused = row.paused_until.isoformat() if row.paused_until else None
        rows.append(
            {"type": "limit", "destination": row.uri, **asdict(limit_of(session, row.uri)), "away_until": paused}
        )
    return rows


def _show(row: dict[str, Any], *, as_json: bool) -> None:
    from orchestrator.cli.plain import plain
    from orchestrator.reports.jsonlines import line

    facts = [f"{name.replace('_', ' ')} {value}" for name, value in list(row.items())[2:] if value is not None]
    text = f"{row.get('queue') or row['destination']}: {', '.join(facts) or 'no limit'}"
    print(line(row) if as_json else plain(text))  # noqa: T201 the answer
