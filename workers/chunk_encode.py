"""How one part of a long video is read and encoded: exactly its frames, measured as in the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

from common.errors import InternalFault, UnreadableSource
from common.ffmpeg import ffmpeg_program
from common.media import Description, Kind, Scan
from common.orders import Part, Plan, Timeline
from common.process import Limits
from common.recipes import Recipe
from common.settings import Settings
from common.stereo import packing
from workers.alignment import compare, read_signatures
from workers.cuts import Source, opened
from workers.encode import ADDRESS, Report, picture_of, public, run_ffmpeg, temporary
from workers.ffmpeg.chunk_command import chunk_command
from workers.ffmpeg.conversion import Conversion, conversion
from workers.ffmpeg.encoders import check_level
from workers.ffmpeg.parse import ProgressReader, Scores, read_scores
from workers.measuring import measurement_of
from workers.quality import check_measurable
from workers.search import Searched
from workers.sources import MediaInput, open_source

STREAM = "stream.nut"

SEEK_BACK_SECONDS = (0, 2, 10, 60)
"""How far before a key frame the search for it begins, in turn: transport streams are sought by guessing at byte positions."""

_SLACK_BYTES = 16 << 20  # container and score log beside the stream
_X264_MARK = "x264 - core "


@dataclass(frozen=True)
class EncodedChunk:
    """A chunk's stream and its frames' scores, without those of the neighbours."""

    path: Path
    scores: Scores
    encoder: str
    argv: tuple[str, ...]
    complaints: str
    seconds: float = 0.0  # wall time
    cpu_seconds: float = 0.0  # FFmpeg's, all threads together
    searched: Searched | None = None  # how its quality number was found; None: it was given


def open_part(
    source: Source, description: Description, part: Part, timeline: Timeline | None, scratch: Path
) -> MediaInput:
    """How FFmpeg reads a part of a source, neighbours included: frames as ever, coded video as packets in a pipe.

    Raises:
        CinefarmError: see workers.sources.open_source.
    """
    if description.kind is Kind.DICOM_FRAMES:
        whole = open_source(source, description, scratch) if isinstance(source, Path) else None
        if whole is None or whole.feed is None:
            raise InternalFault("frames are fed from a local file")
        begin, end = part.first - part.lead_in, part.last + part.lead_out
        return replace(whole, feed=partial(cast(Any, whole.feed), first=begin, last=end), frame_count=part.frames_read)
    if timeline is None:
        raise InternalFault("coded video is cut by its clock")
    video = description.video
    return MediaInput(
        # copyts: the times say which frames are ours, so FFmpeg shall not move them to begin at zero
        args=("-protocol_whitelist", "pipe", "-f", "nut", "-copyts", "-noautorotate", "-i", "pipe:0"),
        feed=partial(feed_packets, source, description, part, timeline),
        width=video.width,
        height=video.height,
        frame_count=part.frames_read,
        frame_rate=video.frame_rate,
        pixel_format=video.pixel_format,
        full_range=video.full_range,
        matrix=video.matrix,
        seekable=False,
    )


def feed_packets(source: Source, description: Description, part: Part, timeline: Timeline, out: BinaryIO) -> None:
    """Write the packets of a part to ``out``, their times shifted; reads from its key frame to its last frame only.

    Raises:
        UnreadableSource: the source is not what was indexed.
    """
    import av

    with opened(source, description) as (container, stream), av.open(out, "w", format="nut") as pipe:
        copy = pipe.add_stream_from_template(stream, opaque=True)
        copy.time_base = timeline.time_base
        for number, packet in enumerate(_range(container, stream, part)):
            packet.pts += timeline.shift
            # NUT carries no decoding times, but its muxer wants some: ascending, and before every pts by the shift
            packet.dts = number
            packet.stream = copy
            pipe.mux_one(packet)


def _range(container: Any, stream: Any, part: Part) -> Iterator[Any]:
    """Packets from the part's key frame until everything shown up to its last frame is there."""
    packets = container.demux(stream) if part.read_from is None else _from_key(container, stream, part.read_from)
    for packet in packets:
        if packet.dts is not None and part.last_pts is not None and packet.dts > part.last_pts:
            return  # no packet is shown before its decoding time
        if packet.size:
            yield packet


