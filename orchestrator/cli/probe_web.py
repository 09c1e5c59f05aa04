"""What ``cinefarm probe dicomweb+https://…`` shows."""

from __future__ import annotations

import json

from rich.table import Table

from common.destinations import WebDestination
from common.network.web_probe import Service, probe_web
from common.settings import Settings
from orchestrator.cli.plain import stdout_console


def run_web_probe(server: WebDestination, settings: Settings, *, as_json: bool) -> int:
    """Show which services answer us. Returns 0 when all do, else 1.

    Raises:
        PolicyError: the settings for TLS or credentials cannot be used.
    """
    services = probe_web(server, settings)
    if as_json:
        for each in services:
            print(json.dumps({"service": each.name, "answers": each.answers, "said": each.said}))  # noqa: T201 the answer
    else:
        stdout_console().print(_table(server, services))
    return int(not all(each.answers for each in services))


def _table(server: WebDestination, services: tuple[Service, ...]) -> Table:
    table = Table(title=server.uri, title_justify="left")
    table.add_column("service")
    table.add_column("answers us")
    table.add_column("what it says", overflow="fold")
    for each in services:
        table.add_row(each.name, {True: "yes", False: "no", None: "?"}[each.answers], each.said)
    return table
