"""Rendered instances (PS3.18 10.4.1.1.3): video as a player takes it, by ranges; the first bytes come without a look at the rest."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from common.bitstream import BitstreamError
from common.dicom.companion import Companion
from orchestrator.api.byte_ranges import Body, respond
from orchestrator.api.dependencies import FarmOf
from orchestrator.dicomweb.accept import Range, ranges
from orchestrator.dicomweb.bulk import frame_count
from orchestrator.dicomweb.instances import INSTANCE, ROOT, Uid, companion, etag, one
from orchestrator.dicomweb.media import MPEG2, VIDEO
from orchestrator.dicomweb.pictures import PainterOf, picture
from orchestrator.dicomweb.video import Container, Stream, why_not
from orchestrator.farm import Farm
from orchestrator.ledger.schema import StoredInstance

router = APIRouter(prefix=ROOT, tags=["DICOMweb"])

MP4, MPEG = "video/mp4", "video/mpeg"
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "the video", "content": {MP4: {}, MPEG: {}}},
    206: {"description": "the range that was asked for"},
    406: {"description": "no player of this type shows it"},
}


@router.head(f"{INSTANCE}/rendered", include_in_schema=False)
@router.get(f"{INSTANCE}/rendered", operation_id="renderedInstance", responses=_RESPONSES)
async def rendered(
    request: Request, farm: FarmOf, painter: PainterOf, study: Uid, series: Uid, instance: Uid
) -> Response:
    """A video as MP4 with its index first; MPEG-2 as it is; a single image as a picture."""
    uids = (study, series, instance)
    return await run_in_threadpool(_video, request, farm, uids) or await picture(request, farm, painter, uids, 1)


def _video(request: Request, farm: Farm, uids: tuple[str, str, str]) -> Response | None:
    """None: it is a single image."""
    row = one(farm, *uids)
    known = companion(farm, row)
    taken = ranges(request.headers, request.query_params.get("accept", ""))
    if row.transfer_syntax_uid not in VIDEO:
        if frame_count(known) == 1:
            return None
        raise HTTPException(406, "These are images and no video: take /frames/1/rendered and so on.")
    if row.transfer_syntax_uid in MPEG2:
        return _mpeg(request, farm, row, known, taken)
    return _mp4(request, farm, row, known, taken)


def _mpeg(request: Request, farm: Farm, row: StoredInstance, known: Companion, taken: tuple[Range, ...]) -> Response:
    _check(taken, MPEG, "This is MPEG-2 video, which is answered as video/mpeg alone; browsers do not play it.")
    content = Stream(row.key, known.pixels).whole
    return respond(
        request, Body(content.length, MPEG, lambda first, last: content.read(farm.store, first, last), etag(row, MPEG))
    )


def _mp4(request: Request, farm: Farm, row: StoredInstance, known: Companion, taken: tuple[Range, ...]) -> Response:
    _check(taken, MP4, "Video is answered as video/mp4 alone.")
    name, stream = etag(row, MP4), Stream(row.key, known.pixels)
    if stream.container(farm.store) is not Container.MP4:
        raise HTTPException(406, "This video is stored in a container that browsers do not play; take its bulk data.")
    try:
        content = stream.playable(farm.store, name)
    except BitstreamError as error:
        raise HTTPException(406, why_not(error)) from error
    return respond(request, Body(content.length, MP4, lambda first, last: content.read(farm.store, first, last), name))


def _check(taken: tuple[Range, ...], kind: str, refusal: str) -> None:
    """Raises: HTTPException: 406."""
    if not any(one.takes(kind) for one in taken):
        raise HTTPException(406, refusal)
