"""Frame headers of MPEG audio, against those that FFmpeg's decoders read."""

from __future__ import annotations

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.bitstream.mpeg_audio import HEADER_BYTES, frame_header, frames

LONGEST = 1729
"""Bytes: Layer II of 384 kbit/s at 32 kHz, padded."""


@pytest.mark.parametrize(
    ("head", "layer", "rate", "sample_rate", "channels", "length"),
    [
        ("fffb9064", 3, 128_000, 44_100, 2, 417),
        ("fffbe264", 3, 320_000, 44_100, 2, 1045),
        ("fffd9400", 2, 160_000, 48_000, 2, 480),
        ("fffdc4c0", 2, 256_000, 48_000, 1, 768),
        ("ffff8400", 1, 256_000, 48_000, 2, 256),
        ("fff380c4", 3, 64_000, 22_050, 1, 208),
        ("ffe38064", 3, 64_000, 11_025, 2, 417),
        ("fffb0064", 3, None, 44_100, 2, None),
    ],
)
def test_a_frame_says_what_it_is(
    head: str, layer: int, rate: int | None, sample_rate: int, channels: int, length: int | None
) -> None:
    frame = frame_header(bytes.fromhex(head))
    assert frame is not None
    assert (frame.layer, frame.bit_rate, frame.sample_rate) == (layer, rate, sample_rate)
    assert (frame.channels, frame.length) == (channels, length)


@pytest.mark.parametrize("head", ["ff", "fefb9064", "ffeb9064", "fff99064", "fffbf064", "fffb9c64", "ffe58064"])
def test_what_is_no_header_is_none(head: str) -> None:
    """Too short; no sync; reserved version, layer, bit rate and sampling frequency; Layer II at a quarter of the rates."""
    assert frame_header(bytes.fromhex(head)) is None


@given(st.binary(min_size=HEADER_BYTES, max_size=HEADER_BYTES))
def test_a_frame_has_a_length_that_its_bit_rate_fills(head: bytes) -> None:
    frame = frame_header(b"\xff" + bytes([head[1] | 0xE0]) + head[2:])
    if frame is None or frame.length is None or frame.bit_rate is None:
        return
    samples = 384 if frame.layer == 1 else 576 if frame.layer == 3 and frame.sample_rate < 32_000 else 1152
    slot = 4 if frame.layer == 1 else 1
    exact = samples / 8 * frame.bit_rate / frame.sample_rate
    assert exact - slot < frame.length <= exact + slot
    assert frame.length <= LONGEST


@given(
    st.sampled_from([("mp2", 2), ("libmp3lame", 3)]),
    st.sampled_from([32_000, 44_100, 48_000, 16_000, 22_050, 24_000]),
    st.sampled_from(["mono", "stereo"]),
    st.sampled_from([64_000, 96_000, 128_000, 160_000]),
)
def test_what_encoders_write_is_cut_into_its_frames(
    encoder: tuple[str, int], sample_rate: int, layout: str, rate: int
) -> None:
    """All packets end to end, as AVI holds them, come apart where the encoder set them."""
    packets = encoded(encoder[0], sample_rate, layout, rate)
    found = list(frames(b"".join(packets)))
    assert [frame.length for frame in found] == [len(packet) for packet in packets]
    assert {frame.layer for frame in found} == {encoder[1]}
    assert {frame.sample_rate for frame in found} == {sample_rate}
    assert {frame.bit_rate for frame in found} == {rate}
    assert {frame.channels for frame in found} == {1 if layout == "mono" else 2}


def encoded(encoder: str, sample_rate: int, layout: str, rate: int) -> list[bytes]:
    context = av.CodecContext.create(encoder, "w")
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate, context.layout, context.bit_rate = sample_rate, layout, rate
    context.format = "s16" if encoder == "mp2" else "s16p"
    context.open()
    packets = []
    for number in range(4):
        frame = av.AudioFrame(format=context.format.name, layout=layout, samples=context.frame_size)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.sample_rate, frame.pts = sample_rate, number * context.frame_size
        packets += context.encode(frame)
    return [bytes(packet) for packet in (*packets, *context.encode(None))]


@given(st.binary(max_size=5000))
def test_frames_come_to_an_end(data: bytes) -> None:
    assert sum(1 for _ in frames(b"\xff\xfb\x90\x64" + data)) <= 1 + len(data) // HEADER_BYTES
