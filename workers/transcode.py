"""One transcode order, from source to checked instance: keep, rewrap or encode and measure; judge; package; evidence."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import InternalFault, ProgramFailed, UnreadableSource
from common.logs import logger
from common.media import Description, Kind
from common.orders import Finding, InstancePart, Plan, Pooled, TranscodeDone, TranscodeOrder, Verdict
from common.orders import Path as Way
from common.process import Limits, call
from common.settings import Settings
from common.store import ObjectStore, Stored
from workers.afar import input_from_afar
from workers.alignment import Alignment
from workers.attempt import Attempt
from workers.colour_check import ColourCheck, check_colours
from workers.device_check import check_device
from workers.elementary import Watch
from workers.encode import Encoded, limits_of, rewrap, shape_of, tool_versions
from workers.evidence import evidence
from workers.exact import SAME_BYTES, ExactProof, prove_exact
from workers.ffmpeg.parse import Progress, Scores
from workers.ffmpeg.treatment import Shown
from workers.find_region import RegionLook, look_for_region
from workers.instance_writer import forget_instance, instance_writer
from workers.local import local_source
from workers.looks import NOT_DECODED, Looks, look_at
from workers.measuring import judged_inside
from workers.payload import CHUNK_BYTES, Payload, Taken, carried_over
from workers.quality import judge, pool, save_scores
from workers.search import Searched
from workers.search_memory import memory_of
from workers.second_look import settled_in_software
from workers.target import encode_by_plan
from workers.worst import Compared, Drawn, draw_worst

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

    from common.dicom.portions import Portion
    from workers.sources import MediaInput

log = logger(__name__)

COPY_FLOOR_BYTES_PER_SECOND = 5e6
"""Slowest believable disk while an instance is written; the time limit of packaging follows from it."""

PASSED = Verdict(passed=True)
"""Of what was not decoded: the same bits need no score."""

WRITING = "writing the instance"

INSTANCE, EVIDENCE, SCORES, RESULT = "instance.dcm", "evidence.json", "scores.npz", "result.json"
WITHHELD = "withheld.mp4"
"""The stream of a result that missed its gate on the last rung: it leaves nowhere, but people look at it to decide."""


@dataclass(frozen=True)
class Produced:
    """A stream that is ready to be packaged, and how it was judged on the way."""

    payload: Payload
    verdict: Verdict = PASSED
    pooled: dict[str, Pooled] | None = None
    scores: Scores | None = None
    argv: tuple[str, ...] = ()
    encoder: str = ""  # its own version, as it signed the stream
    complaints: str = ""
    chunks: tuple[dict[str, Any], ...] = ()  # facts of each, for the evidence
    qualities: tuple[int, int] | None = None  # finest and coarsest number of chunks
    frames: dict[str, Any] | None = None  # facts of frames that were coded one by one, for the evidence
    mapping: tuple[Shown, ...] = ()  # of a rate that was made constant
    searched: Searched | None = None  # how the quality number was found
    colours: ColourCheck | None = None
    looks: Looks | None = None  # at pictures, times and sound; None: the source's own bytes
    alignment: Alignment | None = None
    stride: int = 1  # each so-many-th frame was measured
    worst: Drawn | None = None  # pictures of the worst frames
    exact: ExactProof | None = None  # that it shows the source's pictures to the bit
    first_misses: tuple[str, ...] = ()  # of a device's decoder: it was encoded and measured again without


@dataclass(frozen=True)
class Packaged:
    """An instance in the store; ``stored`` is None when the conformance check found errors and nothing was written."""

    stored: Stored | None
    findings: tuple[Finding, ...]
    study_uid: str
    series_uid: str
    transfer_syntax_uid: str
    video_bytes: int
    stream_digest: str | None = None  # of the elementary stream in Pixel Data, where it was copied
    parts: tuple[InstancePart, ...] = ()  # of a split source; ``stored`` is the first's
    coerced: bool = False  # the site's rules gave it other identifiers
    pixel_digest: str = ""  # see InstancePart
    pictures: tuple[str, ...] = ()  # of each part: SHA-256 over its decoded pictures, equal to the whole's


def transcode(
    order: TranscodeOrder, store: ObjectStore, scratch: Path, settings: Settings, attempt: Attempt
) -> TranscodeDone:
    """Make what the order says, or find it made. Evidence is kept whether or not the result may leave.

    Raises:
        UnreadableSource: the source is not what was described.
        CinefarmError: see workers.encode and workers.package.
    """
    if made := earlier(order, store):
        return made
    if order.plan.path is Way.FRAMES:
        from workers.frame_transcode import transcode_frames

        return transcode_frames(order, store, scratch, settings, attempt)
    produced = _produced_from_afar(order, store, scratch, settings, attempt)
    if produced is not None:
        return finish(order, store, scratch, settings, attempt, produced, None)
    with local_source(store, order.source_key, scratch, attempt.check) as source:
        check_unchanged(source, order.description)
        produced = _produce(order, source, store, scratch, settings, attempt)
        return finish(order, store, scratch, settings, attempt, produced, source)


def finish(
    order: TranscodeOrder,
    store: ObjectStore,
    scratch: Path,
    settings: Settings,
    attempt: Attempt,
    produced: Produced,
    source: Path | None,
) -> TranscodeDone:
    """Package what passed its gate, and conclude."""
    attempt.check()
    packaged, planned = None, order
    if produced.searched is not None:  # the header says how it was really made
        order = at_quality(order, produced.searched.chosen)
    if produced.qualities is not None:
        plan = order.plan.model_copy(update={"qualities": produced.qualities})
        order = order.model_copy(update={"plan": plan})
    if order.plan.lets_out(produced.verdict):
        from workers.parts import package_parts, split_needed

        limits = copy_limits(order.description.size_bytes, settings)
        if split := split_needed(order, produced.payload):
            packaged = package_parts(order, source, produced.payload, split, store, scratch, settings, attempt)
        else:
            packaged = call(package_one, order, source, produced.payload, store, limits=limits, what=WRITING)
        return conclude(planned, store, scratch, produced, packaged)
    return conclude(planned, store, scratch, produced, None, withheld=_withhold(planned, produced, store))


def _withhold(order: TranscodeOrder, produced: Produced, store: ObjectStore) -> str:
    """Keep what nobody will make better; returns its key, empty when a finer rung follows."""
    if order.plan.rung + 1 < order.plan.rungs or order.plan.path is not Way.ENCODE:
        return ""
    key = f"{order.output_prefix}/{WITHHELD}"
    with produced.payload.open() as (_length, chunks), store.writer(key) as writer:
        for chunk in chunks:
            writer.write(chunk)
    return key


def at_quality(order: TranscodeOrder, number: int) -> TranscodeOrder:
    """The order as if its recipe had asked for this constant-quality number."""
    recipe = order.plan.recipe and order.plan.recipe.model_copy(update={"crf": number})
    return order.model_copy(update={"plan": order.plan.model_copy(update={"recipe": recipe})})


def copy_limits(size_bytes: int, settings: Settings) -> Limits:
    """What writing so many bytes into an instance may use."""
    seconds = settings.transcode_minimum_seconds + size_bytes / COPY_FLOOR_BYTES_PER_SECOND
    return Limits(seconds=seconds, memory_bytes=settings.child_memory_bytes)


def earlier(order: TranscodeOrder, store: ObjectStore) -> TranscodeDone | None:
    """The result of an attempt whose answer was lost: same order, same result."""
    key = f"{order.output_prefix}/{RESULT}"
    if store.size(key) is None:
        return None
    made = TranscodeDone.model_validate_json(store.get(key))
    if any(store.size(part.instance_key) != part.instance_bytes for part in made.instances):
        return None  # delivered and deleted, or lost
    limit = order.plan.split or order.plan.limit
    sizes = [part.instance_bytes if limit and limit.of_the_file else part.video_bytes for part in made.instances]
    if limit is not None and max(sizes, default=0) > limit.limit_bytes:
        return None  # made for a destination that takes larger ones
    return made.model_copy(update={"reused": True})


def check_unchanged(source: Path, description: Description) -> None:
    """Refuse a source that is not the size it was described with. Raises: UnreadableSource."""
    try:
        size = source.stat().st_size
    except OSError as error:
        raise UnreadableSource(f"the source can no longer be read: {error.strerror}") from error
    if size != description.size_bytes:
        raise UnreadableSource(
            f"the source had {description.size_bytes} bytes when it was described and has {size} now",
            hint="Wait until nobody writes to it, and run the same command again.",
        )


def _produce(
    order: TranscodeOrder, source: Path, store: ObjectStore, scratch: Path, settings: Settings, attempt: Attempt
) -> Produced:
    description, plan = order.description, order.plan
    if plan.path is Way.KEEP or plan.header_only:
        return Produced(Payload(source, Taken.WHOLE, description), exact=ExactProof(SAME_BYTES))
    from workers.sources import open_source

    if plan.path is Way.REWRAP and not plan.new_container and (own := carried_over(source, description, settings)):
        if not _exactly(plan):
            return Produced(own)
        proof = _proof(order, open_source(source, description, scratch), own, scratch, settings, attempt)
        return Produced(own, Verdict(passed=not proof.misses, misses=proof.misses), exact=proof)
    return _through_ffmpeg(order, open_source(source, description, scratch), store, scratch, settings, attempt)


def _exactly(plan: Plan) -> bool:
    return plan.gate is not None and plan.gate.exact


def _proof(
    order: TranscodeOrder, media: MediaInput, payload: Payload, scratch: Path, settings: Settings, attempt: Attempt
) -> ExactProof:
    return prove_exact(media, order.description, payload, scratch, settings=settings, cancelled=attempt.cancelled)


def _produced_from_afar(
    order: TranscodeOrder, store: ObjectStore, scratch: Path, settings: Settings, attempt: Attempt
) -> Produced | None:
    """FFmpeg reads a plain video from the store itself, and no copy is made; None where a copy is needed.

    A network that fails looks to FFmpeg like a source that ends: whatever it says against one read from afar is found out
    again on a whole copy.
    """
    media = input_from_afar(order, store, settings)
    if media is None:
        return None
    try:
        return _through_ffmpeg(order, media, store, scratch, settings, attempt)
    except (UnreadableSource, ProgramFailed) as error:
        log.warning("read_from_afar_failed", code=error.code)
        return None


def _through_ffmpeg(
    order: TranscodeOrder,
    media: MediaInput,
    store: ObjectStore,
    scratch: Path,
    settings: Settings,
    attempt: Attempt,
) -> Produced:
    description, plan, output = order.description, order.plan, scratch / "output"

    def report(progress: Progress) -> None:
        attempt.report(min(1.0, progress.frame / description.video.frame_count))

    encodes = plan.path is Way.ENCODE
    region = _region(order, media, scratch, settings, attempt) if encodes else None
    if region is not None and plan.gate is not None:
        plan = plan.model_copy(update={"gate": judged_inside(plan.gate, region.region)})
    work = partial(encode_by_plan, memory=memory_of(store, description, plan)) if encodes else rewrap
    wrapped = work(
        media, description, plan, output, scratch, settings=settings, progress=report, cancelled=attempt.cancelled
    )
    payload = Payload(wrapped.path, Taken.WHOLE, described(wrapped.path, settings))
    if not isinstance(wrapped, Encoded):
        copied = look_at(description, payload.output, why_not=NOT_DECODED)
        proof = _proof(order, media, payload, scratch, settings, attempt) if _exactly(plan) else None
        return Produced(payload, as_seen(copied, proof), argv=wrapped.argv, looks=copied, exact=proof)
    if plan.gate is None or plan.recipe is None:
        raise InternalFault("an encode was planned without recipe or gate")
    pooled = pool(wrapped.scores, description.video.frame_rate, wrapped.stride)
    check_device(plan, payload.output, pooled, wrapped.argv)
    wrapped, first_misses = settled_in_software(
        wrapped, media, description, plan, scratch, settings=settings, progress=report, cancelled=attempt.cancelled
    )
    if first_misses:
        payload = Payload(wrapped.path, Taken.WHOLE, described(wrapped.path, settings))
        pooled = pool(wrapped.scores, description.video.frame_rate, wrapped.stride)
    limits = limits_of(plan.recipe, description.video.frame_count, description.video.frame_rate, settings)
    colours = check_colours(media, description, plan, wrapped.path, scratch, limits=limits, cancelled=attempt.cancelled)
    looks = look_at(description, payload.output, pictures=wrapped.pictures, region=region)
    found = (*wrapped.alignment.misses, *colours.misses, *looks.misses, *_capped(pooled, plan, wrapped.searched))
    verdict = judge(pooled, plan.gate, also=found)
    compared = Compared(media, description, plan, wrapped.path, wrapped.scores, pooled, verdict.passed, wrapped.stride)
    worst = draw_worst(compared, scratch, settings, limits=limits, cancelled=attempt.cancelled)
    return Produced(
        payload,
        verdict,
        pooled,
        wrapped.scores,
        wrapped.argv,
        wrapped.encoder_version,
        wrapped.complaints,
        mapping=wrapped.mapping,
        searched=wrapped.searched,
        colours=colours,
        looks=looks,
        alignment=wrapped.alignment,
        stride=wrapped.stride,
        worst=worst,
        first_misses=first_misses,
    )


def as_seen(looks: Looks, proof: ExactProof | None = None) -> Verdict:
    """Of pictures that need no score: they are the source's own, and their times and sound must be so too."""
    misses = (*(proof.misses if proof else ()), *looks.misses)
    return Verdict(passed=not misses, misses=misses)


