"""An MP4 with moov before mdat, so that a viewer can start on the first bytes; streamed, without a temporary file."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from struct import iter_unpack
from typing import BinaryIO

from common.bitstream import BitstreamError
from common.bitstream.mp4 import Mp4Layout, read_moov
from common.bitstream.mp4_boxes import HEADER, Box, TruncatedMp4Error, children, field

CHUNK_BYTES = 1 << 22
"""Bytes read and handed on at a time."""

TAGS = frozenset({"udta", "meta", "uuid"})
"""User data, metadata and vendors' boxes (ISO/IEC 14496-12 8.10.1, 8.11.1, 11.1): titles, places, XMP."""

_WAY = ("trak", "mdia", "minf", "stbl", "")  # from moov to the chunk offsets
_LARGEST_32_BIT = 2**32 - 1

Shift = Callable[[int], int]
"""Old offset of a chunk in the file → new one."""


@dataclass(frozen=True)
class Faststart:
    """A file to be streamed: parts are new bytes, or ranges of the old file ``f``."""

    f: BinaryIO
    parts: tuple[bytes | range, ...]

    @property
    def length(self) -> int:
        """Bytes of the whole stream."""
        return sum(map(len, self.parts))

    def stream(self) -> Iterator[bytes]:
        """The file in chunks of at most CHUNK_BYTES, beginning anew with each call; ``f`` must stay open.

        Raises:
            TruncatedMp4Error: the file is shorter than it was.
        """
        for part in self.parts:
            if isinstance(part, bytes):
                yield from (part[at : at + CHUNK_BYTES] for at in range(0, len(part), CHUNK_BYTES))
            else:
                yield from self._copy(part)

    def _copy(self, part: range) -> Iterator[bytes]:
        at = part.start
        while at < part.stop:
            self.f.seek(at)  # each time: the caller may move in the file between chunks
            chunk = self.f.read(min(CHUNK_BYTES, part.stop - at))
            if not chunk:
                raise TruncatedMp4Error(f"the file ended at byte {at}")
            yield chunk
            at += len(chunk)


def faststart(f: BinaryIO, layout: Mp4Layout) -> Faststart:
    """The same file with moov before the first mdat and its chunk offsets moved along (ISO/IEC 14496-12 8.7.5).

    Tags (``TAGS``) are blanked: a recorder writes places and names there that no DICOM header announces. All else keeps
    its order and bytes; a track gets 64-bit offsets (co64) when one of its own would pass 2^32.

    Raises:
        BitstreamError: fragments that follow no moov, samples within moov or in another file, or offsets that this
            function cannot move.
        TruncatedMp4Error: the file is shorter than it was.
    """
    if tagged := [box.type for box in layout.boxes if box.type in TAGS]:
        raise BitstreamError(f"a box {tagged[0]} beside the movie, which may hold tags or offsets of its own")
    if layout.external:
        raise BitstreamError("samples lie in another file")
    moov = layout.moov
    payload = _blanked(read_moov(f, moov))
    if layout.moov_first:
        return Faststart(f, (range(moov.payload), bytes(payload), range(moov.end, layout.size)))
    if layout.fragmented:
        raise BitstreamError("a fragmented file whose moov is not first cannot be rearranged")
    first = next(box for box in layout.boxes if box.type == "mdat").offset
    end = layout.boxes[-1].end  # zero padding behind the last box is left out
    moved = _rebuilt(payload, moov, first, end)
    return Faststart(f, (range(first), moved, range(first, moov.offset), range(moov.end, end)))


def _blanked(payload: memoryview) -> memoryview:
    """moov with the tags of the movie and of its tracks turned into free space; nothing moves."""
    blank = bytearray(payload)
    tracks = [box for box in children(payload, 0, len(payload)) if box.type == "trak"]
    places = [(0, len(payload)), *((track.payload, track.end) for track in tracks)]
    for box in (box for start, end in places for box in children(payload, start, end) if box.type in TAGS):
        blank[box.offset + 4 : box.offset + 8] = b"free"
        blank[box.payload : box.end] = bytes(box.end - box.payload)
    return memoryview(blank)


def _rebuilt(payload: memoryview, moov: Box, first: int, end: int) -> bytes:
    """The moov box for its new place at ``first``. Wider offsets make it longer, and that can ask for more of them."""
    size = 0
    while True:
        moved = _box(b"moov", _moved(payload, 0, len(payload), _shift(moov, first, end, size)))
        if len(moved) == size:
            return moved
        size = len(moved)


def _shift(moov: Box, first: int, end: int, size: int) -> Shift:
    """Where a chunk goes when moov leaves its place and ``size`` bytes are put in at ``first``."""

    def shifted(offset: int) -> int:
        if moov.offset <= offset < moov.end or offset > end:
            raise BitstreamError("samples lie within moov or behind the end")
        if offset < first:
            return offset
        return offset + size - (moov.size if offset >= moov.end else 0)

    return shifted


def _moved(data: memoryview, start: int, end: int, shift: Shift, depth: int = 0) -> bytes:
    """The boxes in ``data[start:end]``, ``depth`` steps on the way, with every chunk offset shifted."""
    parts: list[bytes | memoryview] = []
    for box in children(data, start, end):
        if box.type == "saio":  # encrypted samples: file offsets of its own (8.7.9)
            raise BitstreamError("the file holds offsets in a box saio, and they are not moved")
        if box.type == _WAY[depth]:
            parts.append(_box(box.type.encode("latin-1"), _moved(data, box.payload, box.end, shift, depth + 1)))
        elif not _WAY[depth] and box.type in ("stco", "co64"):
            parts.append(_offsets(data, box, shift))
        else:
            parts.append(data[box.offset : box.end])
    return b"".join(parts)


def _offsets(data: memoryview, box: Box, shift: Shift) -> bytes:
    """The table of chunk offsets, shifted, as narrow as it may be but never narrower than it was."""
    wide = box.type == "co64"
    flags, count = field(data, box, ">II", 0)
    entry = 8 if wide else 4
    first = box.payload + 8
    if first + count * entry > box.end:
        raise BitstreamError(f"the table {box.type} is too short for its {count} entries")
    old = chain.from_iterable(iter_unpack(">Q" if wide else ">I", data[first : first + count * entry]))
    new = array("Q", map(shift, old))
    wide = wide or max(new, default=0) > _LARGEST_32_BIT
    table = new if wide else array("I", new)
    if sys.byteorder == "little":
        table.byteswap()
    head = flags.to_bytes(4, "big") + count.to_bytes(4, "big")
    return _box(b"co64" if wide else b"stco", head + table.tobytes())


def _box(kind: bytes, payload: bytes) -> bytes:
    return HEADER.pack(HEADER.size + len(payload), kind) + payload
