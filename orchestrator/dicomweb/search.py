"""QIDO-RS (PS3.18 10.6): studies, series and instances that lie in the store. What is asked for goes into no log."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response

from common.errors import PolicyError
from orchestrator.api.dependencies import FarmOf
from orchestrator.dicomweb import directory
from orchestrator.dicomweb.accept import ranges
from orchestrator.dicomweb.answers import answer, lacking
from orchestrator.dicomweb.attributes import SERIES_UID, STUDY_UID, Level
from orchestrator.dicomweb.instances import ROOT, Uid
from orchestrator.dicomweb.media import DICOM_JSON
from orchestrator.dicomweb.query import MOST, Query, parse
from orchestrator.farm import Farm
from orchestrator.ledger.schema import StoredInstance

router = APIRouter(prefix=ROOT, tags=["DICOMweb"])

AGENT = "299 cinefarm"
JSON_TYPES = (DICOM_JSON, "application/json")

_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "matches", "content": {DICOM_JSON: {}}},
    204: {"description": "nothing matches"},
}


@router.get("/studies", operation_id="searchStudies", responses=_RESPONSES)
def studies(request: Request, farm: FarmOf) -> Response:
    """Studies with results in the store."""
    return _search(request, farm, Level.STUDY, {})


@router.get("/series", operation_id="searchSeries", responses=_RESPONSES)
def series(request: Request, farm: FarmOf) -> Response:
    """Series of all studies."""
    return _search(request, farm, Level.SERIES, {})


@router.get("/instances", operation_id="searchInstances", responses=_RESPONSES)
def instances(request: Request, farm: FarmOf) -> Response:
    """Instances of all studies."""
    return _search(request, farm, Level.INSTANCE, {})


@router.get("/studies/{study}/series", operation_id="searchSeriesOfStudy", responses=_RESPONSES)
def series_of(request: Request, farm: FarmOf, study: Uid) -> Response:
    """Series of a study."""
    return _search(request, farm, Level.SERIES, {STUDY_UID: study})


@router.get("/studies/{study}/instances", operation_id="searchInstancesOfStudy", responses=_RESPONSES)
def instances_of_study(request: Request, farm: FarmOf, study: Uid) -> Response:
    """Instances of a study."""
    return _search(request, farm, Level.INSTANCE, {STUDY_UID: study})


@router.get("/studies/{study}/series/{series_uid}/instances", operation_id="searchInstancesOf", responses=_RESPONSES)
def instances_of(request: Request, farm: FarmOf, study: Uid, series_uid: Uid) -> Response:
    """Instances of a series."""
    return _search(request, farm, Level.INSTANCE, {STUDY_UID: study, SERIES_UID: series_uid})


def json_type(request: Request) -> str:
    """The JSON type that the client takes.

    Raises:
        HTTPException: 406.
    """
    taken = ranges(request.headers, request.query_params.get("accept", ""))
    for one in taken:
        for kind in JSON_TYPES:
            if one.takes(kind):
                return kind
    raise HTTPException(406, f"This is answered as {DICOM_JSON} alone.")


def base_url(request: Request) -> str:
    """Where this service is, as the client calls it."""
    return str(request.base_url).rstrip("/") + ROOT


def _search(request: Request, farm: Farm, level: Level, path: dict[str, str]) -> Response:
    kind = json_type(request)
    given = [(name, text) for name, text in request.query_params.multi_items() if name != "accept"]
    try:
        query = parse(level, given, path)
    except PolicyError as error:
        raise HTTPException(400, f"{error.message}. {error.hint}".strip()) from error
    found = directory.find(farm, query)
    warnings = _warnings(query, found)
    headers = {"Cache-Control": "no-store"} | ({"Warning": ", ".join(warnings)} if warnings else {})
    if not found.rows:
        return Response(status_code=204, headers=headers)
    with farm.reading() as session:
        holds = directory.contents(session, level, found.rows)
    base, reads = base_url(request), lacking(query, found.rows)

    def one(row: StoredInstance) -> dict[str, Any]:
        companion = directory.companion_of(farm.store, row.key) if reads else None
        key = (row.study_uid, row.series_uid)[: level + 1]
        return answer(row, query, holds.get(key), base, companion.dataset if companion else None)

    text = json.dumps([one(row) for row in found.rows], ensure_ascii=False, separators=(",", ":"))
    return Response(text.encode(), 200, headers, kind)


def _warnings(query: Query, found: directory.Found) -> list[str]:
    """What the client should know (PS3.18 8.3.4 and 10.6.3.2); no values, for proxies may log them."""
    told = []
    if found.more:
        told.append(f'{AGENT} "There are more results; offset gets them, and limit at most {MOST}."')
    if query.fuzzy:
        told.append(
            f'{AGENT} "The fuzzymatching parameter is not supported. Only literal matching has been performed."'
        )
    if query.unsupported:
        told.append(f'{AGENT} "Not matched against: {" ".join(sorted(set(query.unsupported)))}"')
    if not found.complete:
        told.append(
            f'{AGENT} "Not all results could be looked at in time; name a patient, an accession number or a date, or ask again."'
        )
    return told