def _region(
    order: TranscodeOrder, media: MediaInput, scratch: Path, settings: Settings, attempt: Attempt
) -> RegionLook | None:
    """Where the gate is held a second time."""
    plan, video = order.plan, order.description.video
    if plan.recipe is None or plan.gate is None or not plan.gate.thresholds:
        return None
    shape = shape_of(media, order.description, plan, plan.recipe)
    limits = limits_of(plan.recipe, video.frame_count, video.frame_rate, settings)
    return look_for_region(
        media,
        order.description,
        plan.gate.region,
        (shape.width, shape.height),
        scratch,
        limits=limits,
        cancelled=attempt.cancelled,
    )


def _capped(pooled: dict[str, Pooled], plan: Plan, searched: Searched | None) -> tuple[str, ...]:
    """Why no finer number was tried, or would help, where the gate was missed at the stream's peak rate."""
    if plan.gate is None or plan.recipe is None or judge(pooled, plan.gate).passed:
        return ()
    if searched is None or not searched.capped:
        return ()
    return (
        f"the target's peak rate of {plan.recipe.max_rate_kbit} kbit/s is used up: a finer number gives the same picture",
    )


def described(path: Path, settings: Settings) -> Description:
    """What was really written, read back with the same eyes as a source."""
    from workers.describe import describe_sandboxed

    return describe_sandboxed(path, ".mp4", settings)


