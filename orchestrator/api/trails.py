"""What auditors and archives of paper take away: the audit trail of a job, and its reports."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path as FilePath
from typing import Annotated, Literal

from fastapi import APIRouter, Path
from fastapi.responses import FileResponse, StreamingResponse
from sqlalchemy.orm import Session
from starlette.background import BackgroundTask

from orchestrator.api.dependencies import FarmOf, JobName
from orchestrator.control import find_job
from orchestrator.farm import Farm
from orchestrator.reports.csvfile import write_csv
from orchestrator.reports.html import write_html
from orchestrator.reports.jsonlines import item_line, line, summary_line
from orchestrator.reports.model import items, job_report
from orchestrator.trail_lines import trail_lines

router = APIRouter(prefix="/api/v1/jobs", tags=["reports"])

NDJSON = "application/x-ndjson"


def _write_lines(session: Session, job_id: str, path: FilePath) -> None:
    """The lines of ``cinefarm report --json``: an object an item, then the summary."""
    with path.open("w", encoding="ascii") as file:
        for each in items(session, job_id):
            file.write(item_line(each) + "\n")
        file.write(summary_line(job_report(session, job_id)) + "\n")


Format = Literal["html", "csv", "jsonl"]

_WRITERS: dict[str, tuple[Callable[[Session, str, FilePath], object], str]] = {
    "html": (write_html, "text/html; charset=utf-8"),
    "csv": (write_csv, "text/csv; charset=utf-8"),
    "jsonl": (_write_lines, NDJSON),
}
"""Format → who writes it, and its media type."""


@router.get(
    "/{job}/report.{form}",
    operation_id="downloadReport",
    response_class=FileResponse,
    responses={200: {"description": "the report", "content": {kind: {} for _, kind in _WRITERS.values()}}},
)
def report(job: JobName, form: Annotated[Format, Path(description="of the file")], farm: FarmOf) -> FileResponse:
    """The report of a job as it stands now: a page for people, a table, or the lines of docs/json.md."""
    write, kind = _WRITERS[form]
    with farm.reading() as session:
        job_id = find_job(session, job).id
        with tempfile.NamedTemporaryFile(prefix="cinefarm-report-", delete=False) as file:
            path = FilePath(file.name)
        try:
            if form == "html":
                write_html(session, job_id, path, farm.store)  # with the pictures of its worst frames
            else:
                write(session, job_id, path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    return FileResponse(
        path, media_type=kind, filename=f"{job_id}.{form}", background=BackgroundTask(path.unlink, missing_ok=True)
    )


@router.get(
    "/{job}/audit",
    operation_id="auditJob",
    response_class=StreamingResponse,
    responses={200: {"description": "one JSON object a line (docs/json.md)", "content": {NDJSON: {}}}},
)
def audit(job: JobName, farm: FarmOf) -> StreamingResponse:
    """Every change of state of a job's items and deliveries, item by item; then one line for each item whose trail has a gap."""
    with farm.reading() as session:
        job_id = find_job(session, job).id
    return StreamingResponse(_audit_lines(farm, job_id), media_type=NDJSON)


def _audit_lines(farm: Farm, job_id: str) -> Iterator[str]:
    for each in trail_lines(farm.reading, job_id):
        yield line(each) + "\n"
