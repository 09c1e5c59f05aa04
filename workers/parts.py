"""One finished stream becomes several instances: cut at key frames, each proven to play alone, all naming each other.

Nothing is decoded to make a part. To prove them the whole and then every part by itself are decoded: picture for picture they must
show the same, so no picture of a part needs one of another. The coded pictures of all parts together are those of the whole.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory

from common.dicom.portions import Portion
from common.dicom.uids import part_uid
from common.errors import InternalFault, Uncuttable
from common.ffmpeg import ffmpeg_program
from common.media import Description
from common.orders import InstancePart, Split, TranscodeOrder
from common.orders import Path as Way
from common.process import Limits, call
from common.settings import Settings
from common.store import ObjectStore
from workers.attempt import Attempt
from workers.cutting import Piece, cut
from workers.elementary import elementary_digest
from workers.encode import run_ffmpeg, temporary
from workers.ffmpeg.command import pictures_command
from workers.ffmpeg.parse import ProgressReader
from workers.instance_writer import forget_instance
from workers.payload import Payload, Taken
from workers.shown_times import opened
from workers.sources import MediaInput, open_source
from workers.transcode import WRITING, Packaged, broken, copy_limits, described, package_one

MOST_CUTS = 4
"""Times a stream is cut with smaller parts because a part came out too large."""


def split_needed(order: TranscodeOrder, payload: Payload) -> Split | None:
    """How a stream is to be parted now that it is there; None: one instance holds it, whatever was planned."""
    split, facts = order.plan.split or order.plan.limit, payload.output.dicom
    if split is None or order.plan.path in (Way.KEEP, Way.FRAMES):
        return None
    fragments = payload.taken is Taken.FRAGMENTS and facts is not None and facts.stream_length
    return split if (fragments or payload.output.size_bytes) > split.stream_bytes else None


def package_parts(
    order: TranscodeOrder,
    source: Path | None,
    payload: Payload,
    split: Split,
    store: ObjectStore,
    scratch: Path,
    settings: Settings,
    attempt: Attempt,
) -> Packaged:
    """Cut, prove, package. A part that is too large with its header is cut again, smaller.

    Raises:
        Uncuttable: the stream has no places, or too few, where a part could begin.
        InternalFault: the parts are not the whole: nothing leaves.
    """
    room = split.stream_bytes
    limits = copy_limits(order.description.size_bytes, settings)
    for _ in range(MOST_CUTS):
        pieces = call(cut, payload, room, scratch, limits=limits, what="cutting the stream")
        with temporary(*(piece.path for piece in pieces)):
            excess = max(piece.path.stat().st_size for piece in pieces) - split.stream_bytes
            if excess <= 0:
                done = _proven_and_packaged(order, source, payload, pieces, split, store, scratch, settings, attempt)
                excess = max(map(partial(_excess, split), done.parts), default=0)
                if excess <= 0:
                    return done
                for part in done.parts:
                    forget_instance(store, part.instance_key)
        room -= 2 * excess
        if room <= 0:
            break
    raise Uncuttable(f"no cut makes parts of at most {split.limit_bytes:,} bytes")


def _excess(split: Split, part: InstancePart) -> int:
    size = part.instance_bytes if split.of_the_file else part.video_bytes
    return size - split.limit_bytes


def _proven_and_packaged(
    order: TranscodeOrder,
    source: Path | None,
    whole: Payload,
    pieces: Sequence[Piece],
    split: Split,
    store: ObjectStore,
    scratch: Path,
    settings: Settings,
    attempt: Attempt,
) -> Packaged:
    parts = []
    for piece in pieces:
        attempt.check()
        parts.append(Payload(piece.path, Taken.WHOLE, described(piece.path, settings)))
    counts = [part.output.video.frame_count for part in parts]
    if sum(counts) != whole.output.video.frame_count:
        raise InternalFault(f"the parts hold {sum(counts)} frames, the whole {whole.output.video.frame_count}")
    limits = copy_limits(order.description.size_bytes, settings)
    digest = call(_same_stream, order, whole, parts, limits=limits, what="comparing the parts with the whole")
    pictures = _same_pictures(whole, parts, counts, scratch, settings, attempt)
    numbers, limit = range(1, len(parts) + 1), split.limit_bytes
    uids = tuple(part_uid(order.sop_instance_uid, number, len(parts), limit) for number in numbers)
    firsts = (0, *accumulate(counts))
    made: list[Packaged] = []
    for number, piece, part in zip(numbers, pieces, parts, strict=True):
        attempt.check()
        portion = Portion(number, firsts[number - 1], counts[number - 1], sum(counts), piece.start_ms, uids)
        made.append(call(package_one, order, source, part, store, portion, limits=limits, what=WRITING))
        if broken(made[-1].findings):
            _delete(made, store)
            return made[-1]
    return _together(made, uids, firsts, counts, digest, pictures)


def _together(
    made: Sequence[Packaged],
    uids: Sequence[str],
    firsts: Sequence[int],
    counts: Sequence[int],
    digest: str | None,
    pictures: tuple[str, ...],
) -> Packaged:
    parts = tuple(
        InstancePart(
            instance_key=one.stored.key,
            instance_digest=one.stored.digest,
            instance_bytes=one.stored.size_bytes,
            sop_instance_uid=uid,
            first_frame=first,
            frames=count,
            video_bytes=one.video_bytes,
            pixel_digest=one.pixel_digest,
        )
        for one, uid, first, count in zip(made, uids, firsts, counts, strict=False)
        if one.stored is not None
    )
    first = made[0]
    findings = tuple(dict.fromkeys(finding for one in made for finding in one.findings))
    return Packaged(
        first.stored,
        findings,
        first.study_uid,
        first.series_uid,
        first.transfer_syntax_uid,
        sum(one.video_bytes for one in made),
        digest,
        parts,
        pictures=pictures,
        coerced=first.coerced,
        pixel_digest=first.pixel_digest,
    )


def _delete(made: Sequence[Packaged], store: ObjectStore) -> None:
    for one in made:
        if one.stored is not None:
            forget_instance(store, one.stored.key)


def _same_stream(order: TranscodeOrder, whole: Payload, parts: Sequence[Payload]) -> str | None:
    """SHA-256 of the coded pictures of all parts together, which must be the whole's. Raises: InternalFault."""
    after = _elementary(parts)
    copied = order.plan.path in (Way.REWRAP, Way.REAUDIO)
    before = (order.description.video.stream_digest if copied else None) or _elementary([whole])
    if before != after:
        raise InternalFault("the coded pictures of the parts are not those of the whole")
    return after