def _from_key(container: Any, stream: Any, key: int) -> Iterator[Any]:
    """Packets from the one key frame on. Where a container without an index is sought too late, the search begins earlier.

    Raises:
        UnreadableSource: it is not there: the source is not what was indexed.
    """
    for back in SEEK_BACK_SECONDS:
        container.seek(key - int(back / stream.time_base), stream=stream, backward=True)
        packets = container.demux(stream)
        for packet in packets:
            if packet.is_keyframe and packet.pts == key:
                yield packet
                yield from packets
                return
            if packet.dts is not None and packet.dts > key:
                break
    raise UnreadableSource("the key frame that was indexed is not found again")


def encode_chunk(
    media: MediaInput,
    description: Description,
    plan: Plan,
    part: Part,
    timeline: Timeline | None,
    scratch: Path,
    *,
    settings: Settings,
    progress: Report | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> EncodedChunk:
    """Encode by ``plan.recipe`` and measure; the frames are counted three times: encoded, measured, written.

    Raises: like workers.encode.encode.
    """
    recipe = plan.recipe
    if recipe is None:
        raise InternalFault("a chunk was planned without a recipe")
    shape = chunk_shape(media, description, recipe)
    check_measurable(shape.width, shape.height)
    scan = description.video.scan
    check_level(shape.width, shape.height, media.frame_rate, recipe, interlaced=scan is not Scan.PROGRESSIVE)
    output = scratch / STREAM
    # of every frame: a stride would begin anew in each chunk
    measurement = measurement_of(plan.gate, (shape.width, shape.height), recipe.threads, strided=False, signatures=True)
    argv = chunk_command(
        ffmpeg_program(), media, description, shape, recipe, part, timeline, output=output, measurement=measurement
    )
    duration = part.frames / media.frame_rate
    limits = Limits(
        seconds=max(settings.transcode_minimum_seconds, float(duration) / settings.transcode_speed_floor),
        memory_bytes=settings.child_memory_bytes,
        output_bytes=int(recipe.max_rate_kbit * 125 * (duration + 1)) + part.frames * 400 + _SLACK_BYTES,
    )
    reader = ProgressReader(progress)
    with temporary(*(scratch / name for name in measurement.files)):
        finished = run_ffmpeg(argv, media, limits, reader, cancelled, scratch)
        encoded = reader.last.frame if reader.last else 0
        if encoded != part.frames:
            raise UnreadableSource(f"{part.frames} frames were indexed, and the decoder gave {encoded}")
        measured = read_scores(scratch, measurement, part.frames_read)
        signatures = read_signatures(scratch / measurement.signature_file, part.frames_read)
        mine = slice(part.lead_in, part.lead_in + part.frames)
        if misses := compare(*(each[mine] for each in signatures)).misses:  # no finer number would mend that
            raise InternalFault(f"a chunk is not aligned with its source: {misses[0]}")
    return EncodedChunk(
        path=output,
        scores={metric: values[mine] for metric, values in measured.items()},
        encoder=_signature(output),
        argv=public(argv, str(output)),
        complaints=ADDRESS.sub("", finished.stderr_tail),
        seconds=finished.seconds,
        cpu_seconds=finished.cpu_seconds,
    )


def chunk_shape(media: MediaInput, description: Description, recipe: Recipe) -> Conversion:
    """What the encoder gets to see of a chunk. Raises: UnsupportedSource."""
    return conversion(picture_of(media, description), bits=recipe.bits, packing=packing(description.video, recipe))


def _signature(path: Path) -> str:
    """x264's own word on its version, in the first picture."""
    with path.open("rb") as stream:
        head = stream.read(1 << 16)
    _, mark, rest = head.partition(_X264_MARK.encode())
    return f"x264 core {rest[:16].decode('ascii', 'replace').split()[0]}" if mark else ""
