"""One frame of a stored instance as a picture: sought in a video, read alone where frames lie apart."""

from __future__ import annotations

import io
import math
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from PIL import Image

from common.dicom.companion import Companion, companion_key
from common.dicom.extents import ExtentsReader
from common.dicom.pixel_stream import read_header
from common.dicom.transfer_syntaxes import by_uid
from common.errors import CinefarmError, UnreadableSource, UnsupportedSource
from common.showing import Picture
from common.store import ObjectStore
from workers.frames.layout import read_layout
from workers.frames.render import decoded_form
from workers.frames.stream import feed_picked
from workers.local import local_source

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_BUFFER_BYTES = 1 << 18
_HD_WIDTH, _HD_HEIGHT = 1280, 576  # from here on untagged video is taken for BT.709 (workers.ffmpeg.colour, rule 2)
_MATRICES = {1: "ITU709", 4: "FCC", 5: "ITU601", 6: "ITU601", 7: "SMPTE240M"}
"""Matrix coefficients (ITU-T H.273 8.3) → libswscale's tables."""
_FULL = 2  # FFmpeg's number of full range
_CLOCKLESS = ("h264", "hevc", "mpegvideo")
_BACK_SECONDS = (0, 2, 12, math.inf)
_FIRST_BYTES = 188 * 2 + 1


