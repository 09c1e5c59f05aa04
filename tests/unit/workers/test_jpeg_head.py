from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from common.errors import InputError, TruncatedSource, UnreadableSource
from workers.frames.jpeg import ffmpeg_format, parse_head, whole

ADOBE_RGB, ADOBE_YCC = (b"Adobe\0\x64\0\0\0\0" + bytes([transform]) for transform in (0, 1))
JFIF = b"JFIF\0\1\1\0\0\1\0\1\0\0"


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def frame(
    *segments: bytes,
    sof: int = 0xC0,
    precision: int = 8,
    ids: bytes = b"\1\2\3",
    sampling: tuple[int, ...] = (0x11,) * 3,
) -> bytes:
    """A JPEG up to its scan: 32×24."""
    parts = b"".join(bytes([name, factors, 0]) for name, factors in zip(ids, sampling, strict=True))
    header = segment(sof, struct.pack(">BHHB", precision, 24, 32, len(ids)) + parts)
    return b"\xff\xd8" + b"".join(segments) + header + segment(0xDA, b"\0") + b"\x12\x34\xff\xd9"


def judged(photometric: str, *segments: bytes, **changes: Any) -> str | None:
    return ffmpeg_format(parse_head(frame(*segments, **changes)), photometric)


def test_the_head_of_a_real_file() -> None:
    out = io.BytesIO()
    Image.fromarray(np.zeros((24, 32, 3), np.uint8)).save(out, "JPEG", subsampling=2)
    head = parse_head(out.getvalue())
    assert (head.process, head.precision, head.width, head.height) == (0xC0, 8, 32, 24)
    assert (head.component_ids, head.sampling) == ((1, 2, 3), ((2, 2), (1, 1), (1, 1)))
    assert (head.jfif, head.adobe_transform) == (True, None)


@pytest.mark.parametrize(
    ("luma", "expected"), [(0x11, "yuvj444p"), (0x21, "yuvj422p"), (0x22, "yuvj420p"), (0x41, None), (0x12, None)]
)
def test_the_pixel_format_follows_the_sampling(luma: int, expected: str | None) -> None:
    assert judged("YBR_FULL_422", sampling=(luma, 0x11, 0x11)) == expected


@pytest.mark.parametrize(
    ("photometric", "segments", "ids", "expected"),
    [
        ("YBR_FULL_422", (), b"\1\2\3", "yuvj444p"),
        ("YBR_FULL_422", ((0xE0, JFIF),), b"\1\2\3", "yuvj444p"),
        ("YBR_FULL", ((0xEE, ADOBE_YCC),), b"\1\2\3", "yuvj444p"),
        ("YBR_FULL", ((0xEE, ADOBE_RGB),), b"\1\2\3", None),  # marker against header: the header decides
        ("RGB", (), b"\1\2\3", None),  # FFmpeg would take it for Y'CbCr
        ("RGB", ((0xEE, ADOBE_RGB),), b"\1\2\3", "gbrp"),
        ("RGB", (), b"RGB", "gbrp"),
        ("RGB", ((0xE0, JFIF),), b"\1\2\3", "yuvj444p"),  # JFIF is always Y'CbCr: the header was not brought up to date
        ("RGB", ((0xEE, ADOBE_YCC),), b"\1\2\3", "yuvj444p"),
        ("RGB", ((0xEE, ADOBE_YCC[:8]),), b"\1\2\3", None),  # a marker too short to say anything
    ],
)
def test_frames_pass_only_where_ffmpeg_means_what_dicom_means(
    photometric: str, segments: tuple[tuple[int, bytes], ...], ids: bytes, expected: str | None
) -> None:
    assert judged(photometric, *(segment(*one) for one in segments), ids=ids) == expected


@pytest.mark.parametrize(
    "changes", [{"precision": 12}, {"sof": 0xC3}, {"sof": 0xC9}, {"ids": b"\1\2\3\4", "sampling": (0x11,) * 4}]
)
def test_what_ffmpeg_cannot_decode_as_8_bit_huffman_does_not_pass(changes: dict[str, Any]) -> None:
    assert judged("YBR_FULL", **changes) is None


def test_grey_passes_unless_it_is_inverted() -> None:
    grey = {"ids": b"\1", "sampling": (0x11,)}
    assert judged("MONOCHROME2", **grey) == "gray"
    assert judged("MONOCHROME1", **grey) is None


def test_fields_that_ffmpeg_would_weave_do_not_pass() -> None:
    assert judged("YBR_FULL_422", segment(0xE0, b"AVI1\1\0\0\0")) is None


@pytest.mark.parametrize("padding", [b"", b"\0", b"\xff", b"\0\0\0"])
def test_padding_after_the_end_marker_is_left_out(padding: bytes) -> None:
    data = frame()
    assert bytes(whole(data + padding)) == data


def test_a_frame_without_its_end_is_truncated() -> None:
    with pytest.raises(TruncatedSource):
        whole(frame()[:-2])


def test_a_frame_that_ends_before_its_scan_is_truncated() -> None:
    with pytest.raises(TruncatedSource):
        parse_head(frame()[:20])


def test_a_scan_without_a_frame_header_is_unreadable() -> None:
    with pytest.raises(UnreadableSource):
        parse_head(b"\xff\xd8" + segment(0xDA, b"\0"))


@given(st.binary(max_size=200), st.integers(0, 40))
@settings(deadline=None, max_examples=60)
def test_hostile_bytes_raise_nothing_but_input_errors(noise: bytes, keep: int) -> None:
    try:
        head = parse_head(frame()[:keep] + noise)
    except InputError:
        return
    assert len(head.component_ids) == len(head.sampling)
