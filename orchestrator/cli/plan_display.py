"""How a plan looks to people: two lines an item as they come, then the sums."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from common.dicom.transfer_syntaxes import short
from common.stages import State
from orchestrator.cli.plain import plain, stdout_console
from orchestrator.forecast import Prospect, Sum
from orchestrator.reports import words
from orchestrator.reports.planlines import Estimate

HEAD = f"{'path':<8} {'target':<7} {'size in':>9}   {'out about':>9} {'time':>12}  source"
STYLES = {State.FAILED: "red", State.SKIPPED: "yellow"}


def show_head(*, console: Console | None = None) -> None:
    """What stands in the columns."""
    (console or stdout_console()).print(Text(HEAD, style="bold"), soft_wrap=True)


def show_item(item: Prospect, *, console: Console | None = None) -> None:
    """One source: what would be made of it, and why."""
    console = console or stdout_console()
    console.print(Text(f"{_row(item)}  {plain(item.name)}", style=STYLES.get(item.state, "")), soft_wrap=True)
    console.print(Text(f"         {plain(item.reason)}", style="dim"), soft_wrap=True)


def _row(item: Prospect) -> str:
    made = item.plan
    if made is None:
        return f"{words.STATES[item.state]:<8} {'–':<7} {words.size(item.size_bytes):>9}   {'–':>9} {'–':>12}"
    target, parts = short(made.transfer_syntax_uid), f" ×{made.split.parts}" if made.split else ""
    return (
        f"{made.path.value:<8} {target + parts:<7} {words.size(item.size_bytes):>9} → {words.size(made.estimated_bytes):>9} "
        f"{words.duration(made.estimated_seconds):>12}"
    )


def show_totals(
    estimate: Estimate, destinations: int, ignored: Mapping[str, int], *, console: Console | None = None
) -> None:
    """The sums by path, target and queue; what has to be done first; what it would cost."""
    console, totals = console or stdout_console(), estimate.totals
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("", "items", "size in", "out about", "work"):
        table.add_column(name, header_style="bold", justify="left" if not name else "right")
    for path, sums in sorted(totals.paths.items()):
        _add(table, words.PATHS[path], sums)
    for target, sums in sorted(totals.targets.items()):
        _add(table, f"to {target}", sums)
    console.print(table)
    for queue in sorted(totals.queues):
        least, most = map(words.duration, estimate.span(queue))
        _say(console, f"queue {queue}: {least} to {most} with {estimate.slots} at a time")
    for step, count in totals.steps.items():
        _say(console, f"{count} × {step}", "red")
    for reason, count in sorted(ignored.items()):
        _say(console, f"left out: {count} × {reason}", "dim")
    _say(console, _cost(estimate, destinations))


def _cost(estimate: Estimate, destinations: int) -> str:
    totals, way = estimate.totals, estimate.transfer_seconds
    unread = totals.counts[State.FOUND]
    said = [
        f"{totals.counts.total()} files, {words.size(totals.bytes_total)}",
        f"about {words.size(totals.whole.bytes_out)} to each of {destinations} destination(s)",
        f"{words.duration(estimate.seconds)} of work with {estimate.slots} at a time",
        f"{estimate.bit_rate / 1e6:.3g} Mbit/s to keep up" if estimate.bit_rate else "",
        f"{words.duration(way)} on the way" if way is not None else "",
        f"{words.size(totals.scratch_bytes(estimate.slots))} of scratch",
        f"{words.size(totals.evidence_bytes)} of evidence",
        f"{totals.split_items} in parts" if totals.split_items else "",
        f"{unread} in an archive, of which nothing more is known before they are fetched" if unread else "",
        "" if estimate.full else "read by headers and index alone (--full reads all)",
    ]
    return "; ".join(filter(None, said)) + ". Nothing was moved."


def _add(table: Table, name: str, sums: Sum) -> None:
    row = (str(sums.items), words.size(sums.bytes_in), words.size(sums.bytes_out), words.duration(sums.seconds))
    table.add_row(Text(name), *map(Text, row))


def _say(console: Console, text: str, style: str = "") -> None:
    console.print(Text(plain(text), style=style), soft_wrap=True)
