"""What the first bytes of a compressed frame say of it: JPEG (T.81), JPEG-LS (T.87), JPEG 2000 and HTJ2K (T.800, T.814), RLE (PS3.5 G)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

_SOI, _EOI = b"\xff\xd8", b"\xff\xd9"  # T.81 Table B.1; JPEG 2000 ends with the same two bytes (EOC)
_SOC = b"\xff\x4f"
_SOF = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})  # DHT, JPG and DAC are no frame headers
_SOS, _APP14, _SOT = 0xDA, 0xEE, 0x90
_SIZ, _COD, _CAP = 0x51, 0x52, 0x50
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_RLE = struct.Struct("<16I")
_MAX_COMPONENTS = 16


class Coding(StrEnum):
    """Family of a codestream."""

    JPEG = "JPEG"
    JPEG_LS = "JPEG-LS"
    JPEG_2000 = "JPEG 2000"
    RLE = "RLE"


class ShortHeadError(Exception):
    """More bytes of the frame are needed to read its head."""


class BrokenHeadError(Exception):
    """These bytes begin no such codestream."""


@dataclass(frozen=True)
class FrameHead:
    """A frame as its own first bytes describe it; None where this coding does not say it."""

    coding: Coding
    process: int  # JPEG: second byte of the SOF marker; JPEG 2000: Rsiz; RLE: 0
    rows: int | None
    columns: int | None
    components: int
    precision: int | None  # bits a sample
    signed: bool | None = None
    selector: int | None = None  # JPEG lossless: predictor; JPEG-LS: NEAR
    reversible: bool | None = None  # JPEG 2000: the 5-3 wavelet
    transformed: bool | None = None  # JPEG 2000: multiple component transformation; JPEG: Adobe's word on YCbCr
    high_throughput: bool = False


def parse_head(data: bytes, *, whole: bool) -> FrameHead:
    """Read the markers before the first coded bytes. ``whole``: ``data`` is all there is of the frame.

    Raises:
        ShortHeadError: the head goes on behind ``data``, which is not whole.
        BrokenHeadError: no such head, or it ends too early.
    """
    try:
        if data[:2] == _SOI:
            return _jpeg(data)
        if data[:2] == _SOC:
            return _jpeg_2000(data)
    except (struct.error, IndexError, ShortHeadError) as error:
        if whole:
            raise BrokenHeadError("it ends within its head") from error
        raise ShortHeadError from error
    raise BrokenHeadError("it begins with no marker of an image")


def parse_rle(data: bytes, length: int, allocated_bytes: int) -> FrameHead:
    """Read the header of an RLE frame of ``length`` bytes (PS3.5 G.5): a segment for each byte of each sample.

    Raises:
        BrokenHeadError: no such header.
    """
    if len(data) < _RLE.size:
        raise BrokenHeadError("it is shorter than the 64 bytes of an RLE header")
    count, *offsets = _RLE.unpack(data[: _RLE.size])
    used = offsets[:count] if 1 <= count <= len(offsets) else []
    if not used or used[0] != _RLE.size or used != sorted(set(used)) or used[-1] >= length:
        raise BrokenHeadError("its RLE header names no segments in order")
    samples, rest = divmod(count, max(allocated_bytes, 1))
    if rest:
        raise BrokenHeadError(f"{count} RLE segments are no whole number of samples")
    return FrameHead(Coding.RLE, 0, None, None, samples, None)


def ends_well(tail: bytes, coding: Coding) -> bool:
    """Whether a frame that ends with ``tail`` (at least 3 bytes) has its end marker, behind which one pad byte may stand."""
    return coding is Coding.RLE or tail.endswith(_EOI) or tail[:-1].endswith(_EOI)


def _segments(data: bytes, last: int) -> Iterator[tuple[int, bytes]]:
    """(marker, content) of each segment, that of ``last`` included."""
    at = 2
    while True:
        if data[at] != 0xFF:
            raise BrokenHeadError("its markers are broken")
        marker = data[at + 1]
        if marker == 0xFF or marker in _STANDALONE:
            at += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        if length < 2:
            raise BrokenHeadError("its markers are broken")
        body = data[at + 4 : at + 2 + length]
        if len(body) < length - 2:
            raise ShortHeadError
        yield marker, body
        if marker == last:
            return
        at += 2 + length


def _jpeg(data: bytes) -> FrameHead:
    frame: tuple[int, bytes] | None = None
    adobe: bool | None = None
    for marker, body in _segments(data, _SOS):
        if marker in _SOF:
            frame = marker, body
        elif marker == _APP14 and body.startswith(b"Adobe") and len(body) >= 12:
            adobe = bool(body[11])
        elif marker == _SOS:
            if frame is None:
                break
            return _jpeg_head(frame, body, adobe)
    raise BrokenHeadError("it has no frame header before its first scan")


def _jpeg_head(frame: tuple[int, bytes], scan: bytes, adobe: bool | None) -> FrameHead:
    process, body = frame
    precision, rows, columns, components = struct.unpack_from(">BHHB", body)
    return FrameHead(
        coding=Coding.JPEG_LS if process == 0xF7 else Coding.JPEG,
        process=process,
        rows=rows,
        columns=columns,
        components=components,
        precision=precision,
        selector=scan[1 + 2 * scan[0]],  # Ss, behind the scan's components: predictor or NEAR
        transformed=adobe,
    )


def _jpeg_2000(data: bytes) -> FrameHead:
    size: bytes | None = None
    coding: bytes | None = None
    high_throughput = False
    for marker, body in _segments(data, _SOT):
        if marker == _SIZ:
            size = body
        elif marker == _COD:
            coding = body
        high_throughput = high_throughput or marker == _CAP
    if size is None or coding is None:
        raise BrokenHeadError("it has no SIZ or COD marker before its first tile")
    capabilities, right, bottom, left, top = struct.unpack_from(">HIIII", size)
    (components,) = struct.unpack_from(">H", size, 34)
    depths = {size[36 + 3 * number] for number in range(min(components, _MAX_COMPONENTS))}
    depth = max(depths, default=0)
    return FrameHead(
        coding=Coding.JPEG_2000,
        process=capabilities,
        rows=bottom - top,
        columns=right - left,
        components=components,
        precision=(depth & 0x7F) + 1,
        signed=bool(depth & 0x80),
        reversible=coding[9] == 1,
        transformed=coding[4] == 1,
        high_throughput=high_throughput,
    )
