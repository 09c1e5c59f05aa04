"""multipart/related messages (RFC 2387) of objects that stay where they are: their length is known, nothing is copied."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from uuid import uuid4

from orchestrator.dicomweb.content import Content, Part


@dataclass(frozen=True)
class Piece:
    """One part of a message: its header fields and its bytes."""

    media_type: str  # with parameters
    location: str
    parts: tuple[Part, ...]


def related(pieces: Iterable[Piece], part_type: str) -> tuple[str, Content]:
    """(Content-Type, message). ``part_type``: of all parts, without parameters."""
    boundary = uuid4().hex
    kind = f'multipart/related; type="{part_type}"; boundary={boundary}'
    return kind, Content.of(_message(pieces, boundary))


def _message(pieces: Iterable[Piece], boundary: str) -> Iterator[Part]:
    begin = ""
    for piece in pieces:
        head = f"{begin}--{boundary}\r\nContent-Type: {piece.media_type}\r\nContent-Location: {piece.location}\r\n\r\n"
        yield head.encode("ascii")
        yield from piece.parts
        begin = "\r\n"
    yield f"{begin}--{boundary}--\r\n".encode("ascii")
