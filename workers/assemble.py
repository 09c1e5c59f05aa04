"""Many chunks become one video: packets joined without decoding, times exact, one SPS and PPS, sound carried once.

Then the result goes the way of every encode: judged by all its frames, packaged, checked, with its evidence.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InternalFault, StoreFault
from common.ffmpeg import ffmpeg_program
from common.media import Description
from common.orders import AssembleOrder, ChunkDone, ChunkRef, Plan, Timeline, TranscodeDone
from common.process import Limits, call
from common.recipes import Audio
from common.settings import Settings
from common.store import ObjectStore
from workers import transcode
from workers.attempt import Attempt
from workers.chunks import chunk_scores, found
from workers.colour_check import check_colours
from workers.encode import limits_of, proven, run_ffmpeg
from workers.ffmpeg.command import sound_command
from workers.ffmpeg.conversion import VARIABLE_RATE_CLOCK
from workers.ffmpeg.parse import ProgressReader, Scores
from workers.find_region import given_gate
from workers.join import Join, join
from workers.local import local_source
from workers.looks import BY_CHUNKS, look_at
from workers.payload import Payload, Taken
from workers.quality import judge, pool
from workers.sources import open_source
from workers.stitch import ticks
from workers.worst import Compared, draw_worst

COPY_FLOOR_BYTES_PER_SECOND = 5e6
"""Slowest believable disk and store while chunks are joined; the time limit follows from it."""

_OUTPUT, _SOUND = "output", "sound.mp4"


def assemble(
    order: AssembleOrder, store: ObjectStore, scratch: Path, settings: Settings, attempt: Attempt
) -> TranscodeDone:
    """Join the chunks, or find them joined; then judge, package and check.

    Raises:
        StoreFault: a chunk is not in the store any more.
        ConformanceBroken: the chunks do not make one legal stream: another header, or a buffer that runs dry.
        CinefarmError: see workers.transcode.
    """
    work = order.transcode
    if made := transcode.earlier(work, store):
        return made
    parts = [_chunk(ref, store) for ref in order.chunks]
    plan, description = work.plan, work.description
    if plan.gate is None or plan.recipe is None:
        raise InternalFault("an assembly was planned without recipe or gate")
    _check_whole(order.chunks, description.video.frame_count)
    with local_source(store, work.source_key, scratch, attempt.check) as source:
        transcode.check_unchanged(source, description)
        output = scratch / _OUTPUT
        _join(order, store, source, output, scratch, settings, attempt)
        attempt.check()
        limits = limits_of(plan.recipe, description.video.frame_count, description.video.frame_rate, settings)
        media = open_source(source, description, scratch)
        colours = check_colours(media, description, plan, output, scratch, limits=limits, cancelled=attempt.cancelled)
        scores = merged([chunk_scores(ref.output_prefix, store, scratch) for ref in order.chunks])
        pooled = pool(scores, order.transcode.description.video.frame_rate)
        gate, region = given_gate(plan.gate, description)
        payload = Payload(output, Taken.WHOLE, transcode.described(output, settings))
        looks = look_at(description, payload.output, region=region, why_not=BY_CHUNKS)
        verdict = judge(pooled, gate, also=(*colours.misses, *looks.misses))
        compared = Compared(media, description, plan, output, scores, pooled, verdict.passed)
        produced = transcode.Produced(
            payload,
            verdict,
            pooled,
            scores,
            parts[0].argv,
            parts[0].encoder,
            "\n".join(dict.fromkeys(part.complaints for part in parts if part.complaints)),
            chunks=tuple(_fact(ref, part) for ref, part in zip(order.chunks, parts, strict=True)),
            qualities=_qualities(parts),
            colours=colours,
            looks=looks,
            worst=draw_worst(compared, scratch, settings, limits=limits, cancelled=attempt.cancelled),
        )
        return transcode.finish(work, store, scratch, settings, attempt, produced, source)


def _qualities(parts: list[ChunkDone]) -> tuple[int, int] | None:
    """The finest and the coarsest number; None where a chunk does not say."""
    numbers = [part.quality for part in parts if part.quality is not None]
    return (min(numbers), max(numbers)) if len(numbers) == len(parts) else None


def merged(chunks: list[Scores]) -> Scores:
    """One column per metric over all frames, in order: pooled figures of the whole are exact, not means of means."""
    return {metric: np.concatenate([chunk[metric] for chunk in chunks]) for metric in chunks[0]}


def _chunk(ref: ChunkRef, store: ObjectStore) -> ChunkDone:
    made = found(ref.output_prefix, store)
    if made is None:
        raise StoreFault("a chunk of this video is no longer in the store")
    return made


def _check_whole(chunks: tuple[ChunkRef, ...], frames: int) -> None:
    ends = [0, *(ref.part.last for ref in chunks)]
    if [ref.part.first for ref in chunks] != ends[:-1] or ends[-1] != frames:
        raise InternalFault("the chunks leave a gap or overlap")


def _fact(ref: ChunkRef, made: ChunkDone) -> dict[str, Any]:
    """A chunk in the evidence."""
    return {
        "first_frame": ref.part.first,
        "frames": ref.part.frames,
        "rung": ref.rung,
        "worker": ref.worker,
        "encoder": made.encoder,
        "gate_passed": made.verdict.passed,
        "quality": made.quality,
        "search": made.search,
        "stream_digest_sha256": made.stream_digest,
    }


def _join(
    order: AssembleOrder,
    store: ObjectStore,
    source: Path,
    output: Path,
    scratch: Path,
    settings: Settings,
    attempt: Attempt,
) -> None:
    description, plan = order.transcode.description, order.transcode.plan
    sound = None
    if plan.audio is Audio.KEEP and description.audio:
        sound = _sound(source, description, scratch, settings, attempt)
    limits = Limits(
        seconds=settings.transcode_minimum_seconds + description.size_bytes / COPY_FLOOR_BYTES_PER_SECOND,
        memory_bytes=settings.child_memory_bytes,
    )
    size = call(join, store, join_of(order, plan, description, sound), output, limits=limits, what="joining the chunks")
    proven(output, description.video.frame_count, size, settings, decode=False)


def join_of(order: AssembleOrder, plan: Plan, description: Description, sound: Path | None) -> Join:
    """Where each chunk begins on the output's clock; beside kept sound the video begins where it does in the source."""
    video, line = description.video, order.timeline
    if plan.recipe is None:
        raise InternalFault("an assembly was planned without a recipe")
    clock = 1 / video.frame_rate if video.constant_rate else VARIABLE_RATE_CLOCK
    start = 0 if line is None or sound is None else ticks(line.start, clock)
    starts = tuple(start + _begins(ref, line, video.constant_rate) for ref in order.chunks)
    return Join(order.chunks, clock, starts, not video.constant_rate, plan.recipe, sound)


def _begins(ref: ChunkRef, line: Timeline | None, constant: bool) -> int:
    if constant or line is None:
        return ref.part.first
    if ref.part.start_ticks is None:
        raise InternalFault("a source of variable rate was cut without its clock")
    return ref.part.start_ticks


def _sound(source: Path, description: Description, scratch: Path, settings: Settings, attempt: Attempt) -> Path:
    """The source's first audio stream by the same rule as in a whole encode, in a file of its own."""
    media, output = open_source(source, description, scratch), scratch / _SOUND
    limits = Limits(
        seconds=max(settings.transcode_minimum_seconds, description.video.duration_ms / 1000),
        memory_bytes=settings.child_memory_bytes,
        output_bytes=description.size_bytes + (64 << 20),
    )
    argv = sound_command(ffmpeg_program(), media, description, output=output)
    run_ffmpeg(argv, media, limits, ProgressReader(None), attempt.cancelled, scratch)
    return output
