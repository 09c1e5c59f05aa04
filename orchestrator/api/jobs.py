"""Jobs: submit, list, look, steer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Select, func, select, tuple_
from sqlalchemy.orm import Session

from common.errors import PolicyError
from orchestrator import control
from orchestrator.api.access import Caller
from orchestrator.api.body import JOB_REQUEST, JobBody
from orchestrator.api.dependencies import CallerOf, FarmOf, JobName
from orchestrator.api.job_answers import AtWork, Changed, JobAnswer, JobDetail, Submitted
from orchestrator.api.paging import Cursor, Limit, Page, as_json, key_of, page
from orchestrator.api.sites import site_of
from orchestrator.control import find_job
from orchestrator.farm import Farm
from orchestrator.job_view import views
from orchestrator.jobs import enter
from orchestrator.ledger.idempotency import earlier, remember
from orchestrator.ledger.schema import Job, Tally
from orchestrator.status import JobState, progress

router = APIRouter(prefix="/api/v1/jobs", tags=["jobs"])

_LOOKED_AT = 200
"""Jobs read at a time where a state is asked for, which no column holds."""

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        description="chosen by the client: the same key with the same body is answered alike for 24 hours, and nothing is done again",
    ),
]


class Why(BaseModel):
    """Why somebody steers: it stands beside their name in the record of decisions."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "the archive is being moved"}]}
    )

    reason: str = Field(default="", max_length=2000)


class Pause(Why):
    """How to pause."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"now": True, "reason": "maintenance"}]})

    now: bool = Field(default=False, description="stop what runs as well; it is done again after resume")


class Retry(Why):
    """What to try again."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"quarantined": True}]})

    quarantined: bool = Field(default=False, description="also what missed its gate")


