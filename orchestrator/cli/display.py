"""What the command line shows to people: answers on stdout, everything else on stderr. All text is shown as it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from common.errors import CinefarmError
from common.media import Description
from common.stages import State
from orchestrator.cli.doctor import Check
from orchestrator.cli.facts import facts
from orchestrator.cli.live import LiveDisplay
from orchestrator.cli.plain import plain, stderr_console, stdout_console
from orchestrator.reports import words
from orchestrator.reports.values import ItemReport, JobReport

__all__ = [
    "LiveDisplay",
    "show_checks",
    "show_description",
    "show_error",
    "show_summary",
]

COLOURS = {State.DONE: "green", State.SKIPPED: "yellow", State.QUARANTINED: "red", State.FAILED: "red"}


def show_summary(
    report: JobReport,
    problems: Iterable[ItemReport],
    report_path: Path | None,
    ignored: Mapping[str, int] | None = None,
    *,
    console: Console | None = None,
) -> None:
    """The end of a migration: what a person has to act on, what happened, and where everything lies."""
    console = console or stderr_console()
    said = ""
    for item in problems:
        _print(console, f"{words.STATES[item.state]}: {item.name}", "bold red")
        _print(console, f"  {item.waits_for or item.reason}")
        if item.next_step and item.next_step != said:  # a thousand files may want the same: it is said once
            _print(console, f"  → {item.next_step}")
        said = item.next_step
    _counts(console, report)
    for reason, count in sorted((ignored or {}).items()):
        _print(console, f"left out: {count} × {reason}", "dim")
    for destination in report.destinations:
        _print(console, f"results: {destination}")
    if report_path is not None:
        _print(console, f"report:  {report_path}")
    if report.unfinished:
        _print(console, f"{report.unfinished} not finished: run the same command again to go on", "yellow")


def _counts(console: Console, report: JobReport) -> None:
    table = Table.grid(padding=(0, 2))
    for state, count in report.counts.items():
        table.add_row(Text(str(count), justify="right"), Text(words.STATES[state], style=COLOURS.get(state, "")))
    console.print(table)
    if report.bytes_after:
        _print(
            console,
            f"{words.size(report.bytes_before)} → {words.size(report.bytes_after)} ({words.ratio(report.ratio)}), "
            f"{words.duration(report.work_seconds)} of work",
        )


def show_description(answer: Mapping[str, object], *, console: Console | None = None) -> None:
    """One answer of ``python -m workers describe``: what a file is."""
    console = console or stdout_console()
    _print(console, str(answer["file"]), "bold")
    value = Description.model_validate({key: member for key, member in answer.items() if key != "file"})
    table = Table.grid(padding=(0, 2))
    for name, fact in facts(value).items():
        table.add_row(Text(f"  {name}", style="dim"), Text(plain(fact), overflow="fold"))
    console.print(table)


def show_checks(checks: Iterable[Check], *, console: Console | None = None) -> None:
    """The doctor's findings: what is there, and for what is missing how to get it."""
    console = console or stdout_console()
    table = Table.grid(padding=(0, 2))
    for check in checks:
        mark = Text("ok", style="green") if check.ok else Text("MISSING", style="bold red")
        found = plain(check.found) if check.ok else f"{plain(check.found)}\n{plain(check.remedy)}"
        table.add_row(mark, Text(check.name), Text(found, overflow="fold"))
    console.print(table)


def show_error(error: CinefarmError, *, console: Console | None = None) -> None:
    """What went wrong, and what to do about it."""
    console = console or stderr_console()
    console.print(Text(plain(f"error: {error.message}", lines=True), style="bold red"), soft_wrap=True)
    if error.hint:
        _print(console, error.hint)


def _print(console: Console, text: str, style: str = "") -> None:
    """Never wrapped: a path must stay whole to be copied, and a log line to be searched."""
    console.print(Text(plain(text), style=style), soft_wrap=True)
