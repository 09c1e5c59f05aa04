"""Every parser reads any bytes or refuses them with BitstreamError, in time and memory that the bytes are worth.

The samples are what x264, x265 and FFmpeg wrote; hypothesis changes them, cuts them off and puts noise behind.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from io import BytesIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.bitstream import BitstreamError, h264, hevc, mpeg2, mpegts, sei
from common.bitstream.h264_pps import parse_pps
from common.bitstream.mp4 import read_layout
from common.bitstream.mpeg_audio import frame_header
from common.bitstream.nal import nal_units, parameter_sets

SPS = bytes.fromhex("67640029acd94078044fde1cd404040500000303e90000ea606660001312d00007270e920c03e2c5b2c0")
HEVC_SPS = bytes.fromhex(
    "420101022000000300900000030000030099a00a080f1365959a4932bc05a8101048200000030020000003032c128acbc001e848003d0910"
)
HEVC_VPS = bytes.fromhex("40010c01ffff022000000300900000030000030099959809")
AVCC = bytes.fromhex("0164000affe1001767640029acd94078044fde1cd404040500000303e9000001000468ef0fcb")
HVCC = bytes(21) + b"\3\1" + b"\x20\0\1" + len(HEVC_VPS).to_bytes(2) + HEVC_VPS
SEQUENCE = bytes.fromhex(
    "000001b37804383461a832a8000001b5144200010000000001b52b0202011e0221c0"
    "000001b80008004000000100000ffff8000001b58ffff38000"
)
TRANSPORT = (
    bytes.fromhex("474000100000b00d0001c100000001f0002ab104b2").ljust(188, b"\xff")
    + bytes.fromhex("475000100002b0120001c10000e100f0001be100f00015bd4d56").ljust(188, b"\xff")
) * 2
MESSAGES = bytes.fromhex("4e01891821349baa199608fc8a4839083d13404202625a00000300003280")


def drained(found: object) -> object:
    return list(found) if hasattr(found, "__next__") else found


PARSERS: dict[str, tuple[Callable[[bytes], object], bytes]] = {
    "H.264 SPS": (h264.parse_sps, SPS),
    "H.264 PPS": (parse_pps, bytes.fromhex("68ef0fcb")),
    "H.264 slice": (lambda data: h264.parse_slice(data, h264.parse_sps(SPS)), bytes.fromhex("6588820b01aff6f7")),
    "H.264 slice's PPS": (h264.slice_pps, bytes.fromhex("6588820b01aff6f7")),
    "SEI": (lambda data: h264.sei_messages(data, 2), MESSAGES),
    "frame packing": (sei.frame_packing, bytes.fromhex("81810000030001")),
    "mastering display": (sei.mastering_display, MESSAGES[4:]),
    "content light": (sei.content_light, bytes.fromhex("03e80190")),
    "HEVC VPS": (hevc.parse_vps, HEVC_VPS),
    "HEVC SPS": (hevc.parse_sps, HEVC_SPS),
    "HEVC PPS": (hevc.parse_pps, bytes.fromhex("4401c172b46240")),
    "HEVC segment": (hevc.parse_segment, bytes.fromhex("2801af1d20bd0eb9213c62")),
    "MPEG-2 sequence": (mpeg2.sequence_of, SEQUENCE),
    "MPEG-2 pictures": (mpeg2.pictures, SEQUENCE),
    "avcC": (lambda data: parameter_sets("h264", data), AVCC),
    "hvcC": (lambda data: parameter_sets("hevc", data), HVCC),
    "Annex B": (lambda data: nal_units(data, 0), b"\0\0\1" + SPS + b"\0\0\1\x68\xef"),
    "lengths": (lambda data: nal_units(data, 4), len(SPS).to_bytes(4) + SPS),
    "transport stream": (mpegts.read_tables, TRANSPORT),
    "MP3 frame": (frame_header, bytes.fromhex("fffb9064")),
}

changes = st.lists(st.tuples(st.integers(0, 4096), st.integers(0, 255)), max_size=6)


@pytest.mark.parametrize("name", PARSERS)
def test_what_real_programs_wrote_is_read(name: str) -> None:
    parse, sample = PARSERS[name]
    assert drained(parse(sample)) not in (None, [])


@pytest.mark.parametrize("name", PARSERS)
@settings(deadline=None, max_examples=40)
@given(changes=changes, kept=st.integers(0, 400), noise=st.binary(max_size=64))
def test_mutated_headers_are_read_or_refused(
    name: str, changes: list[tuple[int, int]], kept: int, noise: bytes
) -> None:
    parse, sample = PARSERS[name]
    data = bytearray(sample)
    for place, value in changes:
        data[place % len(data)] = value
    read_or_refused(parse, bytes(data[:kept]) + noise)


@pytest.mark.parametrize("name", PARSERS)
@settings(deadline=None, max_examples=25)
@given(noise=st.binary(max_size=300))
def test_noise_is_read_or_refused(name: str, noise: bytes) -> None:
    read_or_refused(PARSERS[name][0], noise)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=changes, kept=st.integers(0, 2000))
def test_a_mutated_mp4_is_read_or_refused(
    write_mp4: Callable[..., bytes], changes: list[tuple[int, int]], kept: int
) -> None:
    data = bytearray(write_mp4([[[100, 50], [20]]], moov_first=True))
    for place, value in changes:
        data[place % len(data)] = value
    read_or_refused(lambda data: read_layout(BytesIO(data)), bytes(data[:kept]))


def read_or_refused(parse: Callable[[bytes], object], data: bytes) -> None:
    """No other error, and no more memory than some copies of the bytes and of small tables."""
    tracemalloc.start()
    try:
        drained(parse(data))
    except BitstreamError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 1_000_000 + 20 * len(data)


def test_a_message_that_claims_more_bytes_than_there_are_gets_what_there_is() -> None:
    ((kind, payload),) = h264.sei_messages(b"\x06\x2d" + b"\xff" * 1000 + b"\x01" + b"\x07" * 5)
    assert (kind, len(payload)) == (h264.FRAME_PACKING, 5)


def test_a_million_empty_messages_take_no_more_than_linear_time() -> None:
    start = time.process_time()
    assert sum(1 for _ in h264.sei_messages(b"\x06" + b"\x04\0" * 500_000 + b"\x80")) == 500_000
    assert time.process_time() - start < 5
