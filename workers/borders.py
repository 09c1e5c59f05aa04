"""Where a finished stream can be cut without coding it anew: key frames that nothing refers across, and shares that fit.

A border is a key frame behind which no picture needs one before it, and before which no picture is shown later: an IDR picture, a
closed group of pictures, or a recovery point without leading pictures. Leading pictures of an open group (coded behind their key
frame, shown before it) refer to the group before: there the stream is never cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from common.bitstream import BitstreamError, h264
from common.bitstream.bits import BitReader
from common.bitstream.nal import nal_units, parameter_sets
from common.errors import Uncuttable
from workers.cuts import RECOVERY_POINT

_IDR, _IRAP = frozenset({19, 20}), range(16, 24)  # nal_unit_type, H.265 Table 7-1
_SEQUENCE, _GROUP = b"\0\0\1\xb3", b"\0\0\1\xb8"  # ISO/IEC 13818-2 Table 6-1
_CLOSED_GOP = 0x40  # behind 25 bits of time_code (6.2.2.6)

PACKET_BYTES = 64
"""What a container adds to a packet at most, on the average: four MP4 tables' entries, or the headers of a PES packet."""


@dataclass(frozen=True)
class Unit:
    """The stream from one border to the next."""

    packets: int  # of the video
    size_bytes: int  # all streams, with what a container adds
    start: int  # time stamp of the first frame shown, ticks


def find_units(packets: Iterable[Any], codec: str, extradata: bytes, video_index: int) -> list[Unit]:
    """The units of a stream, from its packets in the order of the file.

    Raises:
        Uncuttable: a frame has no time, or the headers in the stream cannot be read.
    """
    try:
        length_size = parameter_sets(codec, extradata).length_size if codec != "mpeg2video" else 0
        entered = _Entries(codec, length_size)
        found: list[_Growing] = []
        for packet in packets:
            if packet.stream_index == video_index:
                _take(found, packet, entered)
            elif found:
                found[-1].size_bytes += _stored_bytes(packet.size)
    except BitstreamError as error:
        raise Uncuttable("the stream's own headers cannot be read to find key frames") from error
    return list(_merged(found))


def shares(sizes: Sequence[int], limit: int) -> list[int]:
    """First unit of each part: the fewest parts of at most ``limit`` bytes, and then as even as whole units allow.

    Raises:
        Uncuttable: one unit is larger than the limit.
    """
    if max(sizes) > limit:
        raise Uncuttable(f"between two places where it can be cut lie {max(sizes):,} bytes, and a part holds {limit:,}")
    fewest = len(_filled(sizes, limit))
    low, high = max(sizes), limit
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if len(_filled(sizes, middle)) <= fewest else (middle + 1, high)
    return _filled(sizes, low)


def _filled(sizes: Sequence[int], limit: int) -> list[int]:
    """Each part takes what it can."""
    firsts, held = [0], 0
    for number, size in enumerate(sizes):
        if held + size > limit:
            firsts.append(number)
            held = 0
        held += size
    return firsts


@dataclass
class _Growing:
    """From one key frame to the next, in decoding order."""

    closed: bool  # nothing behind the key frame refers to what lies before it
    key: int  # its time stamp
    first: int  # lowest time stamp
    last: int  # highest
    packets: int = 0
    size_bytes: int = 0


def _take(found: list[_Growing], packet: Any, entered: _Entries) -> None:
    if packet.pts is None:
        raise Uncuttable("a frame of the stream has no time of its own")
    entry = entered.kind(packet) if packet.is_keyframe else None
    if entry is not None or not found:
        found.append(_Growing(entry == "closed", packet.pts, packet.pts, packet.pts))
    unit = found[-1]
    unit.first, unit.last = min(unit.first, packet.pts), max(unit.last, packet.pts)
    unit.packets += 1
    unit.size_bytes += _stored_bytes(packet.size)


def _merged(found: list[_Growing]) -> Iterator[Unit]:
    """A key frame where the stream cannot be cut belongs to the unit before it."""
    held, latest = _Growing(closed=True, key=0, first=0, last=0), 0
    for unit in found:
        clean = unit.closed or unit.first == unit.key
        if not held.packets:
            held, latest = unit, unit.last
        elif clean and unit.first > latest:
            yield Unit(held.packets, held.size_bytes, held.first)
            held = unit
        else:
            held.packets += unit.packets
            held.size_bytes += unit.size_bytes
        latest = max(latest, unit.last)
    yield Unit(held.packets, held.size_bytes, held.first)


class _Entries:
    """What kind of entry a key packet is: 'closed', 'open' (clean if nothing leads it), or None."""

    def __init__(self, codec: str, length_size: int) -> None:
        self._codec, self._length_size = codec, length_size

    def kind(self, packet: Any) -> str | None:
        data = bytes(packet)
        if self._codec == "mpeg2video":
            return _mpeg2_entry(data)
        nals = nal_units(data, self._length_size)
        return _h264_entry(nals) if self._codec == "h264" else _hevc_entry(nals)


def _mpeg2_entry(data: bytes) -> str | None:
    """A part must begin with a sequence header (ISO/IEC 13818-2 6.1.1.6)."""
    if not data.startswith(_SEQUENCE):
        return None
    at = data.find(_GROUP)
    return "closed" if 0 <= at < len(data) - 7 and data[at + 7] & _CLOSED_GOP else "open"


def _h264_entry(nals: Iterable[bytes]) -> str | None:
    """IDR, or a recovery point that is exact at once (H.264 D.2.8)."""
    for nal in nals:
        kind = h264.nal_type(nal)
        if kind == h264.Nal.IDR:
            return "closed"
        if kind == h264.Nal.SEI and any(
            number == RECOVERY_POINT and BitReader(data).ue() == 0 for number, data in h264.sei_messages(nal)
        ):
            return "open"
    return None


def _hevc_entry(nals: Iterable[bytes]) -> str | None:
    """Leading pictures of an IDR picture are decodable; those of a CRA picture may refer to what lies before it (H.265 3)."""
    kinds = {nal[0] >> 1 & 0x3F for nal in nals}
    if kinds & _IDR:
        return "closed"
    return "open" if any(kind in _IRAP for kind in kinds) else None


def _stored_bytes(size: int) -> int:
    return size + size // 32 + PACKET_BYTES  # 4 of 188 bytes are a transport packet's own
