"""Turns any described source into something FFmpeg can read: its input options and, where needed, a feed for its stdin."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from common.dicom.pixel_stream import Fragment, FragmentReader, fragments
from common.errors import InternalFault, TruncatedSource, UnreadableSource, UnsupportedSource
from common.media import Description, Kind
from common.process import Limits, call

if TYPE_CHECKING:
    from workers.frames.layout import Layout
    from workers.frames.render import Form

_LOOK = Limits(seconds=600, memory_bytes=8 << 30)  # reads a header and walks the fragments, on a slow disk
_CHUNK_BYTES = 1 << 20
_PIPE = ("-i", "pipe:0")

_RECONNECTING = ("-reconnect", "1", "-reconnect_on_network_error", "1", "-reconnect_delay_max", "20")
_PATIENT = (*_RECONNECTING, "-rw_timeout", "60000000")
"""A server that restarts is waited for: pauses double up to 20 s; 60 s (in µs) of silence count as a broken connection."""

_DEMUXERS = {
    **{name: name for name in ("mpegts", "avi", "asf", "flv", "mxf", "dv", "ogg", "nut", "ivf", "gxf")},
    **dict.fromkeys(("mp4", "mov", "mov,mp4,m4a,3gp,3g2,mj2"), "mov"),
    **dict.fromkeys(("mpegps", "mpeg"), "mpeg"),
    **dict.fromkeys(("matroska", "webm", "matroska,webm"), "matroska"),
}
"""Described container → FFmpeg's demuxer, forced: none of these opens another file, whatever the bytes ask for."""

_ELEMENTARY = {"h264": "h264", "hevc": "hevc", "mpeg1video": "mpegvideo", "mpeg2video": "mpegvideo", "mpeg4": "m4v"}
"""Codec of an elementary stream → FFmpeg's demuxer."""

_STREAMABLE = frozenset({"mpegts", "mpeg", *_ELEMENTARY.values()})
"""Demuxers that need no seeking."""


@dataclass(frozen=True)
class MediaInput:
    """How FFmpeg reads one source, and what it will decode to."""

    args: tuple[str, ...]  # FFmpeg's input options, up to and with ('-i', ...)
    feed: Callable[[BinaryIO], None] | None  # writes FFmpeg's stdin, in a forked child; None: FFmpeg reads a file
    width: int  # pixels, as FFmpeg delivers frames
    height: int
    frame_count: int
    frame_rate: Fraction  # frames per second
    pixel_format: str  # what FFmpeg decodes to: rgb24, gray, yuvj420p, yuv420p ...
    full_range: bool | None  # of YCbCr; None: not YCbCr, or untagged
    matrix: str | None  # FFmpeg's name of the YCbCr matrix; None: not YCbCr, or untagged
    seekable: bool  # FFmpeg reads a real file: an MP4 with moov at the end works
    frames_apart: bool = False  # ``feed`` takes ``first`` and ``last``, and can be called again for more frames
    picked: Callable[[tuple[int, ...], BinaryIO], None] | None = (
        None  # a feed of some frames alone; None: there is none
    )


def open_source(path: Path, description: Description, scratch: Path) -> MediaInput:
    """How FFmpeg can read this source; ``scratch`` is an existing folder for what cannot be streamed.

    Raises:
        UnsupportedSource: no demuxer or decoder that we trust reads it.
        TruncatedSource, UnreadableSource: it is not what was described. Frames are only judged as they are fed.
    """
    path = path.absolute()  # FFmpeg takes what begins with a slash for a file, never for a protocol
    if description.kind is Kind.DICOM_FRAMES:
        return _frames(path, description)
    words = demuxer(description)
    if description.kind is Kind.VIDEO:
        return _video(description, (*words, "-noautorotate", "-i", str(path)), "file")
    return _fragmented(path, description, words, scratch)


def open_remote(url: str, description: Description, ca_file: Path | None) -> MediaInput:
    """How FFmpeg can read a plain video by ranges from our own store; ``ca_file``: who signs its server, else certifi's list.

    The whitelist lets the demuxer reach the network, and those we force open nothing that a file names.

    Raises:
        UnsupportedSource: we let FFmpeg open no demuxer for it.
    """
    import certifi

    secure = url.startswith("https:")
    trust = ("-tls_verify", "1", "-ca_file", str(ca_file or certifi.where())) if secure else ()
    words = (*demuxer(description), "-noautorotate", *_PATIENT, *trust, "-i", url)
    return _video(description, words, "https,tls,tcp" if secure else "http,tcp")


