"""The small object beside each instance in the store: its header in DICOM JSON, and where its pixels lie.

Whoever serves an instance to viewers reads this, and never parses a DICOM file itself. It holds patient data, as the instance
does, and goes with it.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from common.media import Value


class Pixels(Value):
    """Where Pixel Data (7FE0,0010) lies in the instance; offsets and lengths in bytes."""

    offset: int = Field(description="of the first byte of its value (native), or of the first item (encapsulated)")
    length: int | None = Field(description="of a native value; None: encapsulated")
    fragments: tuple[tuple[int, int], ...] = Field(
        default=(), description="offset and length of each fragment's value, its padding included"
    )
    offset_table: tuple[int, ...] = Field(
        default=(), description="Basic Offset Table: where frames begin, counted from the first fragment's item"
    )
    stream_length: int | None = Field(
        default=None, description="(7FE0,0003): bytes of the stream in all fragments, without padding"
    )

    @property
    def extents(self) -> tuple[tuple[int, int], ...]:
        """Where the value's bytes lie in the instance, one after the other, the stream's padding left out."""
        if self.length is not None:
            return ((self.offset, self.length),)
        total = sum(length for _, length in self.fragments)
        left = total if self.stream_length is None else min(self.stream_length, total)
        kept = []
        for offset, length in self.fragments:
            if left <= 0:
                break
            kept.append((offset, min(length, left)))
            left -= length
        return tuple(kept)


class Companion(Value):
    """What viewers ask of an instance before they ask for its pixels."""

    version: Literal[1] = 1
    transfer_syntax_uid: str
    dataset: dict[str, Any] = Field(
        description="DICOM JSON (PS3.18 F.2) without Pixel Data, file meta and long binary values"
    )
    pixels: Pixels


def companion_key(instance_key: str) -> str:
    """Where the companion of an instance lies: beside it."""
    return instance_key.removesuffix(".dcm") + ".json"
