"""One FRAMES order, from source to checked instance: code each frame, prove or measure it, package; evidence always."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from common.errors import InternalFault, LeaseLost, ResourceLimit
from common.ffmpeg import ffmpeg_program
from common.forks import Fork
from common.frame_recipes import FrameRecipe
from common.media import Description
from common.orders import TranscodeDone, TranscodeOrder, Verdict
from common.process import Limits, call
from common.recipes import Gate
from common.settings import Settings
from common.store import ObjectStore
from workers.alignment import Alignment, compare, read_signatures
from workers.attempt import Attempt
from workers.encode import run_ffmpeg, temporary
from workers.exact import ExactProof
from workers.ffmpeg.command import frames_command
from workers.ffmpeg.parse import ProgressReader, Scores, read_scores
from workers.frames.coding import Coded, code_frames, feed_values, raw_format
from workers.frames.stored import Shape
from workers.instance_writer import instance_writer
from workers.local import local_source
from workers.looks import FRAME_BY_FRAME, look_at
from workers.measuring import measurement_of
from workers.payload import CHUNK_BYTES, Payload, Taken
from workers.quality import check_measurable, judge, pool
from workers.sources import MediaInput
from workers.threads import cores
from workers.transcode import INSTANCE, Packaged, Produced, broken, check_unchanged, conclude, copy_limits

SLOWEST_SAMPLES_PER_SECOND = 2e5
"""Slowest believable decoding, coding and proving of one frame on one busy core; the time limit follows from it."""

_POLL_SECONDS = 0.5
_SLACK_BYTES = 64 << 20


def transcode_frames(
    order: TranscodeOrder, store: ObjectStore, scratch: Path, settings: Settings, attempt: Attempt
) -> TranscodeDone:
    """Make what the order says. Lossless frames that a second decoder reads otherwise miss the verdict, as lossy ones that
    miss the gate do: the planner goes on to its next recipe.

    Raises:
        UnreadableSource: the source is not what was described.
        CinefarmError: see workers.frames.coding.
    """
    recipe = order.plan.frame_recipe
    if recipe is None:
        raise InternalFault("frames were planned without a recipe")
    spool = scratch / "frames"
    with local_source(store, order.source_key, scratch, attempt.check) as source:
        check_unchanged(source, order.description)
        coded = _coded(source, order.description, recipe, spool, settings, attempt)
        produced = _judged(order, recipe, source, spool, coded, scratch, settings, attempt)
        packaged = None
        if produced.verdict.passed:
            attempt.check()
            limits = copy_limits(order.description.size_bytes + sum(coded.lengths), settings)
            packaged = call(_package, order, source, spool, coded, store, limits=limits, what="writing the instance")
    return conclude(order, store, scratch, produced, packaged)


def _coded(
    source: Path, description: Description, recipe: FrameRecipe, spool: Path, settings: Settings, attempt: Attempt
) -> Coded:
    """In a child under limits, which ends when the lease is lost."""
    video = description.video
    samples = video.width * video.height * video.frame_count * 3
    limits = Limits(
        seconds=settings.transcode_minimum_seconds + samples / SLOWEST_SAMPLES_PER_SECOND,
        memory_bytes=settings.child_memory_bytes,
        output_bytes=4 * samples + _SLACK_BYTES,
    )
    return _watched(partial(code_frames, source, description, recipe, spool), limits, attempt, "coding the frames")


def _watched(work: Callable[[], Coded], limits: Limits, attempt: Attempt, what: str) -> Coded:
    end = time.monotonic() + (limits.seconds or 0)
    with Fork(work, limits=limits) as fork:
        while not fork.wait(_POLL_SECONDS):
            if attempt.cancelled():
                raise LeaseLost(f"{what} was stopped: this attempt no longer holds its lease")
            if time.monotonic() > end:
                raise ResourceLimit(f"{what} took longer than its limit of {limits.seconds:g} s")
        value: Coded = fork.value(what)
        return value


def _judged(
    order: TranscodeOrder,
    recipe: FrameRecipe,
    source: Path,
    spool: Path,
    coded: Coded,
    scratch: Path,
    settings: Settings,
    attempt: Attempt,
) -> Produced:
    payload = Payload(spool, Taken.WHOLE, order.description)
    silent = order.description.model_copy(update={"audio": ()})
    looks = look_at(order.description, silent, why_not=FRAME_BY_FRAME)
    facts: dict[str, Any] = {
        "coder": coded.tool,
        "second_decoder": coded.prover,
        "count": len(coded.lengths),
        "values_sha256": coded.digests,
        "unequal": coded.unequal,
    }
    verdict = Verdict(passed=not coded.misses, misses=coded.misses)
    if recipe.lossless or not verdict.passed:
        exact = _exact(coded) if recipe.lossless else None
        return Produced(payload, verdict, encoder=coded.tool, frames=facts, looks=looks, exact=exact)
    if order.plan.gate is None:
        raise InternalFault("lossy frames were planned without a gate")
    gate = order.plan.gate
    scores, alignment = _measured(
        order.description, recipe, gate, source, spool, coded.shape, scratch, settings, attempt
    )
    pooled = pool(scores, order.description.video.frame_rate)
    verdict = judge(pooled, gate, also=alignment.misses)
    return Produced(
        payload, verdict, pooled, scores, encoder=coded.tool, frames=facts, alignment=alignment, looks=looks
    )


def _exact(coded: Coded) -> ExactProof:
    """What a second decoder says of every frame."""
    before = hashlib.sha256("".join(coded.digests).encode()).hexdigest()
    frames, unequal = len(coded.lengths), coded.unequal
    return ExactProof(
        f"SHA-256 of the values of every frame, read again by {coded.prover}",
        frames,
        frames,
        source_sha256=before,
        output_sha256="" if unequal else before,
        unequal=len(unequal),
        first_difference=min(unequal, default=None),
    )


def _measured(
    description: Description,
    recipe: FrameRecipe,
    gate: Gate,
    source: Path,
    spool: Path,
    shape: Shape,
    scratch: Path,
    settings: Settings,
    attempt: Attempt,
) -> tuple[Scores, Alignment]:
    """Each coded frame, decoded by FFmpeg, against the values it was made of, in full-range 4:4:4: what chroma lost counts."""
    check_measurable(shape.columns, shape.rows)
    video = description.video
    raw = ("-f", "rawvideo", "-pixel_format", raw_format(shape), "-s", f"{shape.columns}x{shape.rows}")
    feed = partial(feed_values, source, description, recipe)
    media = MediaInput(
        args=("-protocol_whitelist", "pipe", *raw, "-framerate", str(video.frame_rate), "-i", "pipe:0"),
        feed=feed,
        width=shape.columns,
        height=shape.rows,
        frame_count=video.frame_count,
        frame_rate=video.frame_rate,
        pixel_format=raw_format(shape),
        full_range=True,
        matrix=None,
        seekable=False,
    )
    # of every frame: these are pictures for themselves
    size = shape.columns, shape.rows
    measurement = measurement_of(gate, size, cores(shape.columns * shape.rows), strided=False, signatures=True)
    argv = frames_command(ffmpeg_program(), media, spool, measurement)
    limits = Limits(
        seconds=max(settings.transcode_minimum_seconds, video.duration_ms / 1000 / settings.transcode_speed_floor),
        memory_bytes=settings.child_memory_bytes,
    )
    with temporary(*(scratch / name for name in measurement.files)):
        run_ffmpeg(argv, media, limits, ProgressReader(None), attempt.cancelled, scratch)
        signatures = read_signatures(scratch / measurement.signature_file, video.frame_count)
        return read_scores(scratch, measurement, video.frame_count), compare(*signatures)


def _package(order: TranscodeOrder, source: Path, spool: Path, coded: Coded, store: ObjectStore) -> Packaged:
    """Runs in a child: it parses the source's header once more, and that is hostile."""
    from common.conformance import check_coded_frames
    from common.dicom.frame_encapsulation import write_frames
    from common.dicom.frame_headers import FrameHeaderRequest, build_frame_header
    from common.dicom.identifiers import was_coerced
    from workers.coerce import stored_rules
    from workers.package import source_header, supplied_header

    description, plan, total = order.description, order.plan, sum(coded.lengths)
    rules = stored_rules(store, plan.coercion.key) if plan.coercion else None
    header = build_frame_header(
        FrameHeaderRequest(
            source=source_header(source) if description.dicom else None,
            supplied=supplied_header(store.get(order.header_key)) if order.header_key else None,
            description=description,
            plan=plan,
            image=coded.image,
            coded_bytes=total,
            sop_instance_uid=order.sop_instance_uid,
            rules=rules,
        )
    )
    findings = check_coded_frames(header, plan.transfer_syntax_uid, coded.lengths)
    stored, digest = None, ""
    if not broken(findings):
        with spool.open("rb") as stream, instance_writer(store, f"{order.output_prefix}/{INSTANCE}") as writer:
            chunks = iter(partial(stream.read, CHUNK_BYTES), b"")
            digest = write_frames(writer, header, plan.transfer_syntax_uid, coded.lengths, chunks)
        stored = writer.stored
    study, series = str(header.StudyInstanceUID), str(header.SeriesInstanceUID)
    coerced = rules is not None and was_coerced(header, rules)
    return Packaged(
        stored, findings, study, series, plan.transfer_syntax_uid, total, coerced=coerced, pixel_digest=digest
    )
