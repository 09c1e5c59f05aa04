"""The form that submits a job: its CSV is checked line by line, its plan is shown before anything moves."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, UploadFile
from fastapi.responses import Response
from pydantic import ValidationError

from common.errors import BadMapping, CinefarmError
from orchestrator import control
from orchestrator.api.dependencies import FarmOf
from orchestrator.api.sites import site_of
from orchestrator.farm import Farm
from orchestrator.ingest.mapping import Mapping
from orchestrator.jobfile import JobFile, mapping_key, put_mapping
from orchestrator.jobs import JobRequest, enter
from orchestrator.web.forms import Person, back
from orchestrator.web.jobs import profile_names
from orchestrator.web.preview import Preview, preview
from orchestrator.web.render import page

router = APIRouter(prefix="/submit")

LARGEST_CSV = 256 << 20
"""Bytes of a mapping: a million rows."""


@dataclass
class Asked:
    """The form as a person filled it in, and what is wrong with it."""

    values: dict[str, str] = field(default_factory=lambda: {"profile": "archive", "priority": "0", "at_end": "finish"})
    problems: list[str] = field(default_factory=list)
    csv_name: str = ""
    csv_rows: int = 0
    csv_faults: list[str] = field(default_factory=list)
    plan: Preview | None = None


@router.get("")
def form(request: Request) -> Response:
    """An empty form."""
    return _page(request, Asked())


@router.post("")
def submit(
    request: Request,
    farm: FarmOf,
    person: Person,
    sources: Annotated[str, Form()] = "",
    destinations: Annotated[str, Form()] = "",
    name: Annotated[str, Form()] = "",
    profile: Annotated[str, Form()] = "archive",
    priority: Annotated[str, Form()] = "0",
    window: Annotated[str, Form()] = "",
    at_end: Annotated[str, Form()] = "finish",
    audio: Annotated[str, Form()] = "strip",
    map_id: Annotated[str, Form()] = "",
    csv: UploadFile | None = None,
    action: Annotated[str, Form()] = "preview",
) -> Response:
    """``action`` preview: check all of it and show the plan; submit: hand the job over."""
    values = {
        "sources": sources, "destinations": destinations, "name": name, "profile": profile, "priority": priority,
        "window": window, "at_end": at_end, "audio": audio, "map_id": map_id,
    }  # fmt: skip
    asked = Asked(values)
    mapping = _mapping(farm, asked, csv)
    wanted = None if asked.csv_faults else _request(farm, asked)
    if wanted is None or asked.problems:
        return _page(request, asked, 422)
    if action != "submit":
        _plan(farm, asked, wanted, mapping)
        return _page(request, asked)
    with farm.ledger.begin() as session:
        job_id = enter(session, replace(wanted, site=site_of(person, wanted.site)), by=person.name).id
    control.retry(farm.ledger, job_id, by=person.name)
    return back(f"/jobs/{job_id}", "submitted")


def _page(request: Request, asked: Asked, status: int = 200) -> Response:
    part = request.headers.get("hx-target") == "answer"
    template = "submit_answer.html.j2" if part else "submit.html.j2"
    return page(request, template, 200 if part else status, asked=asked, profiles=profile_names())


def _mapping(farm: Farm, asked: Asked, csv: UploadFile | None) -> Mapping | None:
    """The CSV that was sent now, or the one that was sent before; what is wrong with it goes to ``csv_faults``."""
    try:
        if csv is not None and csv.filename:
            if csv.size is not None and csv.size > LARGEST_CSV:
                raise BadMapping(f"the CSV has more than {LARGEST_CSV >> 20} MiB")
            asked.csv_name, asked.values["map_id"] = csv.filename, ""
            mapping = Mapping.read(csv.file)
            csv.file.seek(0)
            key = put_mapping(mapping, csv.file.read(), farm.store)
            asked.values["map_id"] = key.rpartition("/")[2].removesuffix(".csv")
        elif asked.values["map_id"]:
            mapping = Mapping.read(farm.store.get(mapping_key(asked.values["map_id"])).splitlines(keepends=True))
        else:
            return None
    except BadMapping as error:
        asked.csv_faults = list(error.faults) or [error.message]
        return None
    except CinefarmError as error:
        asked.problems.append(f"{error.message}. {error.hint}".strip())
        return None
    asked.csv_rows = mapping.rows
    return mapping


def _request(farm: Farm, asked: Asked) -> JobRequest | None:
    values: dict[str, Any] = {
        "sources": _lines(asked.values["sources"]),
        "destinations": _lines(asked.values["destinations"]),
        "name": asked.values["name"].strip(),
        "profile": asked.values["profile"],
        "priority": asked.values["priority"].strip() or "0",
        "audio": asked.values["audio"],
        "at_end": asked.values["at_end"],
        "window": asked.values["window"].strip() or None,
        "map": asked.values["map_id"] or None,
    }
    try:
        job = JobFile.model_validate(values).checked()
        return job.request(None, farm.store, patience_seconds=farm.settings.patience_seconds)
    except ValidationError as error:
        asked.problems += [f"{fault['loc'][0]}: {_said(fault['msg'])}" for fault in error.errors()]
    except CinefarmError as error:
        asked.problems.append(f"{error.message}. {error.hint}".strip())
    return None


def _plan(farm: Farm, asked: Asked, wanted: JobRequest, mapping: Mapping | None) -> None:
    try:
        asked.plan = preview(farm, wanted, mapping)
    except CinefarmError as error:
        asked.problems.append(f"{error.message}. {error.hint}".strip())


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _said(message: str) -> str:
    return "is missing" if "at least 1 item" in message else message[:1].lower() + message[1:]
