"""One chunk of a long video: read its range, encode exactly its frames, measure them as in the whole, keep stream and scores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import InternalFault, UnreadableSource
from common.media import Kind
from common.orders import ChunkDone, ChunkOrder, SplitDone, SplitOrder
from common.process import Limits, call
from common.settings import Settings
from common.store import ObjectStore, Stored
from workers.attempt import Attempt
from workers.chunk_encode import STREAM
from workers.chunk_target import encode_by_order, number_of_whole
from workers.cuts import Source, split
from workers.evidence import curve
from workers.ffmpeg.parse import Scores
from workers.find_region import given_gate
from workers.local import local_source
from workers.quality import judge, load_scores, pool, save_scores

if TYPE_CHECKING:
    pass

SCORES, RESULT = "scores.npz", "result.json"

INDEX_FLOOR_BYTES_PER_SECOND = 5e6
"""Slowest believable disk while a source's packets are read; the time limit of splitting follows from it."""

_COPY_BYTES = 1 << 20


def find_cuts(order: SplitOrder, store: ObjectStore, scratch: Path, settings: Settings, attempt: Attempt) -> SplitDone:
    """Where the source can be cut, and near which quality number its chunks shall look for theirs.

    Raises:
        UnreadableSource, ResourceLimit: its packets cannot be read.
    """
    seconds = settings.describe_seconds + order.description.size_bytes / INDEX_FLOOR_BYTES_PER_SECOND
    limits = Limits(seconds=seconds, memory_bytes=settings.child_memory_bytes)
    with _source(order, store, scratch, attempt) as source:
        found = call(split, source, order.description, order.wanted, limits=limits, what="reading the source's packets")
    if len(found.parts) < 2:
        return found
    return found.model_copy(update={"quality": number_of_whole(order, store, scratch, settings, attempt)})


def make_chunk(order: ChunkOrder, store: ObjectStore, scratch: Path, settings: Settings, attempt: Attempt) -> ChunkDone:
    """Make the chunk, or find it made. It is kept whether or not it meets the gate: the whole is judged by all frames.

    Raises:
        InternalFault: planned without recipe or gate.
        CinefarmError: see encode_chunk.
    """
    if made := found(order.output_prefix, store):
        return made.model_copy(update={"reused": True})
    if order.plan.gate is None:
        raise InternalFault("a chunk was planned without a gate")
    gate, _ = given_gate(order.plan.gate, order.description)
    order = order.model_copy(update={"plan": order.plan.model_copy(update={"gate": gate})})

    with _source(order, store, scratch, attempt) as source:
        encoded = encode_by_order(order, source, store, scratch, settings, attempt)
    attempt.check()
    pooled = pool(encoded.scores, order.description.video.frame_rate)
    save_scores(scratch / SCORES, encoded.scores)
    store.put(f"{order.output_prefix}/{SCORES}", (scratch / SCORES).read_bytes())
    stored = _keep(store, f"{order.output_prefix}/{STREAM}", encoded.path)
    done = ChunkDone(
        output_prefix=order.output_prefix,
        frames=order.part.frames,
        stream_bytes=stored.size_bytes,
        stream_digest=stored.digest,
        verdict=judge(pooled, gate),
        scores=pooled,
        encoder=encoded.encoder,
        argv=encoded.argv,
        complaints=encoded.complaints,
        quality=encoded.searched.chosen if encoded.searched else quality_of(order),
        search=curve(encoded.searched) if encoded.searched else None,
    )
    store.put(
        f"{order.output_prefix}/{RESULT}", done.model_dump_json().encode()
    )  # last: it says that all else is there
    return done


def found(prefix: str, store: ObjectStore) -> ChunkDone | None:
    """A chunk that was made before, stream included; None when there is none."""
    if store.size(f"{prefix}/{RESULT}") is None:
        return None
    made = ChunkDone.model_validate_json(store.get(f"{prefix}/{RESULT}"))
    return made if store.size(f"{prefix}/{STREAM}") == made.stream_bytes else None


def quality_of(order: ChunkOrder) -> int | None:
    """The number that the order names."""
    return order.plan.recipe.crf if order.plan.recipe else None


def chunk_scores(prefix: str, store: ObjectStore, scratch: Path) -> Scores:
    """The per-frame scores of a chunk that was made."""
    place = scratch / SCORES
    place.write_bytes(store.get(f"{prefix}/{SCORES}"))
    return load_scores(place)


def _keep(store: ObjectStore, key: str, path: Path) -> Stored:
    with path.open("rb") as stream, store.writer(key) as writer:
        while data := stream.read(_COPY_BYTES):
            writer.write(data)
    return writer.stored


@contextmanager
def _source(order: SplitOrder | ChunkOrder, store: ObjectStore, scratch: Path, attempt: Attempt) -> Iterator[Source]:
    """Video is read where it lies, range by range; a DICOM file's header and fragments need a local path.

    Raises:
        UnreadableSource: it is not what was described.
    """
    if store.size(order.source_key) != order.description.size_bytes:
        raise UnreadableSource("the source's size has changed since it was described")
    if order.description.kind is Kind.VIDEO:
        yield partial(store.open, order.source_key)
        return
    with local_source(store, order.source_key, scratch, attempt.check) as path:
        yield path
