"""Forms that steer one job: pause, resume, cancel, retry, priority, time window."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Form, HTTPException
from fastapi.responses import Response

from common.errors import PolicyError
from orchestrator import control
from orchestrator.api.dependencies import FarmOf
from orchestrator.farm import Farm
from orchestrator.web.forms import Person, back
from orchestrator.web.jobs import job_or_404

router = APIRouter(prefix="/jobs/{job_id}")

Why = Annotated[str, Form(max_length=2000)]


def _known(farm: Farm, job_id: str) -> None:
    with farm.reading() as session:
        job_or_404(session, job_id)


@router.post("/pause")
def pause(farm: FarmOf, person: Person, job_id: str, stop: Annotated[str, Form()] = "", why: Why = "") -> Response:
    """Nothing new goes out; with ``stop``, what runs is stopped as well."""
    _known(farm, job_id)
    control.pause(farm.ledger, job_id, stop_running=bool(stop), by=person.name, why=why)
    return back(f"/jobs/{job_id}", "paused")


@router.post("/resume")
def resume(farm: FarmOf, person: Person, job_id: str, why: Why = "") -> Response:
    """Go on."""
    _known(farm, job_id)
    control.resume(farm.ledger, job_id, by=person.name, why=why)
    return back(f"/jobs/{job_id}", "resumed")


@router.post("/cancel")
def cancel(farm: FarmOf, person: Person, job_id: str, why: Why = "") -> Response:
    """End it; what is done stays."""
    _known(farm, job_id)
    control.cancel(farm.ledger, job_id, by=person.name, why=why)
    return back(f"/jobs/{job_id}", "cancelled")


@router.post("/retry")
def retry(
    farm: FarmOf, person: Person, job_id: str, quarantined: Annotated[str, Form()] = "", why: Why = ""
) -> Response:
    """Failed and cancelled items begin again; with ``quarantined``, those too."""
    _known(farm, job_id)
    control.retry(farm.ledger, job_id, quarantined=bool(quarantined), by=person.name, why=why)
    return back(f"/jobs/{job_id}", "retried")


@router.post("/settings")
def settings(
    farm: FarmOf,
    person: Person,
    job_id: str,
    priority: Annotated[int, Form(ge=-1000, le=1000)],
    window: Annotated[str, Form(max_length=500)] = "",
    at_end: Annotated[Literal["finish", "stop"], Form()] = "finish",
    why: Why = "",
) -> Response:
    """Priority, and when work may go out."""
    _known(farm, job_id)
    try:
        control.set_window(farm.ledger, job_id, window.strip(), at_end, by=person.name, why=why)
    except PolicyError as error:
        raise HTTPException(422, f"{error.message}. {error.hint}") from error
    control.set_priority(farm.ledger, job_id, priority, by=person.name, why=why)
    return back(f"/jobs/{job_id}", "changed")
