"""``cinefarm audit``: the trail of a job, and the proof that no record was changed (docs/audit.md)."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from typer.core import TyperGroup

from orchestrator.cli import jobs

if TYPE_CHECKING:
    from common.settings import Settings
    from orchestrator.ledger.database import Sessions
    from orchestrator.trust.verifying import Fault, Findings

MOST_SHOWN = 100
"""Faults shown to a person; ``--json`` shows all."""


class _JobOrCommand(TyperGroup):
    """``cinefarm audit JOB`` is ``cinefarm audit job JOB``: the older form stays."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["job", *args]
        return super().parse_args(ctx, args)


audit = typer.Typer(
    cls=_JobOrCommand,
    help="`audit JOB`: every change of a job's state. The other commands prove, export and prune all records.",
    no_args_is_help=True,
)
audit.command("job")(jobs.audit)

State = Annotated[Path | None, typer.Option("--state", metavar="DIR", help="state directory, where no ledger is set")]
Json = Annotated[bool, typer.Option("--json", help="one JSON object a line on stdout (docs/json.md)")]


@audit.command("verify")
def verify(
    key: Annotated[
        list[Path] | None,
        typer.Option("--key", metavar="FILE.pem", help="public key that seals must be signed with; may be repeated"),
    ] = None,
    head: Annotated[
        str, typer.Option("--head", metavar="NUMBER:LINK", help="a seal that was noted earlier and must be there")
    ] = "",
    state: State = None,
    json: Json = False,
) -> int:
    """Read all records of the ledger against their seals. Exit codes: 0 intact, 1 something was altered, 2 cannot be read."""
    from orchestrator.trust.keys import load_public
    from orchestrator.trust.verifying import verify as verified

    shown = 0

    def told(fault: Fault) -> None:
        nonlocal shown
        shown += 1
        if json or shown <= MOST_SHOWN:
            _show_fault(fault, as_json=json)

    keys = tuple(load_public(path) for path in key or ())
    findings = verified(_ledger(state), keys=keys, noted=head, told=told)
    _show_findings(findings, as_json=json, checked_keys=bool(keys))
    return int(not findings.intact)


@audit.command("seal")
def seal(state: State = None) -> int:
    """Seal what is written now, and show the newest seal: note it where the ledger's owner cannot change it."""
    from orchestrator.trust.keys import load_signer
    from orchestrator.trust.sealing import head
    from orchestrator.trust.sealing import seal as sealed

    ledger = _ledger(state)
    rows = sealed(ledger, load_signer(_settings(state).audit_key_file))
    with ledger() as session:
        newest = head(session)
    print(f"{newest.number}:{newest.link}" if newest else "nothing is sealed yet")  # noqa: T201 the answer
    print(f"{rows} rows sealed now", file=sys.stderr)  # noqa: T201
    return 0


@audit.command("export")
def export(
    form: Annotated[
        Literal["json", "dicom"],
        typer.Option("--format", help="json: every record; dicom: DICOM audit messages, one a line"),
    ] = "json",
    send: Annotated[
        bool, typer.Option("--send", help="send to CINEFARM_AUDIT_SYSLOG_URL what it lacks, in place of printing")
    ] = False,
    state: State = None,
) -> int:
    """Print all sealed records on stdout, or send audit messages to the collector now (a service does so by itself)."""
    from orchestrator.ledger.events import Happened, happened
    from orchestrator.trust import exporting

    settings, ledger = _settings(state), _ledger(state)
    source = settings.audit_source or socket.gethostname()
    if send:
        collector = exporting.collector_of(settings)
        if collector is None:
            raise typer.BadParameter("CINEFARM_AUDIT_SYSLOG_URL names no collector")
        sent = exporting.export(ledger, collector, url=settings.audit_syslog_url, source=source)
        print(f"{sent} messages sent", file=sys.stderr)  # noqa: T201
        return 0
    with ledger.begin() as session:
        happened(session, Happened.EXPORTED, format=form)
    lines = exporting.json_lines(ledger) if form == "json" else exporting.dicom_lines(ledger, source)
    for each in lines:
        sys.stdout.buffer.write(each)
    return 0


@audit.command("prune")
def prune(
    before: Annotated[
        str, typer.Option("--before", metavar="DATE", help="records that are all older, e.g. 2020-01-01 (UTC)")
    ],
    archive: Annotated[
        Path, typer.Option("--archive", metavar="DIR", help="where they go first, a file for each sealed range")
    ],
    state: State = None,
) -> int:
    """Move old records out of the ledger into files; the chain keeps a link that says so, and `verify` still holds."""
    from datetime import UTC, datetime

    from orchestrator.trust.keys import load_signer
    from orchestrator.trust.pruning import prune as pruned

    try:
        moment = datetime.fromisoformat(before)
    except ValueError as error:
        raise typer.BadParameter("write a date as 2020-01-01") from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    settings = _settings(state)
    signer = load_signer(settings.audit_key_file)
    rows = pruned(_ledger(state), moment, archive, signer, collector=settings.audit_syslog_url)
    print(f"{rows} records moved to {archive}")  # noqa: T201 the answer
    return 0


def _settings(state: Path | None) -> Settings:
    from orchestrator.cli.client import settings_of

    return settings_of(state)


def _ledger(state: Path | None) -> Sessions:
    """The ledger itself: an auditor asks no service about its own record.

    Raises:
        PolicyError: there is none in the state directory.
    """
    from common.errors import PolicyError
    from orchestrator.build import LEDGER_NAME, build_ledger

    settings = _settings(state)
    if not settings.ledger_url and not (settings.state_dir / LEDGER_NAME).exists():
        raise PolicyError("there is no ledger here", hint="Name it: --state DIR or CINEFARM_LEDGER_URL.")
    return build_ledger(settings)


def _show_fault(fault: Fault, *, as_json: bool) -> None:
    from orchestrator.reports.jsonlines import line

    if as_json:
        print(line({"type": "fault", "table": fault.table, "row": fault.row, "what": fault.what, "seal": fault.seal}))  # noqa: T201
        return
    name = fault.table if fault.row is None else f"{fault.table} {fault.row}"
    print(f"{name} {fault.what}" if fault.row is not None else f"{name}: {fault.what}")  # noqa: T201 the answer


def _show_findings(findings: Findings, *, as_json: bool, checked_keys: bool) -> None:
    from orchestrator.reports.jsonlines import line
    from orchestrator.trust.sealing import TABLES

    if as_json:
        counts = {name: dict(getattr(findings, name)) for name in ("rows", "pruned", "gaps", "unsealed")}
        told = {"seals": findings.seals, "signed": findings.signed, "faults": findings.faults, "head": findings.head}
        print(line({"type": "verified", "intact": findings.intact, **counts, **told}))  # noqa: T201 the answer
        return
    for name in TABLES:
        facts = [f"{findings.rows[name]:,} rows checked", f"{findings.unsealed[name]:,} not sealed yet"]
        facts += [f"{findings.pruned[name]:,} pruned"] if findings.pruned[name] else []
        facts += [f"{findings.gaps[name]:,} ids of transactions that were rolled back"] if findings.gaps[name] else []
        print(f"{name}: {', '.join(facts)}")  # noqa: T201
    signed = f"{findings.signed} signed by a key given" if checked_keys else "signatures not checked: no --key"
    print(f"seals: {findings.seals}, {signed}; the newest is {findings.head or 'none'}")  # noqa: T201
    print("intact" if findings.intact else f"NOT INTACT: {findings.faults} faults")  # noqa: T201