def _video(
    description: Description, words: tuple[str, ...], protocols: str, feed: Callable[[BinaryIO], None] | None = None
) -> MediaInput:
    """FFmpeg demuxes and decodes the stream as it was described."""
    video = description.video
    return MediaInput(
        args=("-protocol_whitelist", protocols, *words),
        feed=feed,
        width=video.width,
        height=video.height,
        frame_count=video.frame_count,
        frame_rate=video.frame_rate,
        pixel_format=video.pixel_format,
        full_range=video.full_range,
        matrix=video.matrix,
        seekable=feed is None,
    )


def demuxer(description: Description) -> tuple[str, ...]:
    """FFmpeg's options that force the described container's demuxer: ``-f`` and its name first.

    Raises:
        UnsupportedSource: we let FFmpeg open none for it.
    """
    video = description.video
    if description.container == "elementary" and video.codec in _ELEMENTARY:
        return ("-f", _ELEMENTARY[video.codec], "-framerate", str(video.frame_rate))  # it has no clock of its own
    if description.container not in _DEMUXERS:
        raise UnsupportedSource(f"container {description.container} is none that we let FFmpeg open")
    return ("-f", _DEMUXERS[description.container])


def _fragmented(path: Path, description: Description, words: tuple[str, ...], scratch: Path) -> MediaInput:
    """One fragment is a window of the file; several are joined in a pipe, or in a file where FFmpeg must seek."""
    facts = description.dicom
    if facts is None or facts.stream_length is None:
        raise InternalFault("DICOM video was described without its stream")
    parts = fragments(path, facts.pixel_data_offset)
    if sum(part.length for part in parts) < facts.stream_length:
        raise TruncatedSource(f"the fragments hold less than the stream's {facts.stream_length} bytes")
    if len(parts) == 1:
        start = parts[0].offset
        window = f"subfile,,start,{start},end,{start + facts.stream_length},,:{path}"
        return _video(description, (*words, "-noautorotate", "-i", window), "file,subfile")
    if words[1] in _STREAMABLE:
        feed = partial(_join, path, parts, facts.stream_length)
        return _video(description, (*words, "-noautorotate", *_PIPE), "pipe", feed)
    joined = scratch.absolute() / "joined-fragments"
    with joined.open("wb") as out:
        _join(path, parts, facts.stream_length, out)
    return _video(description, (*words, "-noautorotate", "-i", str(joined)), "file")


def _join(path: Path, parts: list[Fragment], length: int, out: BinaryIO) -> None:
    with FragmentReader(path, parts, length) as stream:
        shutil.copyfileobj(stream, out, _CHUNK_BYTES)


def _frames(path: Path, description: Description) -> MediaInput:
    from workers.frames.stream import feed, feed_picked, feed_timed, look

    layout, form = call(look, path, limits=_LOOK, what="reading the frames' header")
    video = description.video
    if (layout.frames, layout.columns, layout.rows) != (video.frame_count, video.width, video.height):
        raise UnreadableSource(
            f"{video.frame_count} frames of {video.width}×{video.height} were described, "
            f"the header says {layout.frames} of {layout.size}"
        )
    times = () if video.constant_rate else call(_shown_at, path, limits=_LOOK, what="reading the frames' times")
    return MediaInput(
        args=(
            "-protocol_whitelist",
            "pipe",
            *_frame_options(layout, form, video.frame_rate, timed=bool(times)),
            *_PIPE,
        ),
        feed=partial(feed_timed, path, form, times) if times else partial(feed, path, form),
        width=layout.columns,
        height=layout.rows,
        frame_count=layout.frames,
        frame_rate=video.frame_rate,
        pixel_format=form.pixel_format,
        full_range=form.full_range,
        matrix=form.matrix,
        seekable=False,
        frames_apart=not times,
        picked=None if times else partial(feed_picked, path, form),
    )


def _shown_at(path: Path) -> tuple[float, ...]:
    """When each frame is shown, in ms after the first, by the header's Frame Time Vector."""
    from common.dicom.pixel_stream import read_header
    from common.dicom.timing import read_timing

    header = read_header(path)
    return tuple(accumulate(read_timing(header.dataset, header.frames).vector_ms or ()))


def _frame_options(layout: Layout, form: Form, rate: Fraction, *, timed: bool) -> tuple[str, ...]:
    if form.passed_through:
        # explode: a frame that is not sound is dropped rather than guessed at, and then missing in the count
        form_of = ("-f", "nut") if timed else ("-f", "mjpeg", "-framerate", str(rate))
        return (*form_of, "-err_detect", "explode")
    size = f"{layout.columns}x{layout.rows}"
    # -s: ffmpeg-python takes a video_size apart as a pair
    raw = ("-f", "rawvideo", "-framerate", str(rate), "-pixel_format", form.pixel_format, "-s", size)
    words = ("-f", "nut") if timed else raw
    if form.matrix is None:
        return words
    return (*words, "-color_range", "pc" if form.full_range else "tv", "-colorspace", form.matrix)
