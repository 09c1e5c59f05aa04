"""A long answer, whole or the part of it that a client asks for (RFC 9110 13.1 and 14)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain

from fastapi import HTTPException, Request
from fastapi.responses import Response, StreamingResponse

from common.store import ObjectStore

CHUNK = 1 << 19
"""Bytes read at a time: each costs a change of threads, and each open answer holds one."""

_RANGE = re.compile(r"bytes=[ \t]*([0-9]*)-([0-9]*)")
_MOST_DIGITS = 18


@dataclass(frozen=True)
class Body:
    """What is to be answered. ``read(first, last)`` gives the bytes from a first to a last (exclusive), in chunks."""

    length: int
    media_type: str
    read: Callable[[int, int], Iterator[bytes]] = field(repr=False)
    etag: str = ""  # quoted; of the same bytes for ever. Empty: none
    headers: Mapping[str, str] = field(default_factory=dict)


def span(asked: str, size: int) -> tuple[int, int] | None:
    """First byte and end (exclusive) of the one range that a Range header asks for.

    None: the whole is to be sent, because nothing was asked for, it is no range of bytes, or there are several of them: a server
    may ignore the header (RFC 9110 14.2).

    Raises:
        HTTPException: 416, the range lies beyond the end.
    """
    match = _RANGE.fullmatch(asked.strip())
    if match is None or match.groups() == ("", ""):
        return None
    start, end = (_number(text) for text in match.groups())
    if start is not None and end is not None and end < start:
        return None
    if start is None:
        first, last = max(0, size - (end or 0)), size
    else:
        first, last = start, size if end is None else min(size, end + 1)
    if first >= last:
        raise HTTPException(416, "the range lies beyond the end", {"Content-Range": f"bytes */{size}"})
    return first, last


def respond(request: Request, body: Body) -> Response:
    """The answer to GET or HEAD, with Range, If-Range and If-None-Match.

    The first bytes are read before anything is sent: what cannot be read is an error, and no answer that breaks off.

    Raises:
        HTTPException: 416.
        StoreFault: it cannot be read.
    """
    headers = {"Accept-Ranges": "bytes", "Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"}
    headers |= dict(body.headers)
    if body.etag:
        headers["ETag"] = body.etag
        if body.etag in _tags(request.headers.get("if-none-match", "")):
            return Response(status_code=304, headers=headers)
    found = span(_range_of(request, body.etag), body.length)
    first, last = found or (0, body.length)
    headers["Content-Length"] = str(last - first)
    if found:
        headers["Content-Range"] = f"bytes {first}-{last - 1}/{body.length}"
    status = 206 if found else 200
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=body.media_type)
    chunks = body.read(first, last)
    begin = next(chunks, b"")
    return StreamingResponse(chain((begin,), chunks), status, headers, body.media_type)


def stored(store: ObjectStore, key: str, media_type: str) -> Body:
    """A whole object of the store.

    Raises:
        HTTPException: 404, there is no such object.
    """
    size = store.size(key)
    if size is None:
        raise HTTPException(404, "It is not in the store any more.")
    return Body(size, media_type, lambda first, last: stored_bytes(store, key, first, last))


def stored_bytes(store: ObjectStore, key: str, first: int, last: int) -> Iterator[bytes]:
    """Bytes of an object, in chunks. Raises: StoreFault."""
    with store.open(key) as stream:
        stream.seek(first)
        while first < last and (data := stream.read(min(CHUNK, last - first))):
            first += len(data)
            yield data


def _range_of(request: Request, etag: str) -> str:
    """The Range header, if it holds: of another version of the bytes no part is wanted (RFC 9110 13.1.5)."""
    condition = request.headers.get("if-range")
    if condition is not None and (not etag or condition.strip() != etag):
        return ""
    return request.headers.get("range", "")


def _tags(header: str) -> set[str]:
    return {tag.strip().removeprefix("W/") for tag in header.split(",")}


def _number(digits: str) -> int | None:
    if not digits:
        return None
    return int(digits) if len(digits) <= _MOST_DIGITS else 10**_MOST_DIGITS
