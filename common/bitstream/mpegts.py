"""How an MPEG-2 transport stream says what is in it (ISO/IEC 13818-1 2.4.4): programs, and the stream types of one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

SYNC = 0x47
PACKET = 188
PACKET_SIZES = ((188, 0), (192, 4), (204, 0))
"""(bytes from packet to packet, bytes before the sync byte): plain; with time stamps (BDAV, M2TS); with error correction."""

HEAD_BYTES = 1 << 20
"""Where the tables are looked for: they are to be repeated at least every half second or so (ETSI TR 101 290: 0.5 s)."""

VIDEO_TYPES = {0x01: "mpeg1video", 0x02: "mpeg2video", 0x1B: "h264", 0x24: "hevc"}
"""stream_type → FFmpeg's codec name, Table 2-34."""

SECOND_VIEW = 0x20
"""stream_type of an MVC sub-bitstream, Table 2-34."""

_PAT_PID, _PAT, _PMT = 0, 0x00, 0x02  # PID, table_id
_MAX_PROGRAMS = 256


@dataclass(frozen=True)
class TransportStream:
    """What the first tables say. ``streams``: stream types of each program, by program number."""

    packet_bytes: int
    programs: tuple[int, ...]
    streams: dict[int, tuple[int, ...]]

    @property
    def video_types(self) -> tuple[int, ...]:
        """Stream types of video in the first program that has any."""
        found = [tuple(kind for kind in kinds if kind in VIDEO_TYPES) for kinds in self.streams.values()]
        return next(filter(None, found), ())


def read_tables(head: bytes) -> TransportStream | None:
    """The tables in the first bytes of a transport stream; None: no transport stream, or no association table in it."""
    size = packet_size(head)
    if size is None:
        return None
    programs: dict[int, int] = {}
    streams: dict[int, tuple[int, ...]] = {}
    for pid, section in _sections(head, *size):
        if pid == _PAT_PID and section[0] == _PAT and not programs:
            programs = dict(_programs(section))
        elif pid in programs.values() and section[0] == _PMT:
            streams.setdefault(int.from_bytes(section[3:5]), tuple(_stream_types(section)))
        if programs and len(streams) == len(programs):
            break
    return TransportStream(size[0], tuple(programs), streams) if programs else None


def packet_size(head: bytes) -> tuple[int, int] | None:
    """The row of PACKET_SIZES that three packets in a row fit."""
    for size, before in PACKET_SIZES:
        if len(head) > before + 2 * size and all(head[before + number * size] == SYNC for number in range(3)):
            return size, before
    return None


def _sections(head: bytes, size: int, before: int) -> Iterator[tuple[int, bytes]]:
    """(PID, section) of sections that lie in one packet, as those tables nearly always do."""
    for start in range(before, len(head) - PACKET + 1, size):
        packet = head[start : start + PACKET]
        if packet[0] != SYNC or not packet[1] & 0x40 or not packet[3] & 0x10:
            continue
        payload = packet[5 + packet[4] :] if packet[3] & 0x20 else packet[4:]
        section = payload[1 + payload[0] :] if payload else b""
        if len(section) >= 12:
            yield (packet[1] & 0x1F) << 8 | packet[2], section[: 3 + ((section[1] & 0x0F) << 8 | section[2])]


def _programs(section: bytes) -> Iterator[tuple[int, int]]:
    """(program number, PID of its map); program 0 is the network table."""
    for at in range(8, min(len(section) - 4, 8 + 4 * _MAX_PROGRAMS) - 3, 4):
        if number := int.from_bytes(section[at : at + 2]):
            yield number, int.from_bytes(section[at + 2 : at + 4]) & 0x1FFF


def _stream_types(section: bytes) -> Iterator[int]:
    if len(section) < 16:
        return
    at = 12 + (int.from_bytes(section[10:12]) & 0x0FFF)
    while at + 5 <= len(section) - 4:
        yield section[at]
        at += 5 + (int.from_bytes(section[at + 3 : at + 5]) & 0x0FFF)