def package_one(
    order: TranscodeOrder, source: Path | None, payload: Payload, store: ObjectStore, portion: Portion | None = None
) -> Packaged:
    """Runs in a child: it parses the source's header and index once more, and those are hostile.

    ``source`` is None for a plain video that was read from afar: it has no header. ``portion``: what part of it the payload is.
    """
    if order.plan.path is Way.KEEP and source is not None:
        return _keep(order, source, store)
    if order.plan.header_only and source is not None:
        from workers.coerce import recoerced

        return recoerced(order, source, store)
    from common.conformance import check_result
    from common.dicom.headers import HeaderRequest, build_header
    from common.dicom.identifiers import was_coerced
    from common.dicom.transfer_syntaxes import for_length
    from workers.coerce import stored_rules
    from workers.package import package, source_header, supplied_header
    from workers.shown_times import frame_time_vector, shown_times

    description, plan = order.description, order.plan
    rules = stored_rules(store, plan.coercion.key) if plan.coercion else None
    shown = shown_times(payload)
    with payload.open() as (length, chunks):
        header = build_header(
            HeaderRequest(
                source=source_header(source) if description.dicom and source is not None else None,
                supplied=supplied_header(store.get(order.header_key)) if order.header_key else None,
                description=description,
                output=payload.output,
                plan=plan,
                sop_instance_uid=portion.uids[portion.number - 1] if portion else order.sop_instance_uid,
                video_bytes=length,
                vector_ms=frame_time_vector(shown),
                portion=portion,
                rules=rules,
            )
        )
        syntax = for_length(plan.transfer_syntax_uid, length).uid
        findings = check_result(header, payload.output, syntax, shown)
        copied = plan.path in (Way.REWRAP, Way.REAUDIO) and portion is None
        stored, watch = None, Watch() if copied else None
        pixels = None if copied else hashlib.sha256()
        if not broken(findings):
            name = f"instance-{portion.number}.dcm" if portion else INSTANCE
            with instance_writer(store, f"{order.output_prefix}/{name}") as writer:
                package(writer, header, syntax, watch.through(chunks) if watch else _hashed(chunks, pixels), length)
            stored = writer.stored
    digest = watch.digest if watch else None
    if stored is not None:
        _check_same_stream(description.video.stream_digest, digest, stored, store)
    study, series = str(header.StudyInstanceUID), str(header.SeriesInstanceUID)
    coerced = rules is not None and was_coerced(header, rules)
    pixel_digest = pixels.hexdigest() if pixels and stored else ""
    return Packaged(stored, findings, study, series, syntax, length, digest, coerced=coerced, pixel_digest=pixel_digest)


