"""Frames of a decoded video as RGB values: only where a person asked for images of a video by naming their syntax.

8-bit RGB cannot give a 4:2:0 picture back bit for bit: chroma is interpolated and rounded. What follows is lossless of these
RGB values, and the header says that the video was converted.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from common.errors import TruncatedSource, UnreadableSource, UnsupportedSource
from common.media import Description, Kind, Scan
from workers.frames.decoders import Samples
from workers.frames.stored import Frame, Shape

if TYPE_CHECKING:
    from av import VideoFrame

_BUFFER_BYTES = 1 << 18
_HD_WIDTH, _HD_HEIGHT = 1280, 576  # from here on untagged video is taken for BT.709 (workers.ffmpeg.colour, rule 2)
_MATRICES = {"bt709": "ITU709", "smpte170m": "ITU601", "bt470bg": "ITU601", "fcc": "FCC", "smpte240m": "SMPTE240M"}
"""FFmpeg's names → those of libswscale's coefficient tables."""


@dataclass(frozen=True)
class VideoFrames:
    """Every frame of a video, decoded on the CPU."""

    path: Path
    description: Description

    def __iter__(self) -> Iterator[Frame]:
        """One frame after the other.

        Raises:
            TruncatedSource, UnreadableSource: the decoder gives fewer or more frames than were counted, or breaks off.
        """
        import av

        count = 0
        try:
            with (
                _opened(self.path, self.description) as file,
                av.open(file, "r", metadata_errors="replace") as container,
            ):
                for frame in container.decode(video=0):
                    count += 1
                    yield Frame(_rgb(frame, self.description))
        except av.FFmpegError as error:
            raise UnreadableSource(f"the video cannot be decoded beyond frame {count}") from error
        if count != self.description.video.frame_count:
            wanted = self.description.video.frame_count
            raise TruncatedSource(f"the source was counted as {wanted} frames, and its decoder gave {count}")


def video_frames(path: Path, description: Description) -> tuple[Shape, VideoFrames]:
    """Shape and frames of a plain or DICOM video.

    Raises:
        UnsupportedSource: it is turned, or of a colour or depth that 8-bit RGB does not hold.
    """
    video = description.video
    if video.rotation or video.scan is not Scan.PROGRESSIVE:
        raise UnsupportedSource("frames are made of upright, progressive video alone", hint="Choose a video syntax.")
    if video.bit_depth != 8 or (video.matrix or "bt709") not in _MATRICES:
        raise UnsupportedSource(f"video of {video.bit_depth} bits, matrix {video.matrix} is not 8-bit RGB's to hold")
    shape = Shape(video.height, video.width, samples=3, stored=8, signed=False, photometric="RGB")
    return shape, VideoFrames(path, description)


def _opened(path: Path, description: Description) -> BinaryIO:
    if description.kind is Kind.VIDEO:
        return path.open("rb")
    from common.dicom.pixel_stream import FragmentReader, fragments

    facts = description.dicom
    if facts is None or facts.stream_length is None:
        raise UnreadableSource("DICOM video was described without its stream")
    parts = fragments(path, facts.pixel_data_offset)
    return io.BufferedReader(FragmentReader(path, parts, facts.stream_length), _BUFFER_BYTES)


def _rgb(frame: VideoFrame, description: Description) -> Samples:
    """By the tagged matrix and range, else by the sizes that players go by; bicubic chroma, exactly rounded."""
    video = description.video
    high = video.width >= _HD_WIDTH or video.height > _HD_HEIGHT
    matrix = _MATRICES[video.matrix or ("bt709" if high else "smpte170m")]
    full = video.full_range if video.full_range is not None else video.pixel_format.startswith("yuvj")
    made = frame.reformat(
        format="rgb24",
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range="JPEG" if full else "MPEG",
        dst_color_range="JPEG",
        interpolation="BICUBIC",
    )
    return cast(Samples, made.to_ndarray())
