from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.bitstream import BitstreamError
from common.bitstream.bits import BitReader, unescaped
from common.bitstream.nal import annex_b, length_prefixed, parameter_sets


def golomb(value: int) -> str:
    """ue(v) of H.264 9.1, as text of bits."""
    code = f"{value + 1:b}"
    return "0" * (len(code) - 1) + code


def packed(bits: str) -> bytes:
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))


def escaped(payload: bytes) -> bytes:
    """NAL encoding of H.264 7.4.1: no 00 00 0x stays."""
    out, zeros = bytearray(), 0
    for byte in payload:
        if zeros == 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 2**40 - 1)), max_size=20))
def test_fixed_length_codes_come_back_as_written(fields: list[tuple[int, int]]) -> None:
    wanted = [(width, value % 2**width) for width, value in fields]
    bits = BitReader(packed("".join(f"{value:0{width}b}" for width, value in wanted)))
    assert [bits.u(width) for width, _ in wanted] == [value for _, value in wanted]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 2**32 - 2), max_size=20))
def test_exp_golomb_codes_come_back_as_written(values: list[int]) -> None:
    bits = BitReader(packed("".join(map(golomb, values)) + "1"))
    assert [bits.ue() for _ in values] == values


def read_golomb(bits: str) -> int | None:
    """ue(v) bit by bit, as H.264 9.1 writes it down; None: the bits end first, or it is too long."""
    zeros = len(bits) - len(bits.lstrip("0"))
    code = bits[zeros : 2 * zeros + 1]
    return int(code, 2) - 1 if zeros <= 32 and len(code) == zeros + 1 else None


@settings(deadline=None, max_examples=200)
@given(st.lists(st.sampled_from([0, 1, 0x10, 0x80, 0xFF]), max_size=12).map(bytes), st.integers(0, 40))
def test_any_bits_read_as_the_standard_says_from_any_place(data: bytes, start: int) -> None:
    text = "".join(f"{byte:08b}" for byte in data)[start:]
    bits = BitReader(data)
    bits.position = min(start, 8 * len(data))
    wanted = read_golomb(text)
    try:
        assert bits.ue() == wanted
        assert bits.left == len(text) - len(golomb(wanted or 0))
    except BitstreamError:
        assert wanted is None


def test_signed_codes_alternate_around_zero() -> None:
    bits = BitReader(packed("".join(golomb(number) for number in range(7))))
    assert [bits.se() for _ in range(7)] == [0, 1, -1, 2, -2, 3, -3]


def test_reading_beyond_the_end_is_an_error() -> None:
    bits = BitReader(b"\xff")
    bits.skip(7)
    with pytest.raises(BitstreamError, match="ends inside"):
        bits.u(2)


def test_an_endless_golomb_code_is_an_error() -> None:
    with pytest.raises(BitstreamError, match="longer than 65 bits"):
        BitReader(bytes(100)).ue()


def test_a_value_beyond_its_bound_is_an_error() -> None:
    with pytest.raises(BitstreamError, match="cpb_cnt is 32, more than 31"):
        BitReader(packed(golomb(32))).bounded_ue(31, "cpb_cnt")


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from([0, 0, 0, 1, 2, 3, 4, 255]), max_size=60).map(bytes))
def test_emulation_prevention_is_undone(payload: bytes) -> None:
    assert unescaped(escaped(payload)) == payload


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.binary(min_size=1, max_size=30).map(lambda body: escaped(body) + b"\x80"), max_size=8), st.booleans()
)
def test_nal_units_come_back_from_start_codes(units: list[bytes], long: bool) -> None:
    start = b"\0\0\0\1" if long else b"\0\0\1"
    assert list(annex_b(b"".join(start + unit for unit in units))) == units


@settings(deadline=None, max_examples=60)
@given(st.lists(st.binary(min_size=1, max_size=30), max_size=8), st.sampled_from([1, 2, 4]))
def test_nal_units_come_back_from_length_prefixes(units: list[bytes], size: int) -> None:
    data = b"".join(len(unit).to_bytes(size) + unit for unit in units)
    assert list(length_prefixed(data, size)) == units


def test_a_length_beyond_its_packet_is_an_error() -> None:
    with pytest.raises(BitstreamError, match="beyond its packet"):
        list(length_prefixed(b"\0\0\0\x09abc", 4))


def test_the_number_of_nal_units_is_bounded() -> None:
    with pytest.raises(BitstreamError, match="more than 4096"):
        list(annex_b(b"\0\0\1\x65" * 5000))


def test_avcc_gives_its_parameter_sets_and_the_length_size() -> None:
    record = bytes.fromhex("0164 0029 ff e1 0003 670102 01 0002 6803")
    found = parameter_sets("h264", record)
    assert (found.length_size, found.nals) == (4, (bytes.fromhex("670102"), bytes.fromhex("6803")))


def test_hvcc_gives_its_parameter_sets_and_the_length_size() -> None:
    record = b"\x01" + bytes(20) + b"\x0f" + bytes.fromhex("02 a0 0001 0002 4001 a1 0001 0003 420101")
    found = parameter_sets("hevc", record)
    assert (found.length_size, found.nals) == (4, (bytes.fromhex("4001"), bytes.fromhex("420101")))


def test_a_configuration_record_that_ends_early_is_an_error() -> None:
    with pytest.raises(BitstreamError, match="ends early"):
        parameter_sets("h264", bytes.fromhex("0164 0029 ff e1 0009 67"))


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=80), st.sampled_from(["h264", "hevc"]))
def test_any_configuration_record_is_read_or_refused(record: bytes, codec: str) -> None:
    with contextlib.suppress(BitstreamError):
        assert parameter_sets(codec, record).length_size in range(5)
