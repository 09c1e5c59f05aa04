"""NAL units out of a packet: Annex B start codes, or length prefixes as MP4 and Matroska have them (ISO/IEC 14496-15)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from common.bitstream import BitstreamError

MAX_NALS = 4096
"""NAL units of one access unit; H.264 and HEVC levels allow at most 600 slices a picture (H.265 Table A.8)."""

_START = b"\0\0\1"


@dataclass(frozen=True)
class ParameterSets:
    """What a decoder configuration record (avcC, hvcC) holds. ``length_size``: bytes of each sample's length prefixes."""

    length_size: int
    nals: tuple[bytes, ...]


def nal_units(packet: bytes, length_size: int) -> Iterator[bytes]:
    """NAL units of one packet, header included; ``length_size`` 0: Annex B start codes."""
    return length_prefixed(packet, length_size) if length_size else annex_b(packet)


def annex_b(data: bytes) -> Iterator[bytes]:
    """NAL units between start codes, trailing zero bytes removed (H.264 B.1). Bytes before the first are passed over.

    Raises:
        BitstreamError: more than MAX_NALS.
    """
    start = data.find(_START)
    for _ in range(MAX_NALS):
        if start < 0:
            return
        end = data.find(_START, start + 3)
        if nal := data[start + 3 : end if end >= 0 else len(data)].rstrip(b"\0"):
            yield nal
        start = end
    raise BitstreamError(f"more than {MAX_NALS} NAL units in one packet")


def length_prefixed(data: bytes, length_size: int) -> Iterator[bytes]:
    """NAL units behind big-endian lengths of ``length_size`` bytes (1, 2 or 4).

    Raises:
        BitstreamError: a length reaches beyond the end, or more than MAX_NALS.
    """
    position = 0
    for _ in range(MAX_NALS):
        if position >= len(data):
            return
        start = position + length_size
        position = start + int.from_bytes(data[position:start])
        if start > len(data) or position > len(data):
            raise BitstreamError("a NAL unit reaches beyond its packet")
        if position > start:
            yield data[start:position]
    raise BitstreamError(f"more than {MAX_NALS} NAL units in one packet")


def parameter_sets(codec: str, extradata: bytes) -> ParameterSets:
    """Parameter sets of ``extradata``: avcC, hvcC or Annex B, told apart by the first byte (14496-15 5.3.3.1, 8.3.3.1).

    Raises:
        BitstreamError: it ends early.
    """
    if not extradata or extradata[0] == 0:  # both records begin with version 1, a start code with 0
        return ParameterSets(0, tuple(annex_b(extradata)))
    return _hvcc(extradata) if codec == "hevc" else _avcc(extradata)


def _avcc(data: bytes) -> ParameterSets:
    if len(data) < 7:
        raise BitstreamError("avcC is too short")
    cursor = _Cursor(data, 5)
    nals = [cursor.sized() for _ in range(cursor.byte() & 0x1F)]
    nals += [cursor.sized() for _ in range(cursor.byte())]
    return ParameterSets((data[4] & 3) + 1, tuple(nals))


def _hvcc(data: bytes) -> ParameterSets:
    if len(data) < 23:
        raise BitstreamError("hvcC is too short")
    cursor = _Cursor(data, 22)
    nals: list[bytes] = []
    for _ in range(cursor.byte()):
        cursor.byte()  # NAL unit type of the array, which each unit says itself
        nals += [cursor.sized() for _ in range(cursor.word())]
    return ParameterSets((data[21] & 3) + 1, tuple(nals))


class _Cursor:
    def __init__(self, data: bytes, position: int) -> None:
        self._data, self._position = data, position

    def _take(self, count: int) -> bytes:
        start, self._position = self._position, self._position + count
        if self._position > len(self._data):
            raise BitstreamError("a decoder configuration record ends early")
        return self._data[start : self._position]

    def byte(self) -> int:
        return self._take(1)[0]

    def word(self) -> int:
        return int.from_bytes(self._take(2))

    def sized(self) -> bytes:
        return self._take(self.word())
