"""WADO-RS instances (PS3.18 10.4.1.1.1): the very bytes of the store, as a stream; nothing is transcoded for a viewer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response

from orchestrator.api.byte_ranges import Body, respond, stored_bytes
from orchestrator.api.dependencies import FarmOf
from orchestrator.dicomweb.accept import ranges
from orchestrator.dicomweb.content import Stretch
from orchestrator.dicomweb.instances import INSTANCE, ROOT, Uid, etag, named, url
from orchestrator.dicomweb.media import DICOM
from orchestrator.dicomweb.multipart import Piece, related
from orchestrator.dicomweb.search import base_url
from orchestrator.farm import Farm
from orchestrator.ledger.schema import StoredInstance

router = APIRouter(prefix=ROOT, tags=["DICOMweb"])

_RESPONSES: dict[int | str, dict[str, Any]] = {200: {"description": "instances", "content": {"multipart/related": {}}}}


@router.head("/studies/{study}", include_in_schema=False)
@router.get("/studies/{study}", operation_id="retrieveStudy", responses=_RESPONSES)
def study(request: Request, farm: FarmOf, study: Uid) -> Response:
    """All instances of a study."""
    return _answer(request, farm, named(farm, study))


@router.head("/studies/{study}/series/{series}", include_in_schema=False)
@router.get("/studies/{study}/series/{series}", operation_id="retrieveSeries", responses=_RESPONSES)
def series(request: Request, farm: FarmOf, study: Uid, series: Uid) -> Response:
    """All instances of a series."""
    return _answer(request, farm, named(farm, study, series))


@router.head(INSTANCE, include_in_schema=False)
@router.get(
    INSTANCE,
    operation_id="retrieveInstance",
    responses=_RESPONSES,
)
def instance(request: Request, farm: FarmOf, study: Uid, series: Uid, instance: Uid) -> Response:
    """One instance; as application/dicom alone too, and then by ranges."""
    return _answer(request, farm, named(farm, study, series, instance))


def _answer(request: Request, farm: Farm, rows: Sequence[StoredInstance]) -> Response:
    for one in ranges(request.headers, request.query_params.get("accept", "")):
        if all(one.takes_parts(DICOM, row.transfer_syntax_uid) for row in rows):
            return _message(request, farm, rows)
        if len(rows) == 1 and one.kind == DICOM and one.takes(DICOM, rows[0].transfer_syntax_uid):
            return _alone(request, farm, rows[0])
    syntaxes = ", ".join(sorted({row.transfer_syntax_uid for row in rows}))
    raise HTTPException(
        406, f'These are answered as multipart/related; type="{DICOM}", in the transfer syntax {syntaxes} alone.'
    )


def _message(request: Request, farm: Farm, rows: Sequence[StoredInstance]) -> Response:
    base = base_url(request)
    pieces = (
        Piece(
            f"{DICOM}; transfer-syntax={row.transfer_syntax_uid}",
            url(base, row),
            (Stretch(row.key, 0, row.size_bytes),),
        )
        for row in rows
    )
    kind, content = related(pieces, DICOM)
    return respond(request, Body(content.length, kind, lambda first, last: content.read(farm.store, first, last)))


def _alone(request: Request, farm: Farm, row: StoredInstance) -> Response:
    kind = f"{DICOM}; transfer-syntax={row.transfer_syntax_uid}"
    return respond(
        request,
        Body(row.size_bytes, kind, lambda first, last: stored_bytes(farm.store, row.key, first, last), etag(row)),
    )
