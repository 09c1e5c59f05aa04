"""``cinefarm plan``: list, describe and plan a tree as it comes, in flat memory, without a farm or a store; a ledger is only read."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from common.recipes import Audio
from orchestrator.acceptance import Destinations
from orchestrator.accepting import known_of
from orchestrator.build import LEDGER_NAME, build_ledger
from orchestrator.cli import plan_display
from orchestrator.cli.capacity import known_speeds
from orchestrator.cli.migration import Migration
from orchestrator.cli.plain import stderr_console
from orchestrator.coercing import coercion
from orchestrator.describing import describe_all
from orchestrator.estimates import Line
from orchestrator.forecast import Question, Totals, forecast
from orchestrator.ingest.found import Found, Scope
from orchestrator.ingest.mapping import write_template
from orchestrator.ingest.sources import parse_source
from orchestrator.ingest.worklist import Supplier
from orchestrator.measured import by_experience
from orchestrator.reports import planlines
from orchestrator.reports.values import PROBLEMS

NEWS_SECONDS = 5.0
"""Time between two words on stderr about how far it has come, where items are not shown to a person as they come."""


@dataclass(frozen=True)
class Planning:
    """How to plan, besides what to migrate."""

    full: bool = False  # read every byte, as a migration does
    readers: int | None = None  # sources described at a time; default: the cores
    line: Line | None = None  # to the destinations
    write_map: Path | None = None


def run_plan(asked: Migration, how: Planning, *, as_json: bool) -> int:
    """Show what a migration would do, item by item, then the sums. Returns 0, or 1 when some items cannot be migrated."""
    if how.write_map is not None:
        _write_map(asked, how.write_map)
    destinations = _destinations(asked)
    coercing = coercion(asked.request.identifiers_key, datetime.now(UTC))
    supplier = Supplier(asked.mapping, asked.request.worklist, asked.settings)
    question = Question(
        asked.request.profile, destinations, Audio(asked.request.audio), asked.mapping, coercing, supplier
    )
    totals, ignored, news = Totals(), Counter[str](), _News(quiet=not as_json and sys.stdout.isatty())
    readers = how.readers or len(os.sched_getaffinity(0))
    sources = _found(asked, ignored)
    if not as_json:
        plan_display.show_head()
    stream = describe_all(
        sources,
        asked.settings,
        quick=not how.full,
        at_a_time=readers,
        rules=asked.identifiers,
        patterns=asked.request.profile.header_patterns,
    )
    speeds = known_speeds(asked.settings)
    with closing(stream) as described, supplier:
        for guessed in forecast(described, question):
            item = by_experience(guessed, speeds)
            totals.add(item)
            print(planlines.item_line(item)) if as_json else plan_display.show_item(item)  # noqa: T201 the answer
            news.tell(totals)
    estimate = planlines.Estimate(totals, asked.cpu_slots, how.line, full=how.full)
    if as_json:
        print(planlines.summary_line(estimate, asked.request))  # noqa: T201 the answer
    else:
        plan_display.show_totals(estimate, len(asked.request.destinations), ignored)
    return int(any(totals.counts[state] for state in PROBLEMS))


def _destinations(asked: Migration) -> Destinations:
    """What they take: as stated now or with an earlier job, else as a probe learned, else as assumed. Makes no ledger."""
    uris, stated = asked.request.destinations, asked.request.accepts
    if not asked.settings.ledger_url and not (asked.settings.state_dir / LEDGER_NAME).exists():
        return Destinations.of(uris, stated)
    with build_ledger(asked.settings).begin() as session:
        return Destinations.of(uris, known_of(session, uris, stated))


def _found(asked: Migration, ignored: Counter[str]) -> Iterator[Found]:
    for source in asked.request.sources:
        yield from parse_source(source).find(Scope(asked.settings, asked.exclude, ignored))


def _write_map(asked: Migration, path: Path) -> None:
    count = write_template(_found(asked, Counter()), path)
    print(f"{count} lines to fill in: {path}", file=sys.stderr)  # noqa: T201


class _News:
    """Says on stderr now and then how many items have been planned."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._begun = self._last = time.monotonic()

    def tell(self, totals: Totals) -> None:
        now = time.monotonic()
        if self._quiet or now - self._last < NEWS_SECONDS:
            return
        self._last = now
        done = totals.counts.total()
        stderr_console().print(f"{done} planned, {done / (now - self._begun):.0f} a second", soft_wrap=True)