def _hashed(chunks: Iterable[bytes], digest: Hash | None) -> Iterator[bytes]:
    """The same chunks; ``digest`` gets what their fragments will hold: they are even, but for the last (PS3.5 A.4)."""
    length = 0
    for chunk in chunks:
        if digest is not None:
            digest.update(chunk)
            length += len(chunk)
        yield chunk
    if digest is not None:
        digest.update(b"\0" * (length % 2))


def _check_same_stream(before: str | None, after: str | None, stored: Stored, store: ObjectStore) -> None:
    """A copied video stream is the source's own to the bit, or nothing leaves. Raises: InternalFault."""
    if before is not None and after is not None and before != after:
        forget_instance(store, stored.key)
        raise InternalFault("the rewrapped video stream is not the source's own")


def _keep(order: TranscodeOrder, source: Path, store: ObjectStore) -> Packaged:
    """The source's own bytes, proven to be those that were described."""
    from common.conformance import check_result
    from workers.package import source_header

    facts = order.description.dicom
    if facts is None:
        raise InternalFault("only a DICOM source can be kept")
    findings: tuple[Finding, ...] = ()  # frames as they came: whoever described them has found every one
    if order.description.kind is not Kind.DICOM_FRAMES:
        findings = check_result(source_header(source), order.description, facts.transfer_syntax_uid)
    stored = None
    if not broken(findings):
        with source.open("rb") as stream, instance_writer(store, f"{order.output_prefix}/{INSTANCE}") as writer:
            while chunk := stream.read(CHUNK_BYTES):
                writer.write(chunk)
        stored = writer.stored
        if stored.digest != order.description.digest:
            forget_instance(store, stored.key)
            raise UnreadableSource("the source has changed since it was described")
    return Packaged(
        stored, findings, facts.study_uid, facts.series_uid, facts.transfer_syntax_uid, facts.stream_length or 0
    )


