"""The whole report of a job as a folder that can be filed: page, tables, custody, decisions, and their SHA-256.

report.html        for people; needs no other file
items.csv          every item, for spreadsheets
items.parquet      the same, for whoever counts over a million of them
custody.csv        a line for each instance and destination: SHA-256 of source and result, proof of its arrival
reconciliation.csv a line for each study and destination: made, proven, on the way, failed
decisions.csv      who decided what, when and why
SHA256SUMS         of the files above (sha256sum --check)
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from common.store import ObjectStore
from orchestrator.ledger.decisions import decisions
from orchestrator.reports.csvfile import COLUMNS, safe
from orchestrator.reports.files import written_aside
from orchestrator.reports.html import write_html
from orchestrator.reports.model import items
from orchestrator.reports.overview import Quality, studies
from orchestrator.reports.parquetfile import ParquetItems
from orchestrator.reports.values import ItemReport

Row = Callable[[list[Any]], None]

CUSTODY = (
    *("number", "file", "state", "source_bytes", "source_sha256", "study_uid", "sop_instance_uid"),
    *("result_bytes", "result_sha256", "destination", "delivery", "location", "proof"),
)
RECONCILIATION = ("study_uid", "destination", "made", "committed", "delivered", "failed", "pending", "agrees")
DECISIONS = ("at", "by", "what", "item", "why", "detail")
SUMS = "SHA256SUMS"


def write_report(session: Session, job_id: str, folder: Path, store: ObjectStore | None = None) -> Path:
    """Write all of it; returns the page's path. Memory is that of a few batches of items.

    ``store``: where evidence and pictures of the worst frames lie; without it the page has none.

    Raises:
        sqlalchemy.exc.NoResultFound: there is no such job.
        OSError: the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "report.html"
    counted = Quality()
    with ExitStack() as stack:
        table = stack.enter_context(_table(folder / "items.csv", tuple(COLUMNS)))
        custody = stack.enter_context(_table(folder / "custody.csv", CUSTODY))
        parquet = stack.enter_context(ParquetItems(folder / "items.parquet"))
        for item in items(session, job_id):
            cells = [read(item) for read in COLUMNS.values()]
            table(cells)
            parquet.add(cells)
            counted.add_item(item)
            for row in _custody(item):
                custody(row)
    write_html(session, job_id, page, store, counted)
    with _table(folder / "reconciliation.csv", RECONCILIATION) as row_of:
        for one in studies(session, job_id):
            counts = (one.expected, one.committed, one.delivered, one.failed, one.pending)
            row_of([one.study, one.destination, *counts, "yes" if one.agrees else "no"])
    with _table(folder / "decisions.csv", DECISIONS) as row_of:
        for each in decisions(session, job_id):
            detail = "; ".join(f"{name}: {value}" for name, value in each.detail.items())
            row_of([each.at.isoformat(), each.by, each.what, each.item_id or "", each.why, detail])
    _sums(folder)
    return page


@contextmanager
def _table(path: Path, columns: tuple[str, ...]) -> Iterator[Row]:
    with written_aside(path, encoding="utf-8-sig", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        yield lambda cells: writer.writerow([safe(cell) for cell in cells])


def _custody(item: ItemReport) -> Iterator[list[Any]]:
    """A line for each instance at each destination; one alone where there is no instance, or no destination yet."""
    source = [item.number, item.name, item.state.value, item.bytes_before, item.source_digest, item.study_uid]
    results: list[list[Any]] = [
        [one.sop_instance_uid, one.instance_bytes, one.instance_digest] for one in item.instances
    ] or [["", "", ""]]
    places: list[list[Any]] = [[each.destination, each.state, each.location, each.proof] for each in item.deliveries]
    for result in results:
        for place in places or [["", "", "", ""]]:
            yield [*source, *result, *place]


def _sums(folder: Path) -> None:
    names = ("report.html", "items.csv", "items.parquet", "custody.csv", "reconciliation.csv", "decisions.csv")
    with written_aside(folder / SUMS) as out:
        for name in names:
            with (folder / name).open("rb") as stream:
                out.write(f"{hashlib.file_digest(stream, 'sha256').hexdigest()}  {name}\n")
