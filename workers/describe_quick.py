"""The rest of a stream from what its container says of it, so that a plan need not read a terabyte. Not for work: orders count."""

from __future__ import annotations

from array import array
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from common.media import VideoStream
from workers.describe_timing import Cadence, cadence, fixed

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream as AvVideo

QUICK_PACKETS = 100
"""Packets that are read and counted; a file that ends within them is described in full."""

_INDEXED = "mov"  # FFmpeg's demuxer whose index names every sample; of others it names key frames, or what was read
_BELIEVED = 0.02  # how far a reckoned number of frames may be off
_MICROSECONDS = Fraction(1, 1_000_000)  # AV_TIME_BASE: unit of a container's duration


class NoDigest:
    """In the place of ``workers.describe.SourceDigest`` where the bytes are not read through: the digest is empty."""

    def __init__(self, size: int) -> None:
        self.size = size

    def finish(self) -> str:
        """Nothing was read."""
        return ""


def whole_stream(
    container: InputContainer, stream: AvVideo, packets: int, frames: int, stream_bytes: int, found: Cadence
) -> tuple[int, int, Cadence]:
    """(frames, bytes, cadence) of all of a stream, from its first ``packets`` and what they came to.

    An MP4's index says all exactly. Of other containers the duration is known, in a header or from the last time stamps,
    and the rate of the first packets: frames are duration × rate, and bytes what sound leaves of the file.
    """
    if container.format.name.split(",")[0] == _INDEXED and len(stream.index_entries) >= packets:
        return _indexed(stream, Fraction(frames, packets), found)
    seconds = _seconds(container, stream)
    if seconds is None:
        return _by_size(container, frames, stream_bytes, found)
    count = max(frames, round(seconds * found.rate))
    sound = sum(track.bit_rate or 0 for track in container.streams.audio) * seconds / 8
    return count, max(stream_bytes, int(container.size - sound)), replace(found, duration_ms=float(1000 * seconds))


def believed(video: VideoStream, announced: int) -> VideoStream:
    """A stream whose header announces about as many frames as were reckoned: the header is taken at its word."""
    near = abs(announced - video.frame_count) <= _BELIEVED * announced
    return video.model_copy(update={"frame_count": announced}) if near and announced > 0 else video


def _indexed(stream: AvVideo, frames_a_packet: Fraction, found: Cadence) -> tuple[int, int, Cadence]:
    times, size = array("q"), 0
    for entry in stream.index_entries:
        times.append(entry.timestamp)
        size += entry.size
    count = round(len(times) * frames_a_packet)
    nominal = (found.rate, stream.average_rate)
    if frames_a_packet != 1 or stream.time_base is None:
        return count, size, fixed(count, nominal)
    return count, size, cadence(times, stream.time_base, nominal)


def _seconds(container: InputContainer, stream: AvVideo) -> Fraction | None:
    if stream.duration and stream.time_base:
        return stream.duration * stream.time_base
    return container.duration * _MICROSECONDS if container.duration else None


def _by_size(container: InputContainer, frames: int, stream_bytes: int, found: Cadence) -> tuple[int, int, Cadence]:
    """An elementary stream without a clock: as many frames as there would be, were all as large as the first ones."""
    count = max(frames, round(frames * container.size / max(stream_bytes, 1)))
    return count, container.size, replace(found, duration_ms=float(1000 * count / found.rate))
