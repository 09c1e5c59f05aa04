"""What people see of ``cinefarm check``: a table of findings a file, each with what mends it. Imports little, so it starts fast."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import TypeAdapter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from common.orders import Finding
from orchestrator.cli.plain import plain, stderr_console, stdout_console

SEVERITIES = {"error": "red", "warning": "yellow", "note": "dim"}
COLUMNS = ("severity", "rule", "clause", "found", "required")
_FINDINGS = TypeAdapter(list[Finding])


def show_findings(answer: Mapping[str, object], *, console: Console | None = None) -> None:
    """One answer of ``python -m workers check``: the conformance findings of a file, the remedy below each."""
    console = console or stdout_console()
    findings = _FINDINGS.validate_python(answer["findings"])
    against = f" under {answer['transfer_syntax_uid']}" if answer.get("transfer_syntax_uid") else ""
    count = f"{len(findings) or 'no'} finding{'' if len(findings) == 1 else 's'}"
    console.print(Text(plain(f"{answer['file']}: {count}{against}"), style="bold"), soft_wrap=True)
    if not findings:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 2), header_style="dim")
    for column in COLUMNS:
        table.add_column(column, overflow="fold", no_wrap=column in ("severity", "rule"))
    for each in findings:
        values = (each.rule, each.clause, each.found, each.required)
        table.add_row(Text(each.severity, SEVERITIES[each.severity]), *(Text(plain(value)) for value in values))
    console.print(table)
    for remedy in dict.fromkeys(
        each.remedy for each in findings if each.remedy
    ):  # several may want the same: said once
        rules = ", ".join(dict.fromkeys(each.rule for each in findings if each.remedy == remedy))
        console.print(Text(plain(f"  → {remedy} ({rules})")), soft_wrap=True)


def show_refusal(file: str, error: Mapping[str, object], *, console: Console | None = None) -> None:
    """The error in an answer of ``python -m workers``: which file, what stands in its way, what to do about it."""
    console = console or stderr_console()
    said = f"{file}: {error['message']}" if file else str(error["message"])
    console.print(Text(plain(said), style="bold red"), soft_wrap=True)
    if error.get("hint"):
        console.print(Text(plain(f"  → {error['hint']}")), soft_wrap=True)


def show_others(count: int, *, console: Console | None = None) -> None:
    """How many files below the folders are no video."""
    console = console or stderr_console()
    console.print(Text(f"{count} other file{'' if count == 1 else 's'}: no video", style="dim"), soft_wrap=True)
