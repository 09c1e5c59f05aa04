"""Look at the frames of a DICOM file one head at a time, for the rules on frames: no pixel is decoded, no frame held."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from common.conformance.frames import FRAME_SYNTAXES, FramesCase
from common.dicom.codestream import BrokenHeadError, Coding, FrameHead, ShortHeadError, ends_well, parse_head, parse_rle
from common.dicom.pixel_stream import Fragment, Header, frame_fragments, integer
from common.errors import InputError

HEAD_BYTES = (1 << 10, 1 << 16, 1 << 22)
"""How much of a frame is read for its head, in growing tries: colour profiles and comments may stand before it."""

MAX_BROKEN = 1000
"""Broken frames that are kept for a finding; the rest says nothing new."""

_TAIL_BYTES = 3

Extent = tuple[Fragment, ...]


def frames_case(header: Header) -> FramesCase:
    """What the rules on frames look at. Never fails on what the file says of its frames."""
    syntax = FRAME_SYNTAXES.get(header.transfer_syntax_uid)
    base = header.fragments[0].offset if header.fragments else 0
    extents = _extents(header)
    heads: dict[FrameHead, int] = {}
    broken: list[tuple[int, str]] = []
    if syntax is not None:
        allocated = integer(header.dataset, "BitsAllocated") // 8
        for number, found in enumerate(_looked_at(header.path, extents, syntax.coding, allocated), 1):
            if isinstance(found, FrameHead):
                heads.setdefault(found, number)
            elif len(broken) < MAX_BROKEN:
                broken.append((number, found))
    return FramesCase(
        header=header.dataset,
        syntax=syntax,
        fragments=tuple((part.offset - base, part.length) for part in header.fragments),
        frame_items=tuple(_numbered(extents)),
        table=header.offset_table,
        table_bytes=header.table_bytes,
        extended=_table(header, "ExtendedOffsetTable"),
        extended_lengths=_table(header, "ExtendedOffsetTableLengths"),
        delimited=header.delimited,
        heads=heads,
        broken=tuple(broken),
        native=_native(header),
    )


def _extents(header: Header) -> list[Extent]:
    """Fragments of each frame; none where that cannot be told."""
    if len(header.fragments) == header.frames:
        return [(part,) for part in header.fragments]  # whatever tables say: they are judged on their own
    if not header.fragments:
        return []
    try:
        return frame_fragments(header)
    except InputError:
        return []


def _numbered(extents: list[Extent]) -> Iterator[tuple[int, int]]:
    behind = 0
    for extent in extents:
        yield behind, behind + len(extent)
        behind += len(extent)


def _looked_at(path: Path, extents: list[Extent], coding: Coding, allocated_bytes: int) -> Iterator[FrameHead | str]:
    """The head of each frame, or why it has none."""
    with path.open("rb") as f:
        for extent in extents:
            try:
                head = _head(f, extent, coding, allocated_bytes)
                whole = ends_well(_tail(f, extent), head.coding)
                yield head if whole else "it ends without its last marker"
            except BrokenHeadError as error:
                yield str(error)


def _head(f: BinaryIO, extent: Extent, coding: Coding, allocated_bytes: int) -> FrameHead:
    length = sum(part.length for part in extent)
    if coding is Coding.RLE:
        return parse_rle(_first(f, extent, HEAD_BYTES[0]), length, allocated_bytes)
    for limit in HEAD_BYTES:
        data = _first(f, extent, limit)
        try:
            return parse_head(data, whole=len(data) == length)
        except ShortHeadError:
            continue
    raise BrokenHeadError(f"its head goes on beyond {HEAD_BYTES[-1]:,} bytes")


def _first(f: BinaryIO, extent: Extent, limit: int) -> bytes:
    """The first ``limit`` bytes of a frame."""
    data = b""
    for part in extent:
        f.seek(part.offset)
        data += f.read(min(part.length, limit - len(data)))
        if len(data) >= limit:
            break
    return data


def _tail(f: BinaryIO, extent: Extent) -> bytes:
    last = extent[-1]
    start = max(last.offset, last.offset + last.length - _TAIL_BYTES)
    f.seek(start)
    return f.read(last.offset + last.length - start)


def _table(header: Header, keyword: str) -> tuple[int, ...] | None:
    """An Extended Offset Table or its lengths; None where it is absent; an odd rest of bytes is no entry."""
    try:
        value = header.dataset.get(keyword)
    except Exception:  # pydicom raises what it likes on broken values
        return ()
    if value is None:
        return None
    data = value if isinstance(value, bytes) else b""
    return struct.unpack(f"<{len(data) // 8}Q", data[: len(data) // 8 * 8])


def _native(header: Header) -> tuple[int, int] | None:
    """Bytes that uncompressed pixels need and have; None where they are compressed or of no known size."""
    if header.length is None:
        return None
    dataset = header.dataset
    names = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")
    rows, columns, samples, bits = (integer(dataset, name) for name in names)
    if min(rows, columns, samples, bits) < 1:
        return None
    if samples == 3 and str(dataset.get("PhotometricInterpretation")) == "YBR_FULL_422":
        samples = 2  # one Cb and one Cr for two Y (PS3.3 C.7.6.3.1.2)
    return (rows * columns * samples * bits * header.frames + 7) // 8, header.length
