"""Bytes of the object store for a browser's player: whole, or the range that it asks for (RFC 9110 14)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from fastapi import HTTPException
from fastapi.responses import Response, StreamingResponse

from common.store import ObjectStore

CHUNK = 1 << 18
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def stored_bytes(store: ObjectStore, key: str, media_type: str, asked: str) -> Response:
    """The object, or a part of it; ``asked``: the request's Range header, empty for the whole.

    Raises:
        HTTPException: 404 there is no such object; 416 the range lies beyond its end.
    """
    size = store.size(key)
    if size is None:
        raise HTTPException(404, "It is not in the store any more.")
    return ranged(size, lambda first, last: _bytes(store, key, first, last), media_type, asked)


def ranged(size: int, read: Callable[[int, int], Iterator[bytes]], media_type: str, asked: str) -> Response:
    """``size`` bytes, or a range of them; ``read`` gives those from a first to a last (exclusive)."""
    first, last = span(asked, size)
    headers = {"Accept-Ranges": "bytes", "Content-Length": str(last - first), "Cache-Control": "no-store"}
    headers["X-Content-Type-Options"] = "nosniff"
    if asked:
        headers["Content-Range"] = f"bytes {first}-{last - 1}/{size}"
    return StreamingResponse(read(first, last), 206 if asked else 200, headers, media_type)


def span(asked: str, size: int) -> tuple[int, int]:
    """First byte and end (exclusive) of one range; several at once are not given. Raises: HTTPException 416."""
    if not asked:
        return 0, size
    match = _RANGE.fullmatch(asked.strip())
    if match is None or match.groups() == ("", ""):
        raise HTTPException(416, headers={"Content-Range": f"bytes */{size}"})
    start, end = match.groups()
    if not start:
        first, last = max(0, size - int(end)), size
    else:
        first, last = int(start), min(size, int(end) + 1) if end else size
    if first >= last:
        raise HTTPException(416, headers={"Content-Range": f"bytes */{size}"})
    return first, last


def _bytes(store: ObjectStore, key: str, first: int, last: int) -> Iterator[bytes]:
    with store.open(key) as stream:
        stream.seek(first)
        while first < last and (data := stream.read(min(CHUNK, last - first))):
            first += len(data)
            yield data
