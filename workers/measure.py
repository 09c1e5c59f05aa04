"""Compare two plain video files frame by frame: scores, or a reason why they cannot be compared."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from common.errors import CinefarmError, InputError, PolicyError, ProgramFailed, UnreadableSource, UnsupportedSource
from common.ffmpeg import allocator, ffmpeg_program
from common.orders import Pooled
from common.process import Limits, call, run
from common.recipes import Figure
from workers.alignment import Alignment, compare, read_signature, read_signatures
from workers.ffmpeg.colour import MATRIX_CODES, Model, samples
from workers.ffmpeg.command import digest_command, measure_command, signatures_command
from workers.ffmpeg.conversion import Conversion, Picture, conversion
from workers.ffmpeg.measurement import Measurement, too_small_for
from workers.ffmpeg.parse import Scores, read_scores
from workers.measuring import LOG
from workers.quality import check_measurable, pool
from workers.threads import cores

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


FAMILIES = {
    "vmaf": ("vmaf",),
    "psnr": ("psnr_y", "psnr_cb", "psnr_cr"),
    "ssim": ("ssim",),
    "ms_ssim": ("ms_ssim",),
    "vmaf_neg": ("vmaf_neg",),
    "cambi": ("cambi", "cambi_source", "cambi_added"),
    "psnr_rgb": ("psnr_rgb",),
}
"""What a person can ask for → the metrics that it brings."""

USUAL = ("vmaf", "psnr", "ssim")


@dataclass(frozen=True)
class Comparison:
    """What two files were found to be."""

    pooled: dict[str, Pooled]
    frames: int
    alignment: Alignment
    identical: bool  # picture by picture, to the bit

    def json(self) -> dict[str, Any]:
        """The pooled figures of each metric, and beside them what was found about the frames."""
        figures = {metric: pooled.model_dump(exclude_none=True) for metric, pooled in self.pooled.items()}
        return {**figures, "alignment": self.alignment.json(), "identical": self.identical}


def measure(
    reference: Path, distorted: Path, *, metrics: Sequence[str] = USUAL, threads: int | None = None
) -> Comparison:
    """Pooled scores of ``distorted`` against ``reference``, once every frame is proven to stand beside its own.

    Both are compared as they are when their samples are of one kind; else each is brought to the form in which an
    encoder would have been given it (workers.ffmpeg.conversion). ``metrics``: of FAMILIES; ``threads``: of each decoder and of
    libvmaf, None: as many as there are cores.

    Raises:
        PolicyError: a metric is none of FAMILIES.
        NotComparable: sizes, rates, frame counts, colours or frames differ; the message says how.
        UnsupportedSource: colour or size is none that can be measured.
        UnreadableSource: one of them cannot be read.
    """
    wanted = _wanted(metrics)
    files = reference.resolve(), distorted.resolve()
    first, second = call(_look_at_both, files, limits=_LIMITS, what="reading the two files")
    shapes = _shapes(first, second)
    size = shapes[0].width, shapes[0].height
    workers = threads or cores(size[0] * size[1])
    with tempfile.TemporaryDirectory(prefix="cinefarm-measure-") as folder:
        scratch = Path(folder)
        if first.frame_count != second.frame_count:
            raise _unequal(files, shapes, (first, second), workers, scratch)
        figures = frozenset(Figure(name) for name in wanted if name not in USUAL)
        for figure, why in too_small_for(*size).items():
            if figure in figures:
                raise UnsupportedSource(why, hint="Leave that metric out.")
        measurement = Measurement(LOG, workers, figures, signatures=True)
        alike = _form(first) == _form(second) and samples(first.picture.pixel_format).model is not Model.RGB
        _run(measure_command(ffmpeg_program(), files, shapes, measurement, as_they_are=alike), scratch)
        alignment = compare(*read_signatures(scratch / measurement.signature_file, first.frame_count))
        if alignment.shifts:
            raise NotComparable(f"{alignment.word}: no score would mean anything", hint=_MEND)
        scores = read_scores(scratch, measurement, first.frame_count)
        identical = alike and _perfect(scores) and _same_pictures(files, workers, scratch)
    shown = {metric for name in wanted for metric in FAMILIES[name]}
    pooled = pool({metric: values for metric, values in scores.items() if metric in shown}, first.picture.frame_rate)
    return Comparison(pooled, first.frame_count, alignment, identical)


_MEND = "Cut or pad one of the files, so that frame n shows the same picture in both."


def _wanted(metrics: Sequence[str]) -> tuple[str, ...]:
    names = tuple(FAMILIES) if "all" in metrics else tuple(dict.fromkeys(metrics)) or USUAL
    if unknown := [name for name in names if name not in FAMILIES]:
        raise PolicyError(f"{unknown[0]} is no metric", hint=f"There are {', '.join(FAMILIES)}; or all.")
    return names


def _run(argv: list[str], scratch: Path) -> None:
    try:
        run(argv, name="ffmpeg", limits=_LIMITS, cwd=scratch, environment=allocator())
    except ProgramFailed as error:
        raise UnreadableSource(f"the two files cannot be decoded side by side: {error}") from error


def _unequal(
    files: tuple[Path, Path],
    shapes: tuple[Conversion, Conversion],
    subjects: tuple[Subject, Subject],
    threads: int,
    scratch: Path,
) -> NotComparable:
    """The refusal of files of different length, with the place where one of them loses or gains a frame, where that shows."""
    counts = [one.frame_count for one in subjects]
    message = f"the reference's frame count is {counts[0]} and the other's is {counts[1]}"
    logs = "reference.luma", "result.luma"
    try:
        _run(signatures_command(ffmpeg_program(), files, shapes, logs, threads), scratch)
        found = compare(*(read_signature(scratch / log) for log in logs))
    except CinefarmError:  # what cannot be decoded has no such place
        return NotComparable(message, hint=_MEND)
    return NotComparable(f"{message}; {found.word}" if found.shifts else message, hint=_MEND)


def _perfect(scores: Scores) -> bool:
    """Whether the scores allow that the two are equal: libvmaf ends PSNR at 60 dB of 8 bits, 72 of 10."""
    return all(float(values.min()) >= 60 for metric, values in scores.items() if metric.startswith("psnr_"))


def _same_pictures(files: tuple[Path, Path], threads: int, scratch: Path) -> bool:
    """Whether both decode to the same samples, by the SHA-256 of all of them."""
    digests = []
    for path in files:
        lines: list[str] = []
        argv = digest_command(ffmpeg_program(), path, threads)
        run(argv, name="ffmpeg", limits=_LIMITS, cwd=scratch, on_line=lines.append)
        digests.append(lines)
    return digests[0] == digests[1] and bool(digests[0])


def _shapes(first: Subject, second: Subject) -> tuple[Conversion, Conversion]:
    """How each file comes to a form in which they can be compared. Raises: NotComparable, UnsupportedSource."""
    rates = first.picture.frame_rate, second.picture.frame_rate
    if abs(rates[0] - rates[1]) > rates[0] * _RATE_TOLERANCE:
        raise NotComparable(
            f"the reference's frame rate is {float(rates[0]):.6g} and the other's is {float(rates[1]):.6g}"
        )
    shapes = conversion(first.picture), conversion(second.picture)
    for what, a, b in (
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


def _look_at_both(files: tuple[Path, Path]) -> tuple[Subject, Subject]:
    """In one child. Raises: UnreadableSource, with the file's part in the comparison."""
    subjects = []
    for path, name in zip(files, ("reference", "distorted file"), strict=True):
        try:
            subjects.append(look(path))
        except UnreadableSource as error:
            raise UnreadableSource(f"the {name}: {error.message}") from error
    return subjects[0], subjects[1]


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