def _elementary(payloads: Sequence[Payload]) -> str | None:
    """In the normal form of workers.elementary, of several streams as if they were one."""
    from workers.describe_media import open_container, video_stream

    found = None
    for payload in payloads:
        with open_container(opened(payload)) as container:
            stream = video_stream(container)
            extradata = bytes(stream.codec_context.extradata or b"")
            found = found or elementary_digest(payload.output.video.codec, extradata)
            if found is None:
                return None
            for packet in container.demux(stream):
                if packet.size:
                    found.add(bytes(packet))
    return found.hexdigest() if found else None


def _same_pictures(
    whole: Payload, parts: Sequence[Payload], counts: Sequence[int], scratch: Path, settings: Settings, attempt: Attempt
) -> tuple[str, ...]:
    """SHA-256 over the decoded pictures of each part, equal to those of the whole at its place.

    Raises:
        InternalFault: a part shows other pictures when it is decoded alone.
    """
    with TemporaryDirectory(dir=scratch) as aside:  # many fragments of an MP4 are joined there
        media = open_source(whole.path, whole.output, Path(aside))
        expected = _pictures(media, whole.output, counts, scratch, settings, attempt)
    for number, (part, digest) in enumerate(zip(parts, expected, strict=True), 1):
        media = open_source(part.path.absolute(), part.output, scratch)
        if _pictures(media, part.output, counts[number - 1 : number], scratch, settings, attempt) != (digest,):
            raise InternalFault(
                f"part {number} of {len(parts)} does not show its own pictures when it is decoded alone"
            )
    return expected


def _pictures(
    media: MediaInput,
    description: Description,
    counts: Sequence[int],
    scratch: Path,
    settings: Settings,
    attempt: Attempt,
) -> tuple[str, ...]:
    limits = Limits(
        seconds=max(settings.transcode_minimum_seconds, description.video.duration_ms / 1000),
        memory_bytes=settings.child_memory_bytes,
    )
    reader = _Pictures(counts)
    run_ffmpeg(pictures_command(ffmpeg_program(), media), media, limits, reader, attempt.cancelled, scratch)
    if reader.seen != sum(counts):
        raise InternalFault(f"a decoder shows {reader.seen} of {sum(counts)} pictures")
    return tuple(run.hexdigest() for run in reader.runs)


class _Pictures(ProgressReader):
    """A SHA-256 over the SHA-256 of each decoded picture, for every run of so many pictures."""

    def __init__(self, counts: Sequence[int]) -> None:
        super().__init__()
        self.runs = [hashlib.sha256() for _ in counts]
        self.seen = 0
        self._ends = list(accumulate(counts))

    def line(self, text: str) -> None:
        """One picture: '0, dts, pts, duration, size, hash'. Comments begin with a hash sign."""
        if text.startswith("#"):
            return
        if self.seen < self._ends[-1]:
            self.runs[bisect_right(self._ends, self.seen)].update(text.rpartition(",")[2].strip().encode())
        self.seen += 1