def broken(findings: tuple[Finding, ...]) -> bool:
    """True when one of the findings keeps an instance from leaving."""
    return any(finding.severity == "error" for finding in findings)


def conclude(
    order: TranscodeOrder,
    store: ObjectStore,
    scratch: Path,
    produced: Produced,
    packaged: Packaged | None,
    *,
    withheld: str = "",
) -> TranscodeDone:
    """Write scores, evidence and last of all the result: its presence says that all else is there.

    ``withheld``: key of the stream that is kept for people to look at.
    """
    prefix = order.output_prefix
    keys = [f"{prefix}/{EVIDENCE}"]
    if produced.scores is not None:
        save_scores(scratch / SCORES, produced.scores)
        keys.append(f"{prefix}/{SCORES}")
        store.put(keys[-1], (scratch / SCORES).read_bytes())
    done = TranscodeDone(
        evidence_keys=tuple(keys),
        sop_instance_uid=order.sop_instance_uid,
        sop_class_uid=order.plan.sop_class_uid,
        scores=produced.pooled or {},
        verdict=produced.verdict,
        remarks=produced.looks.remarks if produced.looks else (),
        output_frames=produced.payload.output.video.frame_count,
        withheld_key=withheld,
        quality_number=produced.searched.chosen if produced.searched else None,
    )
    if packaged is not None:
        done = done.model_copy(update=_arrived(packaged))
    for picture, name in produced.worst.named if produced.worst else ():
        store.put(f"{prefix}/{name}", picture.read_bytes())
        picture.unlink()
    store.put(
        keys[0],
        evidence(
            order,
            done,
            scores=produced.scores,
            tools=tool_versions() | ({"encoder": produced.encoder} if produced.encoder else {}),
            argv=produced.argv,
            complaints=produced.complaints,
            chunks=produced.chunks,
            frames=produced.frames,
            mapping=produced.mapping,
            searched=produced.searched,
            colours=produced.colours,
            looks=produced.looks,
            alignment=produced.alignment,
            stride=produced.stride,
            worst=produced.worst,
            exact=produced.exact,
            first_misses=produced.first_misses,
            stream_digest=packaged.stream_digest if packaged else None,
            pictures=packaged.pictures if packaged else (),
        ),
    )
    store.put(f"{prefix}/{RESULT}", json.dumps(done.model_dump(mode="json")).encode())
    return done


def _arrived(packaged: Packaged) -> dict[str, object]:
    facts: dict[str, object] = {
        "findings": packaged.findings,
        "study_uid": packaged.study_uid,
        "series_uid": packaged.series_uid,
        "transfer_syntax_uid": packaged.transfer_syntax_uid,
        "video_bytes": packaged.video_bytes,
        "coerced": packaged.coerced,
        "pixel_digest": packaged.pixel_digest,
    }
    if packaged.stored is not None:
        facts |= {
            "instance_key": packaged.stored.key,
            "instance_digest": packaged.stored.digest,
            "instance_bytes": packaged.stored.size_bytes,
        }
    if packaged.parts:
        whole = {"sop_instance_uid": packaged.parts[0].sop_instance_uid, "parts": packaged.parts}
        facts |= whole | {"instance_bytes": sum(part.instance_bytes for part in packaged.parts)}
    return facts
