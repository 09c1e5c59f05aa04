"""When the frames of a produced stream are shown: what its header says of it where the rate is not constant, and is judged by."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

from common.conformance import ShownTimes
from common.dicom.timing import vector_of
from common.errors import UnreadableSource
from workers.payload import Payload, Taken

_BUFFER_BYTES = 1 << 18


def shown_times(payload: Payload) -> ShownTimes | None:
    """The times of a stream of variable rate; None for a constant one, whose rate says all.

    Raises:
        UnreadableSource: the stream cannot be read, or a frame of it has no time.
    """
    if payload.output.video.constant_rate:
        return None
    from workers.describe_media import read_media

    media = read_media(lambda: opened(payload), decode=False)
    if len(media.times) != payload.output.video.frame_count:
        raise UnreadableSource(
            f"{len(media.times)} of {payload.output.video.frame_count} frames have a time of their own"
        )
    return ShownTimes(sorted(media.times), media.time_base, media.leading)


def frame_time_vector(shown: ShownTimes | None) -> tuple[float, ...] | None:
    """Increments in ms between the frames; None for a constant rate, or where no element holds so many."""
    return None if shown is None else vector_of(shown.ticks, Fraction(1000) * shown.time_base)


def opened(payload: Payload) -> Path | io.BufferedReader:
    """What a demuxer reads of a payload: its file, or the fragments of a DICOM object as one stream."""
    from common.dicom.pixel_stream import FragmentReader, fragments

    facts = payload.output.dicom
    if payload.taken is not Taken.FRAGMENTS or facts is None or facts.stream_length is None:
        return payload.path
    parts = fragments(payload.path, facts.pixel_data_offset)
    return io.BufferedReader(FragmentReader(payload.path, parts, facts.stream_length), _BUFFER_BYTES)
