"""Boxes, the building blocks of MP4 and QuickTime files (ISO/IEC 14496-12 4.2), and bounded reads of their fields."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct, calcsize, unpack_from

from common.bitstream import BitstreamError

HEADER = Struct(">I4s")
"""Size and type; a size of 1 is followed by the 64-bit size."""

MAX_CHILDREN = 10_000
"""Most boxes in one parent; real ones hold a few dozen."""


class TruncatedMp4Error(BitstreamError):
    """The file ends before its own boxes or sample tables say it should."""


@dataclass(frozen=True, slots=True)
class Box:
    """One box: its four-character type, offset in the file, whole size and header size in bytes."""

    type: str
    offset: int
    size: int
    header: int

    @property
    def end(self) -> int:
        """Offset of the first byte behind the box."""
        return self.offset + self.size

    @property
    def payload(self) -> int:
        """Offset of the first byte behind the header."""
        return self.offset + self.header


def field(data: memoryview, box: Box, layout: str, at: int) -> tuple[int, ...]:
    """Numbers of a ``struct`` layout, ``at`` bytes into the box's payload.

    Raises:
        BitstreamError: they do not fit the box.
    """
    if box.payload + at + calcsize(layout) > box.end:
        raise BitstreamError(f"the box {box.type} is too short for its fields")
    return unpack_from(layout, data, box.payload + at)


def children(data: memoryview, start: int, end: int) -> Iterator[Box]:
    """Boxes that lie in ``data[start:end]``; a zero tail is padding.

    Raises:
        BitstreamError: a box does not fit, or there are too many.
    """
    for _ in range(MAX_CHILDREN):
        if end - start < HEADER.size:
            return
        size, kind = HEADER.unpack_from(data, start)
        header = HEADER.size
        if size == 1 and end - start >= 16:
            size, header = unpack_from(">Q", data, start + 8)[0], 16
        if not size and not any(data[start:end]):
            return
        if not header <= size <= end - start:
            raise BitstreamError("a box in moov does not fit its parent")
        yield Box(kind.decode("latin-1"), start, size, header)
        start += size
    raise BitstreamError(f"more than {MAX_CHILDREN} boxes in one parent")
