"""Plans and probes: asked for with POST, done in the background, looked at until they have ended."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from orchestrator import errands
from orchestrator.api.body import JOB_REQUEST, JobBody
from orchestrator.api.dependencies import CallerOf, FarmOf
from orchestrator.api.paging import Cursor, Limit, cursor_of, key_of
from orchestrator.errands import Errands, page_key
from orchestrator.ledger.schema import Errand
from orchestrator.plan_errand import plan_errand
from orchestrator.probe_facts import probed, prober

router = APIRouter(prefix="/api/v1", tags=["plans and probes"])

PLAN, PROBE = "plan", "probe"

ErrandId = Annotated[str, Path(min_length=1, max_length=32, description="id from the answer to POST")]
State = Literal["waiting", "running", "done", "failed", "cancelled"]


class ErrandAnswer(BaseModel):
    """Something that takes a while."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "9a1b2c3d4e5f60718293a4b5c6d7e8f9",
                    "state": "running",
                    "created_at": "2026-11-24T08:00:00+00:00",
                    "by": "anna",
                    "done": 120,
                    "result": None,
                    "failure": None,
                }
            ]
        }
    )

    id: str
    state: State
    created_at: datetime
    by: str = Field(description="who asked")
    done: int = Field(description="of a plan: items so far")
    result: dict[str, Any] | None = Field(
        description="when it is done: the summary of a plan, or what an archive told (docs/json.md)"
    )
    failure: dict[str, Any] | None = Field(description="code, message, hint")

    @classmethod
    def of(cls, row: Errand) -> ErrandAnswer:
        """As the ledger has it."""
        names = ("id", "state", "created_at", "by", "done", "result", "failure")
        return cls(**{name: getattr(row, name) for name in names})


class PlannedItems(BaseModel):
    """Items of a plan."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"items": [{"type": "item", "name": "a.mpg", "state": "planned"}], "next": None}]
        }
    )

    items: list[dict[str, Any]] = Field(description="item objects of docs/json.md")
    next: str | None = Field(description="cursor of the page after this one; null: no more so far")


class ProbeRequest(BaseModel):
    """Whom to ask."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"destination": "dicom://ARCHIVE@pacs.example:104"}]}
    )

    destination: str = Field(
        min_length=1, max_length=2000, description="dicom[+tls]://AET@host:port or dicomweb+https://host/path"
    )


def _errands(request: Request) -> Errands:
    known: Errands = request.app.state.errands
    return known


@router.post("/plans", operation_id="beginPlan", status_code=202, openapi_extra=JOB_REQUEST)
def begin_plan(
    asked: JobBody,
    farm: FarmOf,
    caller: CallerOf,
    request: Request,
    response: Response,
    most: Annotated[int, Query(ge=1, le=1_000_000, description="sources to look at; a few tell much")] = 1000,
) -> ErrandAnswer:
    """What would become of the sources of a job: listed, described and planned, nothing moved. The body is that of a job."""
    wanted = asked.job.request(None, farm.store)
    errand = _errands(request).begin(
        PLAN,
        {"most": most},
        caller.name,
        lambda run: plan_errand(run, wanted, most, farm.settings, farm.reading, farm.store),
    )
    response.headers["Location"] = f"/api/v1/plans/{errand}"
    return ErrandAnswer.of(errands.find(farm.ledger, PLAN, errand))


@router.get("/plans/{plan}", operation_id="getPlan")
def get_plan(plan: ErrandId, farm: FarmOf) -> ErrandAnswer:
    """How a plan stands; `result` holds the sums when it is done."""
    return ErrandAnswer.of(errands.find(farm.reading, PLAN, plan))


@router.get("/plans/{plan}/items", operation_id="listPlannedItems")
def planned_items(plan: ErrandId, farm: FarmOf, cursor: Cursor = None, limit: Limit = 50) -> PlannedItems:
    """The items of a plan so far, in the order of finding."""
    row = errands.find(farm.reading, PLAN, plan)
    page, line = (int(part) for part in key_of(cursor, int, int)) if cursor else (0, 0)
    found: list[dict[str, Any]] = []
    while 0 <= page < row.pages and len(found) < limit:
        lines = farm.store.get(page_key(plan, page)).splitlines()
        taken = lines[max(line, 0) :][: limit - len(found)]
        found += map(json.loads, taken)
        page, line = (page, line + len(taken)) if line + len(taken) < len(lines) else (page + 1, 0)
    more = 0 <= page < row.pages or (row.state in errands.OPEN and found)
    return PlannedItems(items=found, next=cursor_of(page, line) if more else None)


@router.delete("/plans/{plan}", operation_id="cancelPlan")
def cancel_plan(plan: ErrandId, farm: FarmOf) -> ErrandAnswer:
    """Nobody wants this plan any more: it stops within seconds."""
    return ErrandAnswer.of(errands.cancel(farm.ledger, PLAN, plan))


@router.post("/probes", operation_id="beginProbe", status_code=202)
def begin_probe(
    asked: ProbeRequest, farm: FarmOf, caller: CallerOf, request: Request, response: Response
) -> ErrandAnswer:
    """Ask an archive which classes, syntaxes and services it takes, as `cinefarm probe` does; plans go by what it said."""
    uri = prober(asked.destination).uri
    errand = _errands(request).begin(
        PROBE, {"destination": uri}, caller.name, lambda _run: probed(uri, farm.settings, farm.ledger)
    )
    response.headers["Location"] = f"/api/v1/probes/{errand}"
    return ErrandAnswer.of(errands.find(farm.ledger, PROBE, errand))


@router.get("/probes/{probe}", operation_id="getProbe")
def get_probe(probe: ErrandId, farm: FarmOf) -> ErrandAnswer:
    """How a probe stands; `result` holds what the archive told when it is done."""
    return ErrandAnswer.of(errands.find(farm.reading, PROBE, probe))
