"""``cinefarm limit``: limits of destinations and queues, through the API, or in the ledger of a ``cinefarm migrate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.cli.client import Api

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
    api: Api = None,
    json: Json = False,
) -> int:
    """Limit a destination or a queue, or show the limits. A running farm keeps them from its next look on."""
    from orchestrator.cli.client import connected, embedded_ledger

    asked = {"subject": subject, "concurrent": concurrent, "rate": rate, "window": window, "lift": lift}
    ledger = embedded_ledger(api, state)
    if ledger is not None:
        from orchestrator.limit_words import change_limit, limit_rows

        with ledger.begin() as session:
            if subject is not None:
                change_limit(session, subject, concurrent=concurrent, rate=rate, window=window, lift=lift)
            rows = limit_rows(session)
    else:
        with connected(api, state) as client:
            changed = {name: value for name, value in asked.items() if value is not None}
            rows = client.json("PATCH", "/limits", changed) if subject else client.json("GET", "/limits")
    for row in rows:
        _show(row, as_json=json)
    return 0


def _show(row: dict[str, Any], *, as_json: bool) -> None:
    from orchestrator.cli.plain import plain
    from orchestrator.reports.jsonlines import line

    facts = [f"{name.replace('_', ' ')} {value}" for name, value in list(row.items())[2:] if value is not None]
    text = f"{row.get('queue') or row['destination']}: {', '.join(facts) or 'no limit'}"
    print(line(row) if as_json else plain(text))  # noqa: T201 the answer
