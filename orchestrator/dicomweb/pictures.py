"""Frames as pictures (PS3.18 10.4.1.1.4 rendered frames, 10.7 thumbnails)."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from common.errors import InputError
from common.showing import LONGEST_SIDE, Picture
from orchestrator.api.dependencies import FarmOf
from orchestrator.dicomweb.accept import ranges
from orchestrator.dicomweb.bulk import frame_count
from orchestrator.dicomweb.instances import INSTANCE, ROOT, Uid, companion, etag, named
from orchestrator.dicomweb.painter import Painter
from orchestrator.farm import Farm
from orchestrator.ledger.schema import StoredInstance

router = APIRouter(prefix=ROOT, tags=["DICOMweb"])

THUMBNAIL = 256
"""Pixels of a thumbnail's longer side, unless a viewport asks for another."""

_VIEWPORT = re.compile(r"([0-9]{1,5}),([0-9]{1,5})")
_RESPONSES: dict[int | str, dict[str, Any]] = {200: {"description": "a picture", "content": {"image/jpeg": {}}}}
_REPRESENTATIVE = "00286010"

Number = Annotated[int, Path(ge=1, le=999_999_999, description="of a frame, from 1")]


def _painter(request: Request) -> Painter:
    painter: Painter = request.app.state.painter
    return painter


PainterOf = Annotated[Painter, Depends(_painter)]


@router.get(f"{INSTANCE}/frames/{{number}}/rendered", operation_id="renderedFrame", responses=_RESPONSES)
async def rendered_frame(
    request: Request, farm: FarmOf, painter: PainterOf, study: Uid, series: Uid, instance: Uid, number: Number
) -> Response:
    """A frame as JPEG or PNG; ``viewport`` makes it fit, ``quality`` is JPEG's."""
    return await picture(request, farm, painter, (study, series, instance), number)


@router.get(f"{INSTANCE}/frames/{{number}}/thumbnail", operation_id="frameThumbnail", responses=_RESPONSES)
async def frame_thumbnail(
    request: Request, farm: FarmOf, painter: PainterOf, study: Uid, series: Uid, instance: Uid, number: Number
) -> Response:
    """A frame, small."""
    return await picture(request, farm, painter, (study, series, instance), number, THUMBNAIL)


@router.get(f"{INSTANCE}/thumbnail", operation_id="instanceThumbnail", responses=_RESPONSES)
async def instance_thumbnail(
    request: Request, farm: FarmOf, painter: PainterOf, study: Uid, series: Uid, instance: Uid
) -> Response:
    """The representative frame of an instance, else the one in its middle, small."""
    return await picture(request, farm, painter, (study, series, instance), None, THUMBNAIL)


@router.get("/studies/{study}/series/{series}/thumbnail", operation_id="seriesThumbnail", responses=_RESPONSES)
async def series_thumbnail(request: Request, farm: FarmOf, painter: PainterOf, study: Uid, series: Uid) -> Response:
    """A frame of a series' first instance, small."""
    return await picture(request, farm, painter, (study, series), None, THUMBNAIL)


@router.get("/studies/{study}/thumbnail", operation_id="studyThumbnail", responses=_RESPONSES)
async def study_thumbnail(request: Request, farm: FarmOf, painter: PainterOf, study: Uid) -> Response:
    """A frame of a study's first instance, small."""
    return await picture(request, farm, painter, (study,), None, THUMBNAIL)


async def picture(
    request: Request,
    farm: Farm,
    painter: Painter,
    uids: tuple[str, ...],
    number: int | None,
    longest: int | None = None,
) -> Response:
    """The picture of a frame (None: the one that stands for all), its sides at most ``longest`` unless a viewport is asked for.

    Raises:
        HTTPException: 400, 404, 406.
        ResourceLimit, EnvironmentFault: it could not be drawn in time, or now.
    """
    row, asked = await run_in_threadpool(_asked, request, farm, uids, number, longest)
    tag = etag(row, asked.model_dump_json())
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    try:
        drawn = await painter.draw(asked, etag(row))
    except InputError as error:
        raise HTTPException(406, f"This frame cannot be shown: {error.message}.") from error
    return Response(drawn, 200, headers, asked.media_type)


def _asked(
    request: Request, farm: Farm, uids: tuple[str, ...], number: int | None, longest: int | None
) -> tuple[StoredInstance, Picture]:
    """Raises: HTTPException: 400, 404, 406."""
    row = named(farm, *uids)[0]
    known = companion(farm, row)
    count = frame_count(known)
    if number is None:
        stated = next(iter(known.dataset.get(_REPRESENTATIVE, {}).get("Value", ())), None)
        number = stated if isinstance(stated, int) and 1 <= stated <= count else (count + 1) // 2
    if number > count:
        raise HTTPException(404, f"There are {count:,} frames.")
    width, height = _viewport(request.query_params.get("viewport", ""), longest)
    kind = _kind(request)
    return row, Picture(
        key=row.key,
        frame=number,
        width=width,
        height=height,
        kind="png" if kind == "image/png" else "jpeg",
        quality=_quality(request.query_params.get("quality", "")),
    )


def _kind(request: Request) -> str:
    for one in ranges(request.headers, request.query_params.get("accept", "")):
        for kind in ("image/jpeg", "image/png"):
            if one.takes(kind):
                return kind
    raise HTTPException(406, "Frames are shown as image/jpeg or image/png.")


def _viewport(text: str, longest: int | None) -> tuple[int | None, int | None]:
    """Width and height that the picture shall fit into (PS3.18 8.3.5.1.3; parts of a frame are not given)."""
    if not text:
        return longest, longest
    match = _VIEWPORT.fullmatch(text)
    if match is None or not all(1 <= int(side) <= LONGEST_SIDE for side in match.groups()):
        raise HTTPException(400, f"viewport is width,height: pixels from 1 to {LONGEST_SIDE:,}")
    return int(match[1]), int(match[2])


def _quality(text: str) -> int:
    if not text:
        return 85
    if not (text.isascii() and text.isdecimal() and len(text) < 4 and 1 <= int(text) <= 100):
        raise HTTPException(400, "quality is a number from 1 to 100")
    return int(text)
