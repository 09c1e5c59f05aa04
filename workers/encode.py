"""Encode and measure in one FFmpeg run, or give a bitstream a new container; nothing unproven gets its final name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import CinefarmError, HardwareFailed, InternalFault, ProgramFailed, UnreadableSource
from common.ffmpeg import allocator, ffmpeg_program
from common.handling import RatePolicy, treated
from common.media import Description, Scan
from common.orders import Path as Way
from common.orders import Plan
from common.process import Finished, Limits, call, run
from common.recipes import Audio, Recipe
from common.settings import Settings
from common.stereo import packing
from common.targets import check_target, coded_aspect
from workers.alignment import Alignment, compare, read_signatures
from workers.ffmpeg import command
from workers.ffmpeg.conversion import Conversion, Picture, conversion
from workers.ffmpeg.encoders import CRASHES, blaming_device, check_level, device_fault, on_device
from workers.ffmpeg.parse import Progress, ProgressReader, Scores, parse_places, read_scores
from workers.ffmpeg.parse_watch import read_watched
from workers.ffmpeg.treatment import PLACES, Shown, runs
from workers.measuring import measurement_of
from workers.pictures import PictureLook, compare_runs
from workers.quality import check_measurable
from workers.search import Searched
from workers.threads import cores

if TYPE_CHECKING:
    from workers.sources import MediaInput

Report = Callable[[Progress], None]
Asked = Callable[[], bool]

_SLACK_BYTES = 64 << 20  # container, sound and score log beside the video
_INSPECT_SECONDS = 600.0  # reading a finished file once, on a slow disk
_SOURCE_AT_FAULT = (  # how FFmpeg says it: AVERROR_INVALIDDATA, a playlist in disguise, -max_error_rate
    "Invalid data found when processing input",
    "Format not on whitelist",
    "Decode error rate",
)
ADDRESS = re.compile(r" @ 0x[0-9a-f]+")  # of an object in FFmpeg's memory: other in every run
_X264_MARK = b"x264 - core "


@dataclass(frozen=True)
class Written:
    """What a finished file holds."""

    frame_count: int
    codec: str
    width: int
    height: int
    encoder_version: str = ""


@dataclass(frozen=True)
class Wrapped:
    """A bitstream in a new container."""

    path: Path
    size_bytes: int
    frame_count: int
    seconds: float
    argv: tuple[str, ...]  # without paths


@dataclass(frozen=True)
class Encoded(Wrapped):
    """An encoded and measured file."""

    scores: Scores
    alignment: Alignment
    encoder_version: str
    complaints: str  # what the source's decoder said against it; empty for a clean source
    pictures: PictureLook | None = None
    stride: int = 1  # each so-many-th frame was measured
    mapping: tuple[Shown, ...] = ()  # a rate that was made constant: which frames are shown how often
    searched: Searched | None = None  # how its quality number was found; None: it was given
    cpu_seconds: float = 0.0  # FFmpeg's, all threads together


def encode(
    media: MediaInput,
    description: Description,
    plan: Plan,
    output: Path,
    scratch: Path,
    *,
    settings: Settings,
    progress: Report | None = None,
    cancelled: Asked | None = None,
    device_decodes: bool = True,
) -> Encoded:
    """Encode by ``plan.recipe`` and measure each frame against what the encoder was given. ``device_decodes``: False keeps a
    device from decoding its own pictures.

    Raises:
        NoLegalPath: the recipe's target does not hold this source.
        UnsupportedSource: colour, encoder or size is none that we can encode and measure.
        UnreadableSource: fewer or more frames came out of the decoder than were counted before.
        InternalFault: output or measurement is not complete.
        HardwareFailed: the recipe's device is absent, broke, or made nothing usable; the CPU can try.
        ResourceLimit, LeaseLost, ProgramFailed: see common.process.run.
    """
    recipe = plan.recipe
    if recipe is None:
        raise InternalFault("an encode was planned without a recipe")
    video = treated(description.video, plan.handling)
    sound = plan.audio is Audio.KEEP and bool(description.audio)
    shape = shape_of(media, description, plan, recipe, keep_start=sound)
    check_measurable(shape.width, shape.height)
    check_level(shape.width, shape.height, video.frame_rate, recipe, interlaced=video.scan is not Scan.PROGRESSIVE)
    check_target(video, recipe)
    aside = scratch / "encoded"
    size = shape.width, shape.height
    measurement = measurement_of(plan.gate, size, cores(size[0] * size[1]), signatures=True, watched=True)
    argv = command.encode_command(
        ffmpeg_program(),
        replace(media, frame_rate=video.frame_rate),
        description.model_copy(update={"video": video}),
        shape,
        recipe,
        plan.audio,
        output=aside,
        measurement=measurement,
        render_node=settings.render_node,
        device_decodes=device_decodes,
    )
    limits = limits_of(recipe, video.frame_count, video.frame_rate, settings)
    reader = ProgressReader(progress)
    with temporary(aside, *(scratch / name for name in measurement.files), scratch / PLACES), blaming_device(recipe):
        finished = run_ffmpeg(argv, media, limits, reader, cancelled, scratch, recipe)
        mapping = _mapping(scratch / PLACES, media.frame_count, description, plan)
        frames = sum(run.frames for run in mapping) if mapping else media.frame_count
        encoded = reader.last.frame if reader.last else 0
        if encoded != frames and on_device(recipe):
            raise HardwareFailed(f"{recipe.encoder} gave {encoded} of {frames} frames")
        if encoded != frames:
            raise UnreadableSource(f"the source was counted as {frames} frames, and its decoder gave {encoded}")
        scores = read_scores(scratch, measurement, frames)
        pictures = compare_runs(*read_watched(scratch, measurement, frames), video.frame_rate)
        alignment = compare(*read_signatures(scratch / measurement.signature_file, frames))
        written = proven(aside, frames, (shape.width, shape.height), settings, decode=False)
        aside.replace(output)
    return Encoded(
        path=output,
        size_bytes=output.stat().st_size,
        frame_count=written.frame_count,
        seconds=finished.seconds,
        argv=public(argv, media.args[-1], str(aside)),
        scores=scores,
        pictures=pictures,
        stride=measurement.stride,
        alignment=alignment,
        encoder_version=written.encoder_version,
        complaints=ADDRESS.sub("", finished.stderr_tail),
        mapping=mapping,
        cpu_seconds=finished.cpu_seconds,
    )


def _mapping(log: Path, frames: int, description: Description, plan: Plan) -> tuple[Shown, ...]:
    """How often each source frame is shown where the rate was made constant, as it was done; empty where it was not.

    Raises:
        UnreadableSource: fewer or more frames came out of the decoder than were counted before.
    """
    steady = description.video.steady
    if plan.handling.rate is not RatePolicy.CONSTANT or steady is None:
        return ()
    places = parse_places(log)
    if len(places) != frames:
        raise UnreadableSource(f"the source was counted as {frames} frames, and its decoder gave {len(places)}")
    return runs(places, steady.hold)


def limits_of(recipe: Recipe, frames: int, rate: Fraction, settings: Settings) -> Limits:
    """What an encode may use. A GPU driver reserves addresses without end, so there the memory really written is limited."""
    duration, memory = frames / rate, settings.child_memory_bytes
    return Limits(
        seconds=max(settings.transcode_minimum_seconds, float(duration) / settings.transcode_speed_floor),
        memory_bytes=None if on_device(recipe) else memory,
        output_bytes=int(recipe.max_rate_kbit * 125 * (duration + 1)) + frames * 400 + _SLACK_BYTES,
        data_bytes=memory if on_device(recipe) else None,
    )


def rewrap(
    media: MediaInput,
    description: Description,
    plan: Plan,
    output: Path,
    scratch: Path,
    *,
    settings: Settings,
    progress: Report | None = None,
    cancelled: Asked | None = None,
) -> Wrapped:
    """Put the same video bitstream into a new container, by ``plan.path``: sound copied or dropped, or made legal.

    Raises: like encode.
    """
    video, aside = description.video, scratch / "rewrapped"
    if plan.path is Way.REAUDIO:
        argv = command.reaudio_command(ffmpeg_program(), media, description, output=aside)
    else:
        argv = command.remux_command(ffmpeg_program(), media, description, plan.audio, output=aside)
    limits = Limits(
        seconds=max(settings.transcode_minimum_seconds, video.duration_ms / 1000),
        memory_bytes=settings.child_memory_bytes,
        output_bytes=description.size_bytes * 5 // 4 + _SLACK_BYTES,  # transport packets of small frames are stuffed
    )
    # a field of an interlaced picture can be a sample of its own: only a decoder counts frames then
    decode = video.scan is not Scan.PROGRESSIVE
    with temporary(aside):
        finished = run_ffmpeg(argv, media, limits, ProgressReader(progress), cancelled, scratch)
        written = proven(aside, video.frame_count, (video.width, video.height), settings, decode=decode)
        aside.replace(output)
    return Wrapped(
        output, output.stat().st_size, written.frame_count, finished.seconds, public(argv, media.args[-1], str(aside))
    )


@contextmanager
def temporary(*paths: Path) -> Iterator[None]:
    """Leave none of these files behind, whatever happens."""
    try:
        yield
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


def run_ffmpeg(
    argv: list[str],
    media: MediaInput,
    limits: Limits,
    reader: ProgressReader,
    cancelled: Asked | None,
    scratch: Path,
    recipe: Recipe | None = None,
) -> Finished:
    """Run FFmpeg on a source in the scratch folder; the source's own faults are told from the program's.

    Raises:
        UnreadableSource: the source is at fault.
        CinefarmError: see common.process.run.
    """
    try:
        return run(
            argv,
            name="ffmpeg",
            limits=limits,
            feed=media.feed,
            on_line=reader.line,
            cancelled=cancelled,
            cwd=scratch,
            environment=allocator(),
        )
    except ProgramFailed as error:
        if recipe is not None and (fault := device_fault(recipe, error)):
            raise fault from error
        if any(words in error.stderr_tail for words in _SOURCE_AT_FAULT):
            raise UnreadableSource("the source is no video that can be decoded") from error
        if -error.exit_code in CRASHES:
            raise UnreadableSource(f"the decoder crashed on this source (exit code {error.exit_code})") from error
        raise


def proven(path: Path, frames: int, size: tuple[int, int], settings: Settings, *, decode: bool) -> Written:
    """Count what a finished file holds; in a child, since a rewrapped bitstream is as hostile as its source."""
    limits = Limits(_INSPECT_SECONDS, settings.child_memory_bytes)
    try:
        written = call(inspect, path, decode, limits=limits, what="reading the output back")
    except CinefarmError as error:
        raise InternalFault(f"the output cannot be read back: {error}") from error
    if written.frame_count != frames or (written.width, written.height) != size:
        raise InternalFault(
            f"the output holds {written.frame_count} frames of {written.width}×{written.height}, "
            f"not {frames} of {size[0]}×{size[1]}"
        )
    return written


def inspect(path: Path, decode: bool = False) -> Written:
    """Count the video frames of a file: its packets, or with ``decode`` its pictures. Bytes are streamed.

    Raises:
        UnreadableSource: it does not open, holds no video, or breaks off.
    """
    import av

    try:
        with av.open(str(path), metadata_errors="replace") as container:
            stream = container.streams.video[0]
            context = stream.codec_context
            count, version = 0, ""
            for packet in container.demux(stream):
                if packet.size and not count:
                    version = _x264_version(bytes(packet))
                count += len(packet.decode()) if decode else int(packet.size > 0)
            return Written(count, context.name, context.width, context.height, version)
    except (av.FFmpegError, IndexError) as error:
        raise UnreadableSource(f"video cannot be read: {type(error).__name__}") from error


def _x264_version(first: bytes) -> str:
    """x264 signs its first picture with an SEI message: 'x264 - core 165 …'."""
    at = first.find(_X264_MARK)
    if at < 0:
        return ""
    words = first[at : at + 64].decode("ascii", "replace").split()
    return " ".join(("x264", *words[2:4]))


def shape_of(
    media: MediaInput, description: Description, plan: Plan, recipe: Recipe, *, keep_start: bool = False
) -> Conversion:
    """What the encoder gets to see: the source's pictures, treated and converted for this recipe. Raises: UnsupportedSource."""
    video = treated(description.video, plan.handling)
    return conversion(
        picture_of(media, description),
        keep_start=keep_start,
        bits=recipe.bits,
        pixel_aspect=coded_aspect(video, recipe.transfer_syntax_uid),
        packing=packing(video, recipe),
        handling=plan.handling,
    )


def picture_of(media: MediaInput, description: Description) -> Picture:
    """The pictures FFmpeg gets to see: the described stream's timing and turn, the fed samples' form."""
    return replace(
        Picture.of(description.video),
        width=media.width,
        height=media.height,
        frame_rate=media.frame_rate,
        pixel_format=media.pixel_format,
        full_range=media.full_range,
        matrix=media.matrix,
    )


def public(argv: list[str], *places: str) -> tuple[str, ...]:
    """A command line for the evidence; ``places`` of this worker, perhaps a source's own name, are left out."""
    return tuple("<file>" if word in places else word for word in ("ffmpeg", *argv[1:]))


@cache
def tool_versions() -> dict[str, str]:
    """Names and versions of the tools whose change can change a result; part of every cache key and evidence."""
    import av
    import numpy

    from common import __version__

    lines: list[str] = []
    run([ffmpeg_program(), "-version"], name="ffmpeg", limits=Limits(seconds=60), on_line=lines.append)
    return {"cinefarm": __version__, "ffmpeg": lines[0].split()[2], "pyav": av.__version__, "numpy": numpy.__version__}
