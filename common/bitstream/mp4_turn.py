"""How an MP4 asks players to turn its picture: the matrix of the track header (ISO/IEC 14496-12 6.2.2, 8.3.2)."""

from __future__ import annotations

import math
from typing import BinaryIO

from common.bitstream.mp4 import Mp4Layout, read_moov
from common.bitstream.mp4_boxes import Box, children, field

_OFFSETS = {0: (12, 40), 1: (20, 52)}
"""Version of tkhd → offsets of track_ID and matrix."""


def clockwise_turn(f: BinaryIO, layout: Mp4Layout) -> int:
    """Clockwise degrees, whole, of the first video track; 0 where there is none.

    Raises:
        BitstreamError: boxes of moov do not fit each other.
    """
    moov = read_moov(f, layout.moov)
    tracks = (box for box in children(moov, 0, len(moov)) if box.type == "trak")
    heads = (box for track in tracks for box in children(moov, track.payload, track.end) if box.type == "tkhd")
    wanted = layout.video.track_id if layout.video else None
    return next((turn for track, turn in (_head(moov, box) for box in heads) if track == wanted), 0)


def _head(moov: memoryview, box: Box) -> tuple[int, int]:
    """Track id and clockwise turn of a track header."""
    track_at, matrix_at = _OFFSETS[min(field(moov, box, "B", 0)[0], 1)]
    (track,) = field(moov, box, ">I", track_at)
    across, down = field(moov, box, ">ii", matrix_at)  # where a step to the right leads
    return track, round(math.degrees(math.atan2(down, across))) % 360
