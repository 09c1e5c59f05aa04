"""The list of jobs, and the page of one: progress, studies, items by filter, reports."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response
from sqlalchemy.orm import Session

from common.stages import State
from orchestrator.api.dependencies import FarmOf
from orchestrator.eta import Span
from orchestrator.farm import Farm
from orchestrator.ledger.schema import Job
from orchestrator.web.overview import encoding_slots, live_workers
from orchestrator.web.queries import items, tallies
from orchestrator.web.queries import jobs as queries
from orchestrator.web.queries.jobs import AtWork, JobLine
from orchestrator.web.queries.recent import recent
from orchestrator.web.render import page

router = APIRouter()


@dataclass(frozen=True)
class JobView:
    """One job now."""

    line: JobLine
    running: tuple[AtWork, ...]
    left: Span | None
    samples: int  # measured orders behind the estimate


def job_or_404(session: Session, job_id: str) -> Job:
    """The job, or 404."""
    job = session.get(Job, job_id)
    if job is None:
        raise HTTPException(404, "There is no such job.")
    return job


def view_of(farm: Farm, job_id: str) -> JobView:
    """Read ledger and broker."""
    workers, _ = live_workers(farm)
    with farm.reading() as session:
        job = job_or_404(session, job_id)
        sums = tallies.totals(session, job_id)
        known = recent(session).pace
        left = queries.time_left(sums, encoding_slots(workers), known)
        return JobView(
            queries.line_of(job, sums), queries.at_work(session, job_id), left, known.samples if known else 0
        )


@router.get("/jobs")
def index(request: Request, farm: FarmOf, after: str = "") -> Response:
    """All jobs, the latest first."""
    with farm.reading() as session:
        return page(request, "jobs.html.j2", found=queries.jobs(session, after))


@router.get("/jobs/{job_id}")
def job(
    request: Request, farm: FarmOf, job_id: str, state: str = "", cause: str = "", study: str = "", after: str = ""
) -> Response:
    """One job. ``state``, ``cause`` and ``study`` choose its items, ``after`` goes on in them."""
    chosen = items.Filter(_state(state), cause, study)
    view = view_of(farm, job_id)
    with farm.reading() as session:
        found = items.of_job(session, job_id, chosen, after)
    return page(request, "job.html.j2", view=view, job=view.line.job, found=found, chosen=chosen, after=after)


@router.get("/jobs/{job_id}/items")
def job_items(
    request: Request, farm: FarmOf, job_id: str, state: str = "", cause: str = "", study: str = "", after: str = ""
) -> Response:
    """The list of items on its page, which renews itself."""
    chosen = items.Filter(_state(state), cause, study)
    with farm.reading() as session:
        row = job_or_404(session, job_id)
        found = items.of_job(session, job_id, chosen, after)
    return page(request, "job_items.html.j2", job=row, found=found, chosen=chosen)


@router.get("/jobs/{job_id}/live")
def live(request: Request, farm: FarmOf, job_id: str) -> Response:
    """The part of its page that changes by itself."""
    return page(request, "job_live.html.j2", view=view_of(farm, job_id))


@router.get("/jobs/{job_id}/studies")
def studies(request: Request, farm: FarmOf, job_id: str, after: str = "") -> Response:
    """Its studies, by UID."""
    with farm.reading() as session:
        row = job_or_404(session, job_id)
        line = queries.line_of(row, tallies.totals(session, job_id))
        return page(request, "studies.html.j2", line=line, found=items.studies(session, job_id, after))


def profile_names() -> list[tuple[str, str]]:
    """Profiles that a person may choose: name and purpose."""
    from common.recipes import PROFILES

    return [(name, profile.purpose) for name, profile in PROFILES.items()]


def _state(text: str) -> State | None:
    return State(text) if text in set(State) else None
