"""Write a DICOM file around frames that are coded one by one: a fragment each, offset tables, flat memory (PS3.5 A.4)."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from common.dicom.encapsulation import ITEM, Sink, encoded, file_meta, split_header
from common.dicom.transfer_syntaxes import MAX_FRAGMENT_BYTES
from common.errors import InternalFault, TruncatedSource

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

LARGEST_BASIC_OFFSET = 2**32 - 1
"""The Basic Offset Table's entries have 32 bits (PS3.5 A.4)."""

_ITEM_HEAD_BYTES = 8
_PIXEL_GROUP = 0x7FE0


@dataclass(frozen=True)
class OffsetTables:
    """Where frames begin, counted from the first byte of the first fragment's item tag. At most one of the two is filled."""

    basic: tuple[int, ...] = ()  # value of the first item
    extended: tuple[int, ...] = ()  # value of (7FE0,0001)


def fragments_of(length: int) -> list[int]:
    """Bytes of one frame in each of its fragments, without padding: one, unless the frame exceeds what an item can hold.

    Raises:
        InternalFault: a frame of no bytes.
    """
    if length < 1:
        raise InternalFault("a frame was coded to no bytes")
    full, rest = divmod(length, MAX_FRAGMENT_BYTES)
    return [MAX_FRAGMENT_BYTES] * full + [rest] * (rest > 0)


def offset_tables(lengths: Sequence[int]) -> OffsetTables:
    """The tables for frames of so many bytes each.

    A Basic Offset Table while its 32 bits hold every offset; else an Extended one, which demands that each frame lies in one
    fragment (PS3.3 C.7.6.3.1.8); else none: both are optional.
    """
    sizes = (sum(_ITEM_HEAD_BYTES + part + part % 2 for part in fragments_of(length)) for length in lengths)
    *starts, _end = accumulate(sizes, initial=0)
    if starts[-1] <= LARGEST_BASIC_OFFSET:
        return OffsetTables(basic=tuple(starts))
    if max(lengths) <= MAX_FRAGMENT_BYTES:
        return OffsetTables(extended=tuple(starts))
    return OffsetTables()


def write_frames(
    out: Sink, header: Dataset, transfer_syntax_uid: str, lengths: Sequence[int], stream: Iterable[bytes]
) -> str:
    """Write preamble, file meta, ``header`` in Explicit VR Little Endian, and the frames as encapsulated Pixel Data.

    ``lengths``: bytes of each frame; ``stream``: all of them, one after the other, cut anywhere. A frame of odd length gets
    a zero byte, which the Extended Offset Table Lengths do not count. Returns the SHA-256 of all fragments, padding included.

    Raises:
        TruncatedSource: the stream ended early.
        InternalFault: it goes on after the last frame, or there are no frames.
    """
    if not lengths:
        raise InternalFault("an image without frames cannot be written")
    before, after = split_header(header)
    tables = offset_tables(lengths)
    out.write(b"\0" * 128 + b"DICM")
    out.write(file_meta(header, transfer_syntax_uid))
    out.write(encoded(before))
    if tables.extended:
        out.write(_very_long(0x0001, tables.extended))
        out.write(_very_long(0x0002, lengths))
    out.write(struct.pack("<HH2sHI", _PIXEL_GROUP, 0x0010, b"OB", 0, 0xFFFFFFFF))
    out.write(ITEM.pack(0xFFFE, 0xE000, 4 * len(tables.basic)))
    out.write(struct.pack(f"<{len(tables.basic)}I", *tables.basic))
    digest = _write_items(out, lengths, iter(stream))
    out.write(ITEM.pack(0xFFFE, 0xE0DD, 0))
    out.write(encoded(after))
    return digest


def _very_long(element: int, values: Sequence[int]) -> bytes:
    """An element of VR OV (PS3.5 6.2): 64-bit words."""
    head = struct.pack("<HH2sHI", _PIXEL_GROUP, element, b"OV", 0, 8 * len(values))
    return head + struct.pack(f"<{len(values)}Q", *values)


def _write_items(out: Sink, lengths: Sequence[int], chunks: Iterator[bytes]) -> str:
    held, digest = memoryview(b""), hashlib.sha256()
    for length in (part for whole in lengths for part in fragments_of(whole)):
        out.write(ITEM.pack(0xFFFE, 0xE000, length + length % 2))
        missing = length
        while missing:
            held = held or memoryview(next(chunks, b""))
            if not held:
                raise TruncatedSource("the coded frames end before the last one does")
            piece, held = held[:missing], held[missing:]
            out.write(piece)
            digest.update(piece)
            missing -= len(piece)
        if length % 2:
            out.write(b"\0")
            digest.update(b"\0")
    if held or any(chunks):
        raise InternalFault("the coded frames are longer than announced")
    return digest.hexdigest()
