"""What a JPEG or JPEG-LS frame says of itself (ITU-T T.81 B.2, T.87 C.2), and whether FFmpeg's reading of its colour is DICOM's."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from common.errors import TruncatedSource, UnreadableSource

BASELINE = "1.2.840.10008.1.2.4.50"
EXTENDED = "1.2.840.10008.1.2.4.51"

_SOI, _EOI = b"\xff\xd8", b"\xff\xd9"
_SOS, _APP0, _APP14 = 0xDA, 0xE0, 0xEE
_SOF = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})  # no frame headers: DHT, JPG, DAC; 0xF7: JPEG-LS
_SOF_DCT_HUFFMAN = (0xC0, 0xC1, 0xC2)
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # markers without a length: TEM, RSTn
_RGB_IDS = (tuple(b"RGB"), tuple(b"rgb"))

_CHROMA: dict[tuple[tuple[int, int], ...], str] = {  # sampling factors of three components → FFmpeg's decoded format
    ((1, 1), (1, 1), (1, 1)): "yuvj444p",
    ((2, 1), (1, 1), (1, 1)): "yuvj422p",
    ((2, 2), (1, 1), (1, 1)): "yuvj420p",
}


@dataclass(frozen=True)
class JpegHead:
    """Everything before the first scan that decides how a frame is decoded."""

    process: int  # the SOF marker's second byte
    precision: int  # bits
    width: int
    height: int
    component_ids: tuple[int, ...]
    sampling: tuple[tuple[int, int], ...]  # across, down
    jfif: bool = False
    adobe_transform: int | None = None  # APP14: 0 none (RGB), 1 YCbCr; None: no such marker
    interlaced: bool = False  # APP0 "AVI1": FFmpeg would weave two fields


def parse_head(data: bytes) -> JpegHead:
    """Read the markers up to the first scan.

    Raises:
        UnreadableSource: no JPEG, or no frame header before the scan.
        TruncatedSource: it ends before the first scan.
    """
    if data[:2] != _SOI:
        raise UnreadableSource("no JPEG image")
    frame: tuple[int, bytes] | None = None
    jfif = interlaced = False
    adobe: int | None = None
    for marker, body in _segments(data):
        if marker == _APP0:
            jfif, interlaced = jfif or body.startswith(b"JFIF"), interlaced or body.startswith(b"AVI1")
        elif marker == _APP14 and body.startswith(b"Adobe") and len(body) >= 12:
            adobe = body[11]
        elif marker in _SOF:
            frame = marker, body
    if frame is None:
        raise UnreadableSource("a JPEG image without a frame header")
    return _head(*frame, jfif, adobe, interlaced)


def _segments(data: bytes) -> list[tuple[int, bytes]]:
    """(marker, content) of each segment before the first scan."""
    found: list[tuple[int, bytes]] = []
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            raise UnreadableSource("broken JPEG markers")
        marker = data[at + 1]
        if marker == _SOS:
            return found
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker in _STANDALONE:
            at += 2
        else:
            length = int.from_bytes(data[at + 2 : at + 4], "big")
            found.append((marker, data[at + 4 : at + 2 + length]))
            at += 2 + max(length, 2)
    raise TruncatedSource("the JPEG image ends before its first scan")


def _head(process: int, body: bytes, jfif: bool, adobe: int | None, interlaced: bool) -> JpegHead:
    try:
        precision, height, width, count = struct.unpack_from(">BHHB", body)
        parts = [body[6 + 3 * n : 9 + 3 * n] for n in range(count)]
        ids = tuple(part[0] for part in parts)
        sampling = tuple((part[1] >> 4, part[1] & 15) for part in parts)
    except (struct.error, IndexError) as error:
        raise UnreadableSource("a broken JPEG frame header") from error
    return JpegHead(process, precision, width, height, ids, sampling, jfif, adobe, interlaced)


def whole(data: bytes) -> memoryview:
    """A JPEG frame from its first marker to its last, without DICOM's padding.

    Raises:
        TruncatedSource: the end marker is missing.
    """
    end = data.rfind(_EOI)
    if end < 0:
        raise TruncatedSource("the JPEG image has no end")
    return memoryview(data)[: end + 2]


def ffmpeg_format(head: JpegHead, photometric: str) -> str | None:
    """What FFmpeg decodes this frame to, when that is what DICOM means; None: a decoder told what DICOM means must do it.

    FFmpeg takes three full-size components as RGB when Adobe's marker or the component ids say so, all else as
    Y'CbCr. DICOM goes by Photometric Interpretation and makes such markers optional (PS3.5 8.2.1): RGB without a
    marker is RGB, and a marker that contradicts the header is left to a decoder that follows the header.
    """
    if head.process not in _SOF_DCT_HUFFMAN or head.precision != 8 or head.interlaced:
        return None
    if len(head.component_ids) == 1:
        return "gray" if photometric == "MONOCHROME2" else None
    form = _CHROMA.get(head.sampling)
    named_rgb = head.component_ids in _RGB_IDS
    if form is None:
        return None
    if form == "yuvj444p" and (head.adobe_transform == 0 or named_rgb):
        return "gbrp" if photometric == "RGB" or named_rgb else None
    if photometric.startswith("YBR"):
        return form if head.adobe_transform != 0 and not named_rgb else None
    return form if photometric == "RGB" and (head.jfif or head.adobe_transform == 1) else None