class Change(Why):
    """What shall become other; what is left out stays."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"priority": 10}, {"window": "Mon-Fri 20:00-06:00 Europe/Berlin"}, {"window": ""}]
        },
    )

    priority: int | None = Field(default=None, ge=-1000, le=1000, description="higher goes first")
    window: str | None = Field(default=None, max_length=500, description="when work may go out; empty: always")
    at_end: Literal["finish", "stop"] | None = Field(
        default=None, description="what becomes of running work when the window closes"
    )


def _who(caller: Caller, why: Why | None) -> dict[str, Any]:
    return {"by": caller.name, "why": why.reason if why else ""}


@router.post(
    "",
    operation_id="submitJob",
    status_code=201,
    response_model=Submitted,
    responses={200: {"model": Submitted, "description": "the same request had been made before, and goes on"}},
    openapi_extra=JOB_REQUEST,
)
def submit(
    asked: JobBody, farm: FarmOf, caller: CallerOf, response: Response, idempotency_key: IdempotencyKey = None
) -> Submitted:
    """Hand a job over. Sources, destinations, profile, target and sound are what it *is*: the same ones again go on with it.

    Paths are absolute, as the farm sees them. ``map`` and ``identifiers`` are ids of uploads.
    """
    wanted = asked.job.request(None, farm.store, patience_seconds=farm.settings.patience_seconds)
    wanted = replace(wanted, site=site_of(caller, wanted.site))
    with farm.ledger.begin() as session:
        if idempotency_key and (known := earlier(session, caller.name, idempotency_key, asked.body)):
            return _submitted(known, response, created=False)
        created = session.scalar(select(Job.id).where(Job.key == wanted.key)) is None
        job_id = enter(session, wanted, by=caller.name).id
        if idempotency_key:
            remember(session, caller.name, idempotency_key, asked.body, job_id)
    if not created:
        control.retry(farm.ledger, job_id, by=caller.name)
    return _submitted(job_id, response, created=created)


def _submitted(job_id: str, response: Response, *, created: bool) -> Submitted:
    response.status_code = 201 if created else 200
    response.headers["Location"] = f"/api/v1/jobs/{job_id}"
    return Submitted(job=job_id, created=created)


@router.get("", operation_id="listJobs", response_model=Page[JobAnswer])
def jobs(
    farm: FarmOf,
    state: Annotated[list[JobState] | None, Query(description="only jobs in one of these states")] = None,
    name: Annotated[str, Query(max_length=200, description="only jobs whose name or id begins so")] = "",
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """All jobs, the latest first."""
    wanted = select(Job).order_by(Job.created_at.desc(), Job.id.desc())
    if name:
        wanted = wanted.where(Job.name.startswith(name, autoescape=True) | Job.id.startswith(name, autoescape=True))
    before = _moment(cursor) if cursor else None
    with farm.reading() as session:
        found = _found(session, wanted, before, set(state or ()), limit)
    return as_json(page(found, limit, [(_micros(each.created_at), each.job) for each in found]))


def _found(
    session: Session, wanted: Select[Job], before: tuple[datetime, str] | None, states: set[JobState], limit: int
) -> list[JobAnswer]:
    """One more than a page, where there are so many."""
    found: list[JobAnswer] = []
    at_a_time = _LOOKED_AT if states else limit + 1
    while len(found) <= limit:
        batch = wanted if before is None else wanted.where(tuple_(Job.created_at, Job.id) < before)
        rows = session.scalars(batch.limit(at_a_time)).all()
        found += [JobAnswer.of(view) for view in views(session, rows) if not states or view.state in states]
        if len(rows) < at_a_time:
            break
        before = rows[-1].created_at, rows[-1].id
    return found[: limit + 1]


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


def _moment(cursor: str) -> tuple[datetime, str]:
    micros, job_id = key_of(cursor, int, str)
    try:
        return _EPOCH + timedelta(microseconds=int(micros)), str(job_id)
    except OverflowError as error:
        raise PolicyError("the cursor is none of this list", hint="Begin without a cursor.") from error


@router.get("/{job}", operation_id="getJob")
def job(job: JobName, farm: FarmOf) -> JobDetail:
    """How one job stands now, with what is at work for it."""
    with farm.reading() as session:
        return _detail(session, find_job(session, job))


def _detail(session: Session, found: Job) -> JobDetail:
    (view,) = views(session, [found])
    active = [AtWork.of(each) for each in progress(session, found.id).running]
    caused = select(Tally.cause, func.sum(Tally.items)).where(Tally.job_id == found.id, Tally.cause != "")
    causes = {cause: int(count) for cause, count in session.execute(caused.group_by(Tally.cause)) if count}
    return JobDetail(**JobAnswer.of(view).model_dump(), active=active, causes=causes)


@router.patch("/{job}", operation_id="changeJob")
def change(job: JobName, asked: Change, farm: FarmOf, caller: CallerOf) -> JobDetail:
    """Another priority, another window: they count from the next order on."""
    job_id, who = _id(farm, job), _who(caller, asked)
    if asked.window is not None or asked.at_end is not None:
        control.set_window(farm.ledger, job_id, asked.window, asked.at_end, **who)  # first: it may be refused
    if asked.priority is not None:
        control.set_priority(farm.ledger, job_id, asked.priority, **who)
    with farm.reading() as session:
        return _detail(session, session.get_one(Job, job_id))


@router.post("/{job}/pause", operation_id="pauseJob")
def pause(job: JobName, farm: FarmOf, caller: CallerOf, asked: Pause | None = None) -> Changed:
    """Send nothing new of a job; what runs ends, or is stopped as well."""
    stop = asked.now if asked else False
    return _steered(
        farm, job, lambda job_id: control.pause(farm.ledger, job_id, stop_running=stop, **_who(caller, asked))
    )


@router.post("/{job}/resume", operation_id="resumeJob")
def resume(job: JobName, farm: FarmOf, caller: CallerOf, asked: Why | None = None) -> Changed:
    """Go on with a paused job."""
    return _steered(farm, job, lambda job_id: control.resume(farm.ledger, job_id, **_who(caller, asked)))


@router.post("/{job}/cancel", operation_id="cancelJob")
def cancel(job: JobName, farm: FarmOf, caller: CallerOf, asked: Why | None = None) -> Changed:
    """End a job: what runs is stopped within seconds, what is done stays done."""
    return _steered(farm, job, lambda job_id: control.cancel(farm.ledger, job_id, **_who(caller, asked)))


@router.post("/{job}/retry", operation_id="retryJob")
def retry(job: JobName, farm: FarmOf, caller: CallerOf, asked: Retry | None = None) -> Changed:
    """Try a job's failed and cancelled items again, from their sources."""
    again = asked.quarantined if asked else False
    who = _who(caller, asked)
    return _steered(farm, job, lambda job_id: control.retry(farm.ledger, job_id, quarantined=again, **who))


def _steered(farm: Farm, name: str, action: Callable[[str], int | None]) -> Changed:
    job_id = _id(farm, name)
    return Changed(job=job_id, items=action(job_id))


def _id(farm: Farm, name: str) -> str:
    with farm.reading() as session:
        return find_job(session, name).id
