"""WADO-RS metadata (PS3.18 10.4.1.1.2): headers in DICOM JSON, pixels by a URL. Streamed, an instance at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from orchestrator.api.dependencies import FarmOf
from orchestrator.dicomweb import directory
from orchestrator.dicomweb.answers import AVAILABLE_SYNTAX, value
from orchestrator.dicomweb.attributes import SERIES_UID, SOP_CLASS, SOP_UID, STUDY_UID
from orchestrator.dicomweb.instances import INSTANCE, ROOT, Uid, named, url
from orchestrator.dicomweb.media import DICOM_JSON, NATIVE
from orchestrator.dicomweb.search import base_url, json_type
from orchestrator.farm import Farm
from orchestrator.ledger.schema import StoredInstance

router = APIRouter(prefix=ROOT, tags=["DICOMweb"])

PIXEL_DATA = "7FE00010"
_RESPONSES: dict[int | str, dict[str, Any]] = {200: {"description": "headers", "content": {DICOM_JSON: {}}}}


@router.get("/studies/{study}/metadata", operation_id="studyMetadata", responses=_RESPONSES)
def of_study(request: Request, farm: FarmOf, study: Uid) -> Response:
    """Headers of all instances of a study."""
    return _answer(request, farm, named(farm, study))


@router.get("/studies/{study}/series/{series}/metadata", operation_id="seriesMetadata", responses=_RESPONSES)
def of_series(request: Request, farm: FarmOf, study: Uid, series: Uid) -> Response:
    """Headers of all instances of a series."""
    return _answer(request, farm, named(farm, study, series))


@router.get(
    f"{INSTANCE}/metadata",
    operation_id="instanceMetadata",
    responses=_RESPONSES,
)
def of_instance(request: Request, farm: FarmOf, study: Uid, series: Uid, instance: Uid) -> Response:
    """Header of an instance."""
    return _answer(request, farm, named(farm, study, series, instance))


def _answer(request: Request, farm: Farm, rows: Sequence[StoredInstance]) -> Response:
    kind, base = json_type(request), base_url(request)
    return StreamingResponse(_lines(farm, rows, base), 200, {"Cache-Control": "no-store"}, kind)


def _lines(farm: Farm, rows: Sequence[StoredInstance], base: str) -> Iterator[bytes]:
    begin = "["
    for row in rows:
        text = json.dumps(header(farm, row, base), ensure_ascii=False, separators=(",", ":"))
        yield f"{begin}{text}".encode()
        begin = ","
    yield b"]"


def header(farm: Farm, row: StoredInstance, base: str) -> dict[str, Any]:
    """One header; where none was kept, what the ledger knows."""
    companion = directory.companion_of(farm.store, row.key)
    made: dict[str, Any] = dict(companion.dataset) if companion else {}
    made |= {
        STUDY_UID: value("UI", row.study_uid),
        SERIES_UID: value("UI", row.series_uid),
        SOP_UID: value("UI", row.sop_instance_uid),
        SOP_CLASS: value("UI", row.sop_class_uid),
        AVAILABLE_SYNTAX: value("UI", row.transfer_syntax_uid),
    }
    if companion:
        bits = next(iter(made.get("00280100", {}).get("Value", ())), 8)
        vr = "OW" if row.transfer_syntax_uid in NATIVE and bits != 8 else "OB"
        made[PIXEL_DATA] = {"vr": vr, "BulkDataURI": f"{url(base, row)}/bulkdata/{PIXEL_DATA}"}
    return dict(sorted(made.items()))
