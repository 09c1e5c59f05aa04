"""When the frames of a produced stream are shown: what the header says of it, where the rate is not constant."""

from __future__ import annotations

import io
from array import array
from fractions import Fraction
from pathlib import Path

from common.dicom.timing import vector_of
from common.errors import UnreadableSource
from workers.payload import Payload, Taken

_BUFFER_BYTES = 1 << 18


def frame_time_vector(payload: Payload) -> tuple[float, ...] | None:
    """Increments in ms between the frames as they are shown; None for a constant rate, or where no element holds so many.

    Raises:
        UnreadableSource: the stream cannot be read, or a frame of it has no time.
    """
    if payload.output.video.constant_rate:
        return None
    ticks, time_base = _times(_opened(payload))
    if len(ticks) != payload.output.video.frame_count:
        raise UnreadableSource(f"{len(ticks)} of {payload.output.video.frame_count} frames have a time of their own")
    return vector_of(sorted(ticks), 1000 * time_base)


def _opened(payload: Payload) -> Path | io.BufferedReader:
    from common.dicom.pixel_stream import FragmentReader, fragments

    facts = payload.output.dicom
    if payload.taken is not Taken.FRAGMENTS or facts is None or facts.stream_length is None:
        return payload.path
    parts = fragments(payload.path, facts.pixel_data_offset)
    return io.BufferedReader(FragmentReader(payload.path, parts, facts.stream_length), _BUFFER_BYTES)


def _times(source: Path | io.BufferedReader) -> tuple[array[int], Fraction]:
    """Presentation times of all frames in ticks, in the order in which they are coded, and the seconds of a tick."""
    import av

    from workers.describe_media import open_container, video_stream

    times = array("q")
    with open_container(source) as container:
        stream = video_stream(container)
        try:
            for packet in container.demux(stream):
                time = packet.pts if packet.pts is not None else packet.dts
                if packet.size and not packet.is_discard and time is not None:
                    times.append(time)
        except av.FFmpegError as error:
            raise UnreadableSource("FFmpeg cannot read the container to its end") from error
        return times, stream.time_base or Fraction(1)
