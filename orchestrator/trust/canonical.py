"""The one form in which a record is hashed: the same bytes on SQLite and PostgreSQL, today and after later migrations. Pure.

A line is a JSON object (keys sorted, no spaces, ASCII) of the row's columns that are not null, its table under ``""``; times are
UTC with microseconds. A column that a later migration adds must therefore be nullable.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

MARK = struct.Struct(">I8s")
"""One row of a range: its id less the range's first, and the first 8 bytes of its line's SHA-256. They tell *which* row is other; that
some row is, the SHA-256 of the whole range tells."""

LONGEST_RANGE = 1 << 32
"""Ids that marks can tell apart."""


def line(table: str, row: Mapping[str, Any]) -> bytes:
    """The canonical line of one row, with its line end."""
    shown = {name: _plain(value) for name, value in row.items() if value is not None}
    return json.dumps({"": table} | shown, sort_keys=True, separators=(",", ":")).encode("ascii") + b"\n"


def _plain(value: Any) -> Any:
    return value.astimezone(UTC).isoformat(timespec="microseconds") if isinstance(value, datetime) else value


def mark(first: int, row_id: int, text: bytes) -> bytes:
    """What is kept of one row of a range that begins at ``first``."""
    return MARK.pack(row_id - first, hashlib.sha256(text).digest()[:8])


def marked(first: int, marks: bytes) -> Iterator[tuple[int, bytes]]:
    """Id and eight bytes of each row that was sealed, in the order of ids.

    Raises:
        struct.error: the bytes are not whole marks.
    """
    for offset, head in MARK.iter_unpack(marks):
        yield first + offset, head


def link_of(seal: Mapping[str, Any]) -> str:
    """SHA-256, hexadecimal, of everything that a seal says (its columns but link, key and signature)."""
    said = {
        name: seal[name] for name in ("number", "at", "kind", "covers", "first_id", "last_id", "row_count", "digest")
    }
    said |= {"marks": hashlib.sha256(seal["marks"]).hexdigest(), "previous": seal["previous"]}
    return hashlib.sha256(line("seals", said)).hexdigest()
