"""Pixels as they are stored (PS3.18 10.4.1.1.5 and .6): frames of an image; of a video the one stream, which is its frame 1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import prod
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Request
from fastapi.responses import Response

from common.dicom.companion import Companion, Pixels
from orchestrator.api.byte_ranges import Body, respond
from orchestrator.api.dependencies import FarmOf
from orchestrator.dicomweb.accept import ranges
from orchestrator.dicomweb.content import Content, Stretch
from orchestrator.dicomweb.instances import INSTANCE, ROOT, Uid, companion, etag, one, url
from orchestrator.dicomweb.media import NATIVE, OCTETS, VIDEO, frame_type, stream_types
from orchestrator.dicomweb.multipart import Piece, related
from orchestrator.dicomweb.search import base_url
from orchestrator.farm import Farm
from orchestrator.ledger.schema import StoredInstance

router = APIRouter(prefix=ROOT, tags=["DICOMweb"])

PIXEL_DATA = "7FE00010"
MOST_FRAMES = 10_000
"""In one request."""

_RESPONSES: dict[int | str, dict[str, Any]] = {200: {"description": "pixels", "content": {"multipart/related": {}}}}
FrameList = Annotated[str, Path(pattern=r"^[0-9]{1,9}(,[0-9]{1,9})*$", max_length=60_000, description="numbers from 1")]


@router.head(f"{INSTANCE}/bulkdata/{PIXEL_DATA}", include_in_schema=False)
@router.get(f"{INSTANCE}/bulkdata/{PIXEL_DATA}", operation_id="retrievePixelData", responses=_RESPONSES)
def bulk_data(request: Request, farm: FarmOf, study: Uid, series: Uid, instance: Uid) -> Response:
    """All of Pixel Data; a video's stream by ranges too, where a client takes it without multipart."""
    row = one(farm, study, series, instance)
    known = companion(farm, row)
    if row.transfer_syntax_uid in VIDEO or row.transfer_syntax_uid in NATIVE:
        return _answer(request, farm, row, ["bulkdata/" + PIXEL_DATA], [known.pixels.extents])
    frames = frames_of(known)
    return _answer(request, farm, row, [f"frames/{number}" for number in range(1, len(frames) + 1)], frames)


@router.get(f"{INSTANCE}/frames/{{numbers}}", operation_id="retrieveFrames", responses=_RESPONSES)
def frames(request: Request, farm: FarmOf, study: Uid, series: Uid, instance: Uid, numbers: FrameList) -> Response:
    """Frames as they are stored."""
    row = one(farm, study, series, instance)
    known = companion(farm, row)
    wanted = [int(text) for text in numbers.split(",")]
    if len(wanted) > MOST_FRAMES:
        raise HTTPException(400, f"At most {MOST_FRAMES:,} frames are given at a time.")
    found = [known.pixels.extents] if row.transfer_syntax_uid in VIDEO else frames_of(known)
    if min(wanted) < 1 or max(wanted) > len(found):
        raise HTTPException(404, _no_frame(row, len(found)))
    return _answer(
        request, farm, row, [f"frames/{number}" for number in wanted], [found[number - 1] for number in wanted]
    )


Extents = Sequence[tuple[int, int]]


def frames_of(known: Companion) -> list[Extents]:
    """Where each frame of an image lies.

    Raises:
        HTTPException: 406, its borders are not known.
    """
    count = frame_count(known)
    if known.pixels.length is not None:
        return list(_native(known, count))
    grouped = _grouped(known.pixels, count)
    if grouped is None:
        raise HTTPException(406, "Where the frames of this instance begin is not known; take the whole instance.")
    return grouped


def frame_count(known: Companion) -> int:
    """Number of Frames (0028,0008), at least 1."""
    return max(1, _number(known, "00280008", 1))


def _native(known: Companion, count: int) -> Iterator[Extents]:
    """Frames of native pixels follow each other (PS3.5 8.1.1)."""
    sizes = [_number(known, tag, 0) for tag in ("00280010", "00280011", "00280002", "00280100")]
    photometric = next(iter(known.dataset.get("00280004", {}).get("Value", ())), "")
    if photometric == "YBR_FULL_422":
        sizes[2] = 2  # one Cb and one Cr for two Y (PS3.3 C.7.6.3.1.2)
    bits = int(prod(sizes))
    if bits <= 0 or bits % 8 or bits // 8 * count > (known.pixels.length or 0):
        raise HTTPException(406, "The frames of this instance do not begin at bytes, or are not all there.")
    for number in range(count):
        yield ((known.pixels.offset + number * bits // 8, bits // 8),)


def _grouped(pixels: Pixels, count: int) -> list[Extents] | None:
    """By the Basic Offset Table, else one fragment a frame (PS3.5 A.4). None: neither says it."""
    parts = pixels.fragments
    if count == 1 and parts:
        return [parts]
    if len(parts) == count:
        return [(part,) for part in parts]
    index = {offset - parts[0][0]: number for number, (offset, _) in enumerate(parts)} if parts else {}
    firsts = [index.get(offset, -1) for offset in pixels.offset_table]
    if len(firsts) != count or firsts[0] != 0 or not all(0 <= a < b for a, b in pairwise(firsts)):
        return None
    return [parts[first:last] for first, last in pairwise([*firsts, len(parts)])]


def _number(known: Companion, tag: str, default: int) -> int:
    try:
        return int(next(iter(known.dataset.get(tag, {}).get("Value", ())), default))
    except (TypeError, ValueError):
        return default


def _answer(
    request: Request, farm: Farm, row: StoredInstance, places: Sequence[str], found: Sequence[Extents]
) -> Response:
    """As parts of one message; what is one part also alone, if that is taken."""
    syntax, base = row.transfer_syntax_uid, base_url(request)
    kinds = stream_types(syntax) if syntax in VIDEO else dict.fromkeys((frame_type(syntax), OCTETS))
    contents = [Content.of(Stretch(row.key, offset, length) for offset, length in extents) for extents in found]
    for taken in ranges(request.headers, request.query_params.get("accept", "")):
        for kind in kinds:
            if len(found) == 1 and taken.kind != "multipart/*" and taken.takes(kind, syntax):
                return respond(request, _body(farm, contents[0], kind, etag(row, kind, places[0])))
            if taken.takes_parts(kind, syntax):
                typed = f"{kind}; transfer-syntax={syntax}"
                pieces = (
                    Piece(typed, f"{url(base, row)}/{place}", content.parts)
                    for place, content in zip(places, contents, strict=True)
                )
                message, content = related(pieces, kind)
                return respond(request, _body(farm, content, message, ""))
    raise HTTPException(406, f"This is answered as {' or '.join(kinds)}, in the transfer syntax {syntax} alone.")


def _body(farm: Farm, content: Content, kind: str, tag: str) -> Body:
    return Body(content.length, kind, lambda first, last: content.read(farm.store, first, last), tag)


def _no_frame(row: StoredInstance, count: int) -> str:
    if row.transfer_syntax_uid in VIDEO:
        return "A video is stored as one stream, which is frame 1; /frames/N/rendered gives pictures."
    return f"There are {count:,} frames."
