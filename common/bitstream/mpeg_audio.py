"""Frame headers of MPEG audio: layer, bit rate and length of each frame, whatever a container calls the track.

ISO/IEC 11172-3 2.4.1.3 and 2.4.2.3; ISO/IEC 13818-3 2.4.2.3 for half the sampling rates, and the common extension to a quarter
("MPEG-2.5"). MP4 in particular has one object type for all layers, and FFmpeg calls that MP3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

HEADER_BYTES = 4

_FULL = {
    1: (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    2: (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    3: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
"""Layer → kbit/s by bitrate_index from 1 on, at 32 to 48 kHz."""

_LOW_1 = (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256)
_LOW_2 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_LOW = {1: _LOW_1, 2: _LOW_2, 3: _LOW_2}
"""The same at lower sampling frequencies."""

_SAMPLE_RATES = (44_100, 48_000, 32_000)  # Hz, by sampling_frequency
_DIVISORS = {
    3: 1,
    2: 2,
    0: 4,
}  # by the two bits of the version: MPEG-1, MPEG-2, "2.5" of Layer III alone; 1 is reserved


@dataclass(frozen=True)
class MpegAudioFrame:
    """What the header of one frame says."""

    layer: int  # 1, 2 or 3
    bit_rate: int | None  # bit/s; None: the free format
    sample_rate: int  # Hz
    channels: int
    length: int | None  # bytes, the header's included; None: the free format


def frame_header(data: bytes) -> MpegAudioFrame | None:
    """The header that these bytes begin with; None: they begin with none."""
    if len(data) < HEADER_BYTES or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return None
    divisor, layer = _DIVISORS.get(data[1] >> 3 & 3), 4 - (data[1] >> 1 & 3)
    index, frequency, padding = data[2] >> 4, data[2] >> 2 & 3, data[2] >> 1 & 1
    if divisor is None or layer == 4 or index == 15 or frequency == 3 or (divisor == 4 and layer < 3):
        return None
    table = (_FULL if divisor == 1 else _LOW)[layer]
    bit_rate = 1000 * table[index - 1] if index else None
    sample_rate = _SAMPLE_RATES[frequency] // divisor
    channels = 1 if data[3] >> 6 == 3 else 2
    return MpegAudioFrame(layer, bit_rate, sample_rate, channels, _length(layer, bit_rate, sample_rate, padding))


def _length(layer: int, bit_rate: int | None, sample_rate: int, padding: int) -> int | None:
    """Bytes of a frame (ISO/IEC 11172-3 2.4.3.1): 384 samples in Layer I, in slots of four bytes; 1152, at low rates in Layer
    III 576, in the others."""
    if bit_rate is None:
        return None
    if layer == 1:
        return 4 * (12 * bit_rate // sample_rate + padding)
    samples = 576 if layer == 3 and sample_rate < min(_SAMPLE_RATES) else 1152
    return samples // 8 * bit_rate // sample_rate + padding


def frames(data: bytes) -> Iterator[MpegAudioFrame]:
    """The header of every frame that begins in these bytes, one behind the other; nothing where they begin with none.

    A packet holds one frame in most containers; AVI and some MP4 files put many into one. Behind a frame of the free format,
    which does not say how long it is, and behind what is no frame, nothing more is looked for.
    """
    at = 0
    while (frame := frame_header(data[at : at + HEADER_BYTES])) is not None:
        yield frame
        if frame.length is None:
            return
        at += frame.length
