"""How a running job looks on stderr: a live panel on a terminal, a line now and then in a log."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from common.stages import State
from orchestrator.cli.plain import plain, stderr_console
from orchestrator.reports import words
from orchestrator.status import Progress, Running

LOG_SECONDS = 5.0
"""Least time between two lines where stderr is no terminal: a night's job stays a readable log."""

KINDS = {"describe": "reading", "transcode": "making", "deliver": "delivering"}
KINDS |= {"commit": "asking for commitment", "count": "counting", "read": "reading back"}


class Pace:
    """Remaining time: from the estimated work that is done once every item is planned, before that from source bytes."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._starts: dict[bool, tuple[float, float]] = {}

    def remaining_seconds(self, progress: Progress) -> float | None:
        """Seconds to the end at the pace so far; None while nothing has been done yet."""
        by_work = progress.planned
        done = progress.work_done if by_work else float(progress.bytes_done)
        total = progress.work_total if by_work else float(progress.bytes_total)
        since, at_start = self._starts.setdefault(by_work, (self._clock(), done))
        ended = done - at_start
        if ended <= 0:
            return None
        return (total - done) * (self._clock() - since) / ended


class LiveDisplay:
    """Shows a job's progress while the ``with`` block runs; ``quiet`` shows nothing."""

    def __init__(
        self, *, quiet: bool = False, console: Console | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console or stderr_console()
        self._quiet = quiet
        self._clock = clock
        self._pace = Pace(clock)
        self._live: Live | None = None
        self._last_line = ""
        self._last_time = float("-inf")

    def __enter__(self) -> Self:
        if self._console.is_terminal and not self._quiet:
            # the panel goes when the block ends: the summary says it all again
            self._live = Live(console=self._console, transient=True, auto_refresh=False)
            self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.__exit__(kind, error, trace)

    def update(self, progress: Progress) -> None:
        """Show how the job stands now. Cheap: call it as often as there is news."""
        remaining = self._pace.remaining_seconds(progress)
        if self._live is not None:
            self._live.update(panel(progress, remaining), refresh=True)
        elif not self._quiet:
            self._log(line(progress, remaining), counts(progress))

    def _log(self, text: str, news: str) -> None:
        """Print when the counts have changed, and not more often than every few seconds."""
        if news != self._last_line and self._clock() - self._last_time >= LOG_SECONDS:
            self._last_line, self._last_time = news, self._clock()
            self._console.print(Text(text), soft_wrap=True)


def counts(progress: Progress) -> str:
    """``3 done, 1 running``, in the order of a video's way."""
    found = ((state, progress.counts.get(state, 0)) for state in State)
    return ", ".join(f"{count} {words.STATES[state]}" for state, count in found if count) or "nothing found yet"


def line(progress: Progress, remaining: float | None) -> str:
    """The job in one line of text."""
    total, ended = sum(progress.counts.values()), _ended(progress)
    end = f", about {words.duration(remaining)} to go" if remaining is not None and not progress.settled else ""
    return (
        f"{ended} of {total} ({words.size(progress.bytes_done)} of {words.size(progress.bytes_total)}): "
        f"{counts(progress)}{end}"
    )


def panel(progress: Progress, remaining: float | None) -> RenderableType:
    """The job as a few lines for a terminal: the whole, then each attempt that runs."""
    total, ended = sum(progress.counts.values()), _ended(progress)
    whole = Table.grid(padding=(0, 1))
    whole.add_row(
        ProgressBar(total=max(progress.bytes_total, 1), completed=progress.bytes_done, width=30),
        Text(f"{ended} of {total} videos"),
        Text(f"{words.size(progress.bytes_done)} of {words.size(progress.bytes_total)}"),
        Text("" if remaining is None else f"about {words.duration(remaining)} to go", style="cyan"),
    )
    running = Table.grid(padding=(0, 1))
    for attempt in progress.running:
        running.add_row(*_row(attempt))
    return Group(whole, Text(counts(progress), style="dim"), running)


def _row(attempt: Running) -> tuple[RenderableType, ...]:
    known = attempt.fraction is not None
    bar = ProgressBar(total=1.0, completed=attempt.fraction or 0.0, width=20) if known else Text("…")
    name = Text(plain(attempt.name), overflow="ellipsis", no_wrap=True)
    share = Text(f"{attempt.fraction:4.0%}" if attempt.fraction is not None else "")
    return bar, share, Text(KINDS.get(attempt.kind, attempt.kind)), name


def _ended(progress: Progress) -> int:
    return sum(count for state, count in progress.counts.items() if state.is_end)
