"""The report as one HTML file that needs nothing else: no network, no other file, no script to be read.

It stays small however many items there are: totals, what needs a person, and the items that are worth looking at in full, up to
stated numbers; all items stand in the tables beside it (orchestrator.reports.folder).
"""

from __future__ import annotations

import base64
import hashlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup
from sqlalchemy import select
from sqlalchemy.orm import Session

from common import __version__
from common.stages import State
from common.store import ObjectStore
from orchestrator.ledger.audit import history
from orchestrator.ledger.schema import Attempt
from orchestrator.reports import charts, overview, words
from orchestrator.reports.csvfile import write_csv
from orchestrator.reports.evidence import load_evidence
from orchestrator.reports.exhibit import Exhibit, Step, exhibit
from orchestrator.reports.files import written_aside
from orchestrator.reports.model import items, job_report
from orchestrator.reports.overview import Quality
from orchestrator.reports.standing import STATISTICS, in_order, title_of, unit_of
from orchestrator.reports.values import PROBLEMS, ItemReport, JobReport

__all__ = ["write_csv", "write_html"]

TEMPLATES = Path(__file__).parent / "templates"

ROWS = 2000
"""Items up to which the page lists every one; of more it shows those that need a person, and those that are worth looking at."""

PROBLEM_CARDS = 200
"""Items that need a person, with reason and what to do; of more the causes are told, and the tables name each."""

IN_FULL = 100
"""Items with charts: first what is quarantined, then the results nearest to their gate."""

PICTURE_BYTES = 8 << 20
"""Pictures of worst frames in one page, before they become text (a third more)."""

STEPS = 60
"""Steps of an item that its page lists; `cinefarm audit` has all."""


def write_html(
    session: Session, job_id: str, path: Path, store: ObjectStore | None = None, counted: Quality | None = None
) -> None:
    """Write the report of a job; memory is that of a batch of items and one item in full.

    ``store``: where evidence and pictures lie; without it items have neither charts nor pictures. ``counted``: the items'
    quality, where somebody has counted it already.

    Raises:
        sqlalchemy.exc.NoResultFound: there is no such job.
    """
    style, script = _embedded("report.css") + charts.STYLE, _embedded("report.js")
    report = job_report(session, job_id)
    counted = overview.quality(session, job_id) if counted is None else counted
    decided, more = overview.first_decisions(session, job_id)
    open_studies = [one for _, one in zip(range(overview.SHOWN + 1), overview.studies(session, job_id, open_only=True))]  # noqa: B905
    stream = _template().stream(
        report=report,
        asked=overview.asked_for(session, job_id),
        problems=items(session, job_id, PROBLEMS, most=PROBLEM_CARDS),
        problem_cards=PROBLEM_CARDS,
        causes=overview.causes(session, job_id),
        reconciled=overview.reconciliation(session, job_id),
        open_studies=open_studies[: overview.SHOWN],
        more_studies=len(open_studies) > overview.SHOWN,
        quality=counted,
        distributions=_distributions(counted),
        decisions=decided,
        more_decisions=more,
        exhibits=_exhibits(session, job_id, report, counted, store),
        in_full=IN_FULL,
        items=items(session, job_id) if report.items <= ROWS else None,
        rows=ROWS,
        words=words,
        title_of=title_of,
        statistics=STATISTICS,
        version=__version__,
        style=Markup(style),  # noqa: S704 our own file
        script=Markup(script),  # noqa: S704 our own file
        policy=f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'",
    )
    with written_aside(path) as out:
        stream.enable_buffering(200)
        out.writelines(stream)


def _exhibits(
    session: Session, job_id: str, report: JobReport, counted: Quality, store: ObjectStore | None
) -> Iterator[Exhibit]:
    """The items in full: quarantined ones, then the nearest to their gate; pictures while there is room."""
    room = PICTURE_BYTES
    for item in _chosen(session, job_id, report, counted):
        evidence = load_evidence(store, item.evidence_keys, pictures=room > 0) if store is not None else None
        taken = sum(len(picture.jpeg) for picture in evidence.pictures) if evidence else 0
        shown = taken <= room
        room -= taken if shown else 0
        yield exhibit(item, evidence, steps=_steps(session, item), pictures=shown and room > 0)


def _chosen(session: Session, job_id: str, report: JobReport, counted: Quality) -> Iterator[ItemReport]:
    """Which items are told in full. In a small job that is every one that a worker has looked at."""
    if report.items <= IN_FULL:
        untouched = (State.FOUND, State.DESCRIBED, State.PLANNED, State.QUEUED)
        yield from sorted(
            (item for item in items(session, job_id) if item.state not in untouched),
            key=lambda item: (item.state is not State.QUARANTINED, item.state is State.SKIPPED, item.number),
        )
        return
    left = IN_FULL
    for item in items(session, job_id, (State.QUARANTINED,), most=IN_FULL * 3 // 4):
        left -= 1
        yield item
    worst = counted.worst_numbers[:left]
    place = {number: n for n, number in enumerate(worst)}
    yield from sorted(items(session, job_id, numbers=worst), key=lambda item: place[item.number])


def _steps(session: Session, item: ItemReport) -> list[Step]:
    """What happened to an item, and which worker did it, in order of time."""
    steps = [
        Step(change.at, f"{'delivery ' if change.delivery_id else ''}{change.before} → {change.after}")
        for change in history(session, [item.item_id])
    ]
    tried = select(Attempt).where(Attempt.item_id == item.item_id).order_by(Attempt.sent_at)
    for attempt in session.scalars(tried):
        ended = attempt.ended_at or attempt.sent_at
        took = f" in {words.duration(attempt.seconds)}" if attempt.seconds else ""
        steps.append(Step(ended, f"{attempt.kind}, try {attempt.number}: {attempt.state}{took}", attempt.worker))
    return sorted(steps, key=lambda step: step.at)[:STEPS]


def _distributions(counted: Quality) -> list[tuple[str, str, str, list[tuple[str, float, float, float, int]], Markup]]:
    """For each metric: its key, title and unit; rows of statistic, worst, median, best and items; a histogram of items."""
    by_metric: dict[str, list[overview.Distribution]] = defaultdict(list)
    for (metric, _), distribution in sorted(counted.figures.items()):
        by_metric[metric].append(distribution)
    shown = []
    for metric, rows in sorted(by_metric.items(), key=lambda pair: in_order(pair[0])):
        told = [(STATISTICS[one.statistic], one.least, one.quantile(0.5), one.most, one.items) for one in rows]
        first = next((one for one in rows if one.statistic == "p1"), rows[0])
        title = f"{title_of(metric)}, {STATISTICS[first.statistic]} of each item"
        drawn = charts.histogram(f"job-{metric}", title, first.spread(), unit=unit_of(metric))
        shown.append((metric, title_of(metric), unit_of(metric), told, drawn))
    return shown


def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")


def _embedded(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """A CSP 3 source expression: a browser runs exactly this text, and nothing that a file's name smuggled in."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
