"""The report as a CSV for spreadsheets: one line an item, safe to open."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

from sqlalchemy.orm import Session

from orchestrator.reports import words
from orchestrator.reports.files import written_aside
from orchestrator.reports.model import items
from orchestrator.reports.values import ItemReport

Cell = str | int | float | None

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet may take a cell that begins so for a formula (OWASP, CSV Injection)."""


def _score(metric: str, statistic: str) -> Callable[[ItemReport], Cell]:
    return lambda item: words.score(item, metric, statistic)


COLUMNS: dict[str, Callable[[ItemReport], Cell]] = {
    "number": lambda item: item.number,
    "file": lambda item: item.name,
    "state": lambda item: item.state.value,
    "reason": lambda item: item.reason,
    "what_to_do": lambda item: item.next_step,
    "path": lambda item: item.path,
    "plan_reason": lambda item: item.plan.reason if item.plan else None,
    "sop_class": lambda item: item.sop_class,
    "transfer_syntax": lambda item: item.transfer_syntax,
    "bytes_before": lambda item: item.bytes_before,
    "bytes_after": lambda item: item.bytes_after,
    "ratio": lambda item: None if item.ratio is None else round(item.ratio, 3),
    **{
        f"{metric}_{statistic}": _score(metric, statistic)
        for metric in words.METRICS
        for statistic in ("mean", "p1", "min")
    },
    "quality_number": lambda item: item.quality_number,
    "verdict": words.verdict,
    "misses": lambda item: "; ".join(item.misses),
    "findings": lambda item: "; ".join(f"{f.severity} {f.rule} ({f.clause}): {f.found}" for f in item.findings),
    "delivered_to": lambda item: "; ".join(
        f"{d.destination}: {d.state} {_one_line(d.location)}" for d in item.deliveries
    ),
    "proof": lambda item: "; ".join(d.proof for d in item.deliveries if d.proof),
    "instances": lambda item: len(item.instances),
    "sop_instance_uid": lambda item: "; ".join(one.sop_instance_uid for one in item.instances) or item.sop_instance_uid,
    "sha256": lambda item: "; ".join(one.instance_digest for one in item.instances) or item.instance_digest,
    "attempts": lambda item: item.attempts,
    "work_seconds": lambda item: round(item.seconds, 3),
    "failure_code": lambda item: item.failure.code if item.failure else None,
    "mend": lambda item: words.ACTORS[item.failure.actor] if item.failure else None,
    "remarks": lambda item: "; ".join(item.remarks),
    "study_uid": lambda item: item.study_uid or None,
    "source_sha256": lambda item: item.source_digest or None,
    "identifiers": lambda item: "coerced" if item.coerced else None,
}


def _one_line(location: str) -> str:
    return ", ".join(location.split("\n"))


def write_csv(session: Session, job_id: str, path: Path) -> None:
    """Write all items of a job, in batches. UTF-8 with the mark that makes spreadsheets read it as such."""
    with written_aside(path, encoding="utf-8-sig", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for item in items(session, job_id):
            writer.writerow([safe(read(item)) for read in COLUMNS.values()])


def safe(cell: Cell) -> Cell:
    """The cell, so that no spreadsheet takes it for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA_STARTS) else cell
