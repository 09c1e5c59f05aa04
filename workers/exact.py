"""A copied video shows the source's pictures to the bit: SHA-256 of every decoded picture of both, in the source's pixel format.

The digest of the elementary stream says that its bits were carried over; this says that a decoder, given the result alone, makes
the same pictures of them: parameter sets, order and container included.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from common.errors import InternalFault
from common.ffmpeg import ffmpeg_program
from common.media import Description
from common.process import Limits
from common.settings import Settings
from workers.encode import Asked, run_ffmpeg, temporary
from workers.ffmpeg.command import exact_command
from workers.ffmpeg.parse import ProgressReader
from workers.payload import Payload
from workers.sources import demuxer

if TYPE_CHECKING:
    from workers.sources import MediaInput

SAME_BYTES = "the source's own bytes"
SAME_PICTURES = "SHA-256 of every decoded picture"

_LOGS = ("source.hashes", "output.hashes")
_LINE_BYTES = 160  # of a picture in a log
_SLACK_BYTES = 1 << 20


@dataclass(frozen=True)
class ExactProof:
    """Whether the result is the source to the bit. ``*_sha256``: over the hexadecimal SHA-256 of all pictures, in order."""

    proven_by: str
    frames: int | None = None  # of the source; None: no picture was decoded
    output_frames: int | None = None
    pixel_format: str = ""
    source_sha256: str = ""
    output_sha256: str = ""
    unequal: int = 0
    first_difference: int | None = None  # number of a frame, from 0

    @property
    def misses(self) -> tuple[str, ...]:
        """Why it is not, in words; empty: it is."""
        if self.frames != self.output_frames:
            return (f"the source shows {self.frames} pictures and the result {self.output_frames}",)
        if self.unequal:
            return (
                f"{self.unequal} of {self.frames} pictures are not the source's to the bit, the first of them frame "
                f"{self.first_difference}",
            )
        return ()

    def json(self) -> dict[str, Any]:
        """For the evidence."""
        return {
            **{name: value for name, value in vars(self).items() if value not in (None, "")},
            "exact": not self.misses,
        }


def prove_exact(
    media: MediaInput,
    description: Description,
    payload: Payload,
    scratch: Path,
    *,
    settings: Settings,
    cancelled: Asked | None = None,
) -> ExactProof:
    """Decode source and result beside each other, in one FFmpeg process, and compare picture by picture.

    The result is read as it will be written into Pixel Data. A source that comes through a pipe has a process of its own.

    Raises:
        UnreadableSource: the source is no video that can be decoded.
        InternalFault: no picture came out.
        CinefarmError: see common.process.run.
    """
    video = description.video
    limits = Limits(
        seconds=max(settings.transcode_minimum_seconds, 2 * video.duration_ms / 1000),
        memory_bytes=settings.child_memory_bytes,
        output_bytes=2 * _LINE_BYTES * video.frame_count + _SLACK_BYTES,
    )
    logs = [scratch / name for name in _LOGS]
    result = (*demuxer(payload.output), "-noautorotate", "-i", "pipe:0")
    inputs = [(media.args, logs[0]), (("-protocol_whitelist", "pipe", *result), logs[1])]
    fed = replace(media, feed=partial(_feed, payload))
    runs = [(inputs, fed)] if media.feed is None else [(inputs[:1], media), (inputs[1:], fed)]
    with temporary(*logs):
        for some, of in runs:
            argv = exact_command(ffmpeg_program(), some)
            run_ffmpeg(argv, of, limits, ProgressReader(None), cancelled, scratch)
        return _compared(logs[0], logs[1], media.pixel_format)


def _feed(payload: Payload, out: BinaryIO) -> None:
    with payload.open() as (_length, chunks):
        for chunk in chunks:
            out.write(chunk)


def _compared(source: Path, output: Path, pixel_format: str) -> ExactProof:
    digests = hashlib.sha256(), hashlib.sha256()
    counts, unequal, first = [0, 0], 0, None
    for number, pair in enumerate(zip_longest(_hashes(source), _hashes(output))):
        for place, found in enumerate(pair):
            if found is not None:
                counts[place] += 1
                digests[place].update(found.encode())
        if pair[0] != pair[1]:
            unequal += 1
            first = number if first is None else first
    if not counts[0]:
        raise InternalFault("no picture of the source was decoded")
    return ExactProof(
        SAME_PICTURES,
        counts[0],
        counts[1],
        pixel_format,
        digests[0].hexdigest(),
        digests[1].hexdigest(),
        unequal,
        first,
    )


def _hashes(log: Path) -> Iterator[str]:
    """Hexadecimal SHA-256 of each picture: 'stream, dts, pts, duration, size, hash' a line; comments begin with a hash sign."""
    with log.open() as lines:
        for line in lines:
            if not line.startswith("#"):
                yield line.rpartition(",")[2].strip()
