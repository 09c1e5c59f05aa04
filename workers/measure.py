"""Compare two plain video files frame by frame: PSNR, SSIM and VMAF, or a reason why they cannot be compared."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from common.errors import InputError, ProgramFailed, UnreadableSource
from common.ffmpeg import ffmpeg_program
from common.process import Limits, call, run
from workers.encode import cores
from workers.ffmpeg.colour import MATRIX_CODES, Model, samples
from workers.ffmpeg.command import measure_command
from workers.ffmpeg.conversion import Conversion, Picture, conversion
from workers.ffmpeg.parse import read_scores
from workers.measuring import measurement_of
from workers.quality import check_measurable, pool

_LIMITS = Limits(seconds=24 * 3600, memory_bytes=8 << 30)  # a person waits: long films are their choice
_RANGES = {1: False, 2: True}  # libavutil's AVColorRange
_RATE_TOLERANCE = Fraction(1, 2000)  # containers round their clocks; 29.97 and 30 differ by 1/1000


class NotComparable(InputError):
    """The two files do not show the same frames, so no score would mean anything."""


@dataclass(frozen=True)
class Subject:
    """One of the two files."""

    picture: Picture
    frame_count: int


def measure(reference: Path, distorted: Path) -> dict[str, dict[str, float]]:
    """Pooled scores of ``distorted`` against ``reference``: ``{"vmaf": {"mean": …, "min": …, …}, …}``.

    Both are compared as they are when their samples are of one kind; else each is brought to the form in which an
    encoder would have been given it (workers.ffmpeg.conversion).

    Raises:
        NotComparable: sizes, rates, frame counts or colours differ; the message says how.
        UnsupportedSource: colour or size is none that can be measured.
        UnreadableSource: one of them cannot be read.
    """
    first = call(look, reference, limits=_LIMITS, what="reading the reference")
    second = call(look, distorted, limits=_LIMITS, what="reading the distorted file")
    shapes = _shapes(first, second)
    with tempfile.TemporaryDirectory(prefix="cinefarm-measure-") as scratch:
        size = first.picture.width, first.picture.height
        measurement = measurement_of(None, size, cores(size[0] * size[1]))
        files = reference.resolve(), distorted.resolve()
        alike = _form(first) == _form(second) and samples(first.picture.pixel_format).model is not Model.RGB
        argv = measure_command(ffmpeg_program(), files, shapes, measurement, as_they_are=alike)
        try:
            run(argv, name="ffmpeg", limits=_LIMITS, cwd=Path(scratch))
        except ProgramFailed as error:
            raise UnreadableSource(f"the two files cannot be decoded side by side: {error}") from error
        scores = read_scores(Path(scratch), measurement, first.frame_count)
    return {
        metric: figures.model_dump(exclude_none=True)
        for metric, figures in pool(scores, first.picture.frame_rate).items()
    }


def _shapes(first: Subject, second: Subject) -> tuple[Conversion, Conversion]:
    """How each file comes to a form in which they can be compared. Raises: NotComparable, UnsupportedSource."""
    rates = first.picture.frame_rate, second.picture.frame_rate
    if abs(rates[0] - rates[1]) > rates[0] * _RATE_TOLERANCE:
        raise NotComparable(
            f"the reference's frame rate is {float(rates[0]):.6g} and the other's is {float(rates[1]):.6g}"
        )
    shapes = conversion(first.picture), conversion(second.picture)
    for what, a, b in (
        ("frame count", str(first.frame_count), str(second.frame_count)),
        ("size", f"{shapes[0].width}×{shapes[0].height}", f"{shapes[1].width}×{shapes[1].height}"),
        ("colour matrix", shapes[0].tags.matrix, shapes[1].tags.matrix),
    ):
        if a != b:
            raise NotComparable(f"the reference's {what} is {a} and the other's is {b}")
    check_measurable(shapes[0].width, shapes[0].height)
    return shapes


def _form(subject: Subject) -> tuple[object, ...]:
    """What must agree for two files to be compared sample by sample."""
    picture = subject.picture
    return picture.pixel_format, picture.width, picture.height, picture.full_range, picture.matrix


def look(path: Path) -> Subject:
    """What a plain file shows: its first video stream, with every frame counted by its packets.

    Raises:
        UnreadableSource: it does not open, or holds no video.
    """
    import av
    from av.stream import Disposition

    try:
        with av.open(str(path), metadata_errors="replace") as container:
            stream = next(one for one in container.streams.video if not one.disposition & Disposition.attached_pic)
            context = stream.codec_context
            count = sum(1 for packet in container.demux(stream) if packet.size)
            rate = stream.average_rate or stream.guessed_rate
            picture = Picture(
                width=context.width,
                height=context.height,
                pixel_format=context.pix_fmt or "",
                frame_rate=Fraction(rate or 0),
                full_range=_RANGES.get(int(context.color_range)),
                matrix=MATRIX_CODES.get(int(context.colorspace), f"code {int(context.colorspace)}"),
                pixel_aspect=Fraction(stream.sample_aspect_ratio or 1) or Fraction(1),
                chroma_centred=context.name == "mjpeg",
            )
    except (av.FFmpegError, StopIteration) as error:
        raise UnreadableSource(f"video cannot be read: {type(error).__name__}") from error
    if not count or not picture.frame_rate:
        raise UnreadableSource("the file holds no video frames")
    return Subject(picture, count)
