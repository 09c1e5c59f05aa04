"""What a client takes: media ranges with their parameters (PS3.18 8.7, RFC 9110 12.5.1). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|[^",;]+|[,;]')
_QVALUE = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?")

RELATED = "multipart/related"
ANY = "*"


@dataclass(frozen=True)
class Range:
    """One media range. ``part``: of multipart/related the type of its parts; ``syntax``: the transfer-syntax parameter."""

    kind: str  # lower case: "multipart/related", "video/mp4", "image/*", "*/*"
    part: str = ""
    syntax: str = ANY
    weight: float = 1.0

    def takes(self, media_type: str, syntax: str = "") -> bool:
        """Whether an answer of this type, in a transfer syntax, would do."""
        return _covers(self.kind, media_type) and self._takes_syntax(syntax)

    def takes_parts(self, media_type: str, syntax: str = "") -> bool:
        """Whether a multipart answer with parts of this type would do."""
        if self.kind in ("*/*", "multipart/*"):
            return self._takes_syntax(syntax)
        return self.kind == RELATED and _covers(self.part or "*/*", media_type) and self._takes_syntax(syntax)

    def _takes_syntax(self, syntax: str) -> bool:
        return not syntax or self.syntax in (ANY, syntax)


def ranges(headers: Mapping[str, str], parameter: str = "") -> tuple[Range, ...]:
    """What is taken, the dearest first: by the query parameter ``accept`` (PS3.18 8.3.3.1), else the header; neither: anything."""
    text = parameter or headers.get("accept", "")
    found = [one for one in map(_range, _ranges(text)) if one is not None]
    if not text.strip():
        return (Range("*/*"),)
    return tuple(sorted((one for one in found if one.weight > 0), key=lambda one: -one.weight))


def _ranges(text: str) -> Iterator[list[str]]:
    """The text of each range, cut at its semicolons; commas in quotes do not count."""
    pieces, current = [""], list[list[str]]()
    for piece in _PIECE.findall(text):
        if piece == ",":
            current.append(pieces)
            pieces = [""]
        elif piece == ";":
            pieces.append("")
        else:
            pieces[-1] += piece
    yield from (*current, pieces)


def _range(pieces: list[str]) -> Range | None:
    kind, *rest = (piece.strip() for piece in pieces)
    if "/" not in kind:
        return None
    parameters = {
        name.strip().lower(): value.strip().strip('"') for name, _, value in (each.partition("=") for each in rest)
    }
    weight = parameters.get("q", "1")
    return Range(
        kind.lower(),
        parameters.get("type", "").lower(),
        parameters.get("transfer-syntax", ANY) or ANY,
        float(weight) if _QVALUE.fullmatch(weight) else 0.0,
    )


def _covers(wanted: str, media_type: str) -> bool:
    if wanted in ("*/*", media_type):
        return True
    return wanted.endswith(("/*", "/")) and media_type.startswith(wanted.rstrip("*"))
