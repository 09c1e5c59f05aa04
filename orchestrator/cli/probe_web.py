"""What ``cinefarm probe dicomweb+https://…`` shows."""

from __future__ import annotations

from rich.table import Table

from common.destinations import WebDestination
from common.network.web_probe import Service, probe_web
from common.settings import Settings
from orchestrator.cli.plain import plain, stdout_console
from orchestrator.reports.jsonlines import line


def run_web_probe(server: WebDestination, settings: Settings, *, as_json: bool) -> int:
    """Show which services answer us. Returns 1 when one does not, else 0.

    Raises:
        PolicyError: the settings for TLS or credentials cannot be used.
    """
    services = probe_web(server, settings)
    if as_json:
        for each in services:
            print(line({"type": "probe", "destination": server.uri, **_facts(each)}))  # noqa: T201 the answer
    else:
        console = stdout_console()
        console.print(_table(server, services))
        for hint in dict.fromkeys(each.hint for each in services if each.hint):
            console.print(f"→ {hint}", soft_wrap=True)
    return int(any(each.answers is False for each in services))


def _facts(service: Service) -> dict[str, object]:
    return {"service": service.name, "answers": service.answers, "said": service.said, "hint": service.hint}


def _table(server: WebDestination, services: tuple[Service, ...]) -> Table:
    table = Table(title=server.uri, title_justify="left")
    table.add_column("service")
    table.add_column("answers us")
    table.add_column("what it says", overflow="fold")
    for each in services:
        table.add_row(each.name, {True: "yes", False: "no", None: "?"}[each.answers], plain(each.said))
    return table
