"""A legal .102 description and header to start from: a test changes one thing."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from pydicom.dataset import Dataset

from common.media import AudioStream, Description, Kind, VideoStream

AAC = AudioStream(codec="aac", sample_rate=48_000, channels=2, bit_rate=128_000)


def describe(
    *, audio: tuple[AudioStream, ...] = (), video: dict[str, Any] | None = None, **changes: Any
) -> Description:
    stream: dict[str, Any] = {
        "codec": "h264",
        "profile": "High",
        "level_idc": 40,
        "width": 1920,
        "height": 1080,
        "pixel_format": "yuv420p",
        "full_range": False,
        "matrix": "bt709",
        "primaries": "bt709",
        "transfer": "bt709",
        "frame_rate": Fraction(30000, 1001),
        "frame_count": 90,
        "duration_ms": 3003.0,
        "bit_rate": 8_000_000,
    }
    facts: dict[str, Any] = {
        "kind": Kind.VIDEO,
        "digest": "0" * 64,
        "size_bytes": 3_000_000,
        "container": "mp4",
        "moov_first": True,
        "audio": audio,
    }
    return Description(**facts | changes | {"video": VideoStream(**stream | (video or {}))})


def head(**changes: Any) -> Dataset:
    """A header that fits; ``None`` takes an attribute away."""
    attributes: dict[str, Any] = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.77.1.1.1",
        "SOPInstanceUID": "1.2.3.4",
        "StudyInstanceUID": "1.2.3.5",
        "SeriesInstanceUID": "1.2.3.6",
        "PhotometricInterpretation": "YBR_PARTIAL_420",
        "SamplesPerPixel": 3,
        "PlanarConfiguration": 0,
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
        "PixelRepresentation": 0,
        "Rows": 1080,
        "Columns": 1920,
        "NumberOfFrames": 90,
        "FrameTime": "33.3667",
        "FrameIncrementPointer": 0x00181063,
        "CineRate": 30,
        "LossyImageCompression": "01",
        "LossyImageCompressionRatio": "93",
        "LossyImageCompressionMethod": "ISO_14496_10",
    }
    header = Dataset()
    for keyword, value in (attributes | changes).items():
        if value is not None:
            setattr(header, keyword, value)
    return header


@pytest.fixture
def described() -> Callable[..., Description]:
    return describe


@pytest.fixture
def header_of() -> Callable[..., Dataset]:
    return head


@pytest.fixture
def aac() -> AudioStream:
    return AAC