def draw(asked: Picture, store: ObjectStore) -> bytes:
    """The file of the picture.

    Raises:
        StoreFault: the instance, or what was noted of it, is not there.
        UnreadableSource, UnsupportedSource: there is no such frame, or it cannot be decoded.
    """
    known = Companion.model_validate_json(store.get(companion_key(asked.key)))
    is_video = _is_video(known.transfer_syntax_uid)
    image = _of_video(asked, known, store) if is_video else _of_image(asked, store)
    image.thumbnail((asked.width or image.width, asked.height or image.height), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    if asked.kind == "png":
        image.save(out, "PNG")
    else:
        image.save(out, "JPEG", quality=asked.quality)
    return out.getvalue()


def _is_video(syntax: str) -> bool:
    try:
        by_uid(syntax)
    except CinefarmError:
        return False
    return True


def _of_image(asked: Picture, store: ObjectStore) -> Image.Image:
    with (
        tempfile.TemporaryDirectory(prefix="cinefarm-show-") as scratch,
        local_source(store, asked.key, Path(scratch)) as path,
    ):
        layout = read_layout(read_header(path))
        if asked.frame > layout.frames:
            raise UnreadableSource(f"there are {layout.frames} frames")
        form, out = decoded_form(layout), io.BytesIO()
        feed_picked(path, form, (asked.frame - 1,), out)
    size, data = (layout.columns, layout.rows), out.getvalue()
    if form.pixel_format in ("gray", "rgb24"):
        return Image.frombytes("L" if form.pixel_format == "gray" else "RGB", size, data)
    return Image.fromarray(_joined(data, size, form.pixel_format), "YCbCr").convert("RGB")  # full range, BT.601: JFIF's


def _joined(data: bytes, size: tuple[int, int], pixel_format: str) -> np.ndarray[Any, Any]:
    """Planes of Y'CbCr as pixels; halved chroma is written twice."""
    width, height = size
    times = 2 if pixel_format == "yuv422p" else 1
    flat = np.frombuffer(data, np.uint8)
    luma, chroma = width * height, height * ((width + times - 1) // times)
    planes = [flat[:luma].reshape(height, width)]
    for number in range(2):
        plane = flat[luma + number * chroma : luma + (number + 1) * chroma].reshape(height, -1)
        planes.append(np.repeat(plane, times, axis=1)[:, :width])
    return np.dstack(planes)


def _of_video(asked: Picture, known: Companion, store: ObjectStore) -> Image.Image:
    """Streams without an index are sought by guessing: begun too late, they are begun earlier, at last from their start."""
    with store.open(asked.key) as stream, ExtentsReader(stream, known.pixels.extents) as raw:
        file = io.BufferedReader(raw, _BUFFER_BYTES)
        demuxer = _demuxer(file.read(_FIRST_BYTES), known)
        try:
            for back in _BACK_SECONDS:
                file.seek(0)
                with av.open(file, "r", format=demuxer, metadata_errors="replace") as container:
                    shown = container.streams.video[0]
                    shown.thread_type = "SLICE"  # a thread a frame would decode ahead of what is wanted
                    frame = _sought(container, shown, asked.frame - 1, _rate(shown, known), back)
                    if frame is not None:
                        return _rgb(frame, shown)
        except (av.FFmpegError, IndexError, EOFError) as error:
            raise UnreadableSource("the video cannot be decoded there") from error
    raise UnreadableSource("the video has no such frame")


def _demuxer(head: bytes, known: Companion) -> str:
    """Forced, so that no bytes choose one that opens other files."""
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"):
        return "mov"
    if head[:1] == b"\x47" and head[188:189] == b"\x47":
        return "mpegts"
    if head[:4] == b"\0\0\x01\xba":
        return "mpeg"
    codec = by_uid(known.transfer_syntax_uid).codec
    names = {"mpeg2video": "mpegvideo", "h264": "h264", "hevc": "hevc"}
    if codec not in names:
        raise UnsupportedSource("this stream's container is not known")
    return names[codec]


def _rate(stream: VideoStream, known: Companion) -> Fraction:
    """Frames per second: by the header's Frame Time where there is one, for containers only guess."""
    for text in known.dataset.get("00181063", {}).get("Value", ()):
        if float(text) > 0:
            near = Fraction(1000 / float(text)).limit_denominator(1001)
            measured = stream.average_rate or near
            return measured if abs(measured - near) < near / 100 else near
    return stream.average_rate or stream.guessed_rate or Fraction(25)


def _sought(
    container: InputContainer, stream: VideoStream, number: int, rate: Fraction, back: float
) -> VideoFrame | None:
    """The frame of a number (from 0): by its time where the stream has times, else by counting. None: not so.

    ``back``: seconds before its time where decoding begins; infinite: at the start, and then the nearest one will do.
    """
    if stream.start_time is None or stream.time_base is None or container.format.name in _CLOCKLESS:
        return _counted(container, stream, number)
    half = 1 / rate / stream.time_base / 2
    wanted = stream.start_time + 2 * half * number
    begin = 0 if math.isinf(back) else int(wanted - half - Fraction(back) / stream.time_base)
    if begin > stream.start_time and not math.isinf(back):
        container.seek(begin, stream=stream, backward=True)
    last = None
    for frame in container.decode(stream):
        last = frame if frame.pts is not None else last
        if last is not None and last.pts is not None and last.pts >= wanted - half:
            break
    near = 4 * half if math.isinf(back) else half
    return last if last is not None and last.pts is not None and abs(last.pts - wanted) <= near else None


def _counted(container: InputContainer, stream: VideoStream, number: int) -> VideoFrame | None:
    return next((frame for count, frame in enumerate(container.decode(stream)) if count == number), None)


def _rgb(frame: VideoFrame, stream: VideoStream) -> Image.Image:
    """By the tagged matrix and range, else by the sizes that players go by; as wide as its pixels' aspect makes it."""
    high = frame.width >= _HD_WIDTH or frame.height > _HD_HEIGHT
    matrix = _MATRICES.get(int(frame.colorspace), "ITU709" if high else "ITU601")
    full = int(frame.color_range) == _FULL or frame.format.name.startswith("yuvj")
    made = frame.reformat(
        format="rgb24",
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range="JPEG" if full else "MPEG",
        dst_color_range="JPEG",
        interpolation="BICUBIC",
    )
    image = Image.fromarray(made.to_ndarray())
    aspect = stream.sample_aspect_ratio or Fraction(1)
    wide = round(image.width * aspect)
    return image if aspect == 1 or not 0 < wide <= 4 * image.width else image.resize((wide, image.height))
