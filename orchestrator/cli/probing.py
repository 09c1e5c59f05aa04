"""``cinefarm probe``: ask an archive what it takes, show it as a table, and keep it in the ledger for the planner.

Of a DICOMweb server the services are shown and nothing is kept: it is not asked for syntaxes before it is sent something.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from common.destinations import DicomDestination, WebDestination
    from common.network.probe import Probed
    from common.settings import Settings

Archive = Annotated[
    str,
    typer.Argument(
        metavar="DEST", help="dicom[+tls]://AET@host:port or dicomweb+https://host/path", show_default=False
    ),
]
State = Annotated[
    Path | None, typer.Option("--state", metavar="DIR", help="where what it takes is kept; default ~/.local/state")
]
Json = Annotated[bool, typer.Option("--json", help="one JSON object a line on stdout (docs/json.md)")]

EXIT_ANSWERS, EXIT_NO_ASSOCIATION = 0, 1

SERVICE_NAMES = {
    "echo": "C-ECHO",
    "commitment": "Storage Commitment",
    "find": "C-FIND (Study Root)",
    "move": "C-MOVE (Study Root)",
    "get": "C-GET (Study Root)",
}


def probe(archive: Archive, state: State = None, json: Json = False) -> int:
    """Ask an archive which classes, syntaxes and services it takes; plan and migrate go by what it said. Stores nothing.

    Exit codes: 0 it answers, 1 no association, 2 the command was wrong.
    """
    from common.destinations import DicomDestination, WebDestination, parse_destination
    from common.errors import EnvironmentFault, PolicyError
    from common.settings import Settings
    from orchestrator.cli.display import show_error
    from orchestrator.reports.jsonlines import line

    base = Settings()
    settings = base.model_copy(update={"state_dir": (state or base.state_dir).absolute()})
    peer = parse_destination(archive)
    try:
        if isinstance(peer, DicomDestination):
            return _archive(peer, settings, as_json=json)
        if isinstance(peer, WebDestination):
            return _web(peer, settings, as_json=json)
    except EnvironmentFault as error:
        if json:
            said = {"code": error.code, "message": error.message, "hint": error.hint}
            print(line({"type": "probe", "destination": peer.uri, "error": said}))  # noqa: T201 the answer
        else:
            show_error(error)
        return EXIT_NO_ASSOCIATION
    raise PolicyError(
        "only archives are probed", hint="Write dicom://AET@host:port, dicom+tls:// or dicomweb+https://host/path."
    )


def _archive(peer: DicomDestination, settings: Settings, *, as_json: bool) -> int:
    from common.network.association import Caller
    from common.network.probe import probe as ask
    from orchestrator.accepting import keep_probe
    from orchestrator.build import build_ledger
    from orchestrator.probe_facts import archive_facts

    probed = ask(peer, Caller.of(settings))
    with build_ledger(settings).begin() as session:
        keep_probe(session, probed)
    _answer(archive_facts(probed), as_json, lambda: _show(probed))
    return EXIT_ANSWERS


def _web(server: WebDestination, settings: Settings, *, as_json: bool) -> int:
    from common.network.web_probe import probe_web
    from orchestrator.probe_facts import web_facts

    services = probe_web(server, settings)
    lines = {
        each.name: " ".join(filter(None, (f"{_ANSWERS[each.answers]}: {each.said}", each.hint))) for each in services
    }
    _answer(web_facts(server, services), as_json, lambda: _grid({"server": server.uri} | lines))
    return EXIT_ANSWERS if any(each.answers for each in services[1:]) else EXIT_NO_ASSOCIATION


_ANSWERS = {True: "yes", False: "no", None: "not known"}


def _answer(facts: dict[str, object], as_json: bool, show: Callable[[], None]) -> None:
    from orchestrator.reports.jsonlines import line

    if as_json:
        print(line({"type": "probe", **facts}))  # noqa: T201 the answer
    else:
        show()


def _grid(lines: dict[str, str]) -> None:
    from rich.table import Table
    from rich.text import Text

    from orchestrator.cli.plain import plain, stdout_console

    grid = Table.grid(padding=(0, 2))
    for name, value in lines.items():
        grid.add_row(Text(name, style="bold"), Text(plain(value)))
    stdout_console().print(grid)


def _show(probed: Probed) -> None:
    """The services, then a table of syntaxes by class."""
    from rich.table import Table

    from common.dicom.sop_classes import VIDEO_CLASSES, class_name
    from common.dicom.transfer_syntaxes import short
    from orchestrator.cli.plain import stdout_console

    console = stdout_console()
    version = " ".join(filter(None, (probed.implementation_version, probed.implementation_class_uid)))
    limit = f"{probed.max_pdu_bytes:,} bytes" if probed.max_pdu_bytes else "no limit"
    lines = {"archive": probed.destination, "implementation": version or "not said", "longest PDU": limit}
    lines |= {SERVICE_NAMES[name]: "yes" if answered else "no" for name, answered in probed.services.items()}
    _grid(lines)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("syntax")
    for row in VIDEO_CLASSES:
        table.add_column(class_name(row.uid))
    taken, asked = set(probed.taken), {*probed.taken, *probed.refused}
    for uid in dict.fromkeys(uid for _, uid in sorted(asked, key=lambda pair: _order(pair[1]))):
        cells = [
            ("yes" if (row.uid, uid) in taken else "no") if (row.uid, uid) in asked else "" for row in VIDEO_CLASSES
        ]
        table.add_row(_NATIVE.get(uid) or short(uid), *cells)
    console.print()
    console.print(table)


_NATIVE = {
    "1.2.840.10008.1.2": "Implicit VR LE",
    "1.2.840.10008.1.2.1": "Explicit VR LE",
    "1.2.840.10008.1.2.5": "RLE",
}


def _order(uid: str) -> tuple[bool, tuple[int, ...]]:
    """Compressed syntaxes by number, the others behind them."""
    return uid in _NATIVE, tuple(map(int, uid.split(".")))
