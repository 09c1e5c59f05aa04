"""The quality number of chunks: one look at the whole video, then each chunk finds its own number near that one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import InternalFault
from common.ffmpeg import ffmpeg_program
from common.orders import ChunkOrder, Pooled, SplitOrder
from common.process import Limits
from common.recipes import Gate, Recipe, Search
from common.settings import Settings
from common.store import ObjectStore
from workers.afar import input_from_afar
from workers.attempt import Attempt
from workers.chunk_encode import EncodedChunk, chunk_shape, encode_chunk, open_part
from workers.cuts import Source
from workers.effort import Effort
from workers.encode import run_ffmpeg, temporary
from workers.ffmpeg.chunk_command import chunk_sample_command
from workers.ffmpeg.parse import ProgressReader, read_scores
from workers.ffmpeg.sample_command import sample_windows
from workers.local import local_source
from workers.measuring import measurement_of
from workers.quality import pool
from workers.search import Probe, Searched
from workers.search_memory import memory_of
from workers.sources import open_source
from workers.target import Encoding, Looking, NoMemory

if TYPE_CHECKING:
    from workers.sources import MediaInput

_SLACK_BYTES = 16 << 20  # container and score log beside the stream


def number_of_whole(
    order: SplitOrder, store: ObjectStore, scratch: Path, settings: Settings, attempt: Attempt
) -> int | None:
    """The number that samples of the whole video promise; None where none is looked for, or samples cannot be had.

    Raises:
        LeaseLost: the attempt was given to another worker.
        CinefarmError: the source cannot be read.
    """
    plan = order.plan
    if plan is None or plan.recipe is None or plan.recipe.search is None or plan.gate is None:
        return None
    memory = memory_of(store, order.description, plan) or NoMemory()
    effort = Effort(None, order.description.video.frame_count)
    with _media(order, store, scratch, settings, attempt) as media:
        work = Encoding(
            media, order.description, plan, scratch / "unused", scratch, settings, effort, attempt.cancelled
        )
        return Looking(work, plan.gate, plan.recipe.search, plan.recipe.crf, memory).promised()


@contextmanager
def _media(
    order: SplitOrder, store: ObjectStore, scratch: Path, settings: Settings, attempt: Attempt
) -> Iterator[MediaInput]:
    """The whole source, read where it lies where that is possible."""
    if (media := input_from_afar(order, store, settings)) is not None:
        yield media
        return
    with local_source(store, order.source_key, scratch, attempt.check) as path:
        yield open_source(path, order.description, scratch)


@dataclass(frozen=True)
class ChunkWork:
    """One chunk and how it is encoded, whatever the number."""

    order: ChunkOrder
    source: Source
    scratch: Path
    settings: Settings
    effort: Effort
    cancelled: Callable[[], bool] | None

    @property
    def recipe(self) -> Recipe:
        """The plan's. Raises: InternalFault."""
        if self.order.plan.recipe is None:
            raise InternalFault("a chunk was planned without a recipe")
        return self.order.plan.recipe

    def at(self, crf: int) -> Recipe:
        """The plan's at one number, without a search."""
        return self.recipe.model_copy(update={"crf": crf, "search": None})

    def media(self) -> MediaInput:
        """The chunk's frames and their neighbours. Raises: see open_part."""
        order = self.order
        return open_part(self.source, order.description, order.part, order.timeline, self.scratch)

    def whole(self, crf: int) -> tuple[EncodedChunk, Probe]:
        """Encode all of the chunk. Raises: see encode_chunk."""
        order = self.order
        made = encode_chunk(
            self.media(),
            order.description,
            order.plan.model_copy(update={"recipe": self.at(crf)}),
            order.part,
            order.timeline,
            self.scratch,
            settings=self.settings,
            progress=self.effort.whole(),
            cancelled=self.cancelled,
        )
        pooled = pool(made.scores, order.description.video.frame_rate)
        size = made.path.stat().st_size
        return made, self._probe(crf, pooled, order.part.frames, size, made.seconds, made.cpu_seconds)

    def sample(self, crf: int) -> Probe:
        """Encode and measure places of the chunk: it is decoded as a whole, and the rest dropped. Raises: see encode_chunk."""
        order, recipe, media = self.order, self.at(crf), self.media()
        rate = order.description.video.frame_rate
        shape = chunk_shape(media, order.description, recipe)
        seconds = float(order.part.frames / rate)
        chosen = sample_windows(order.part.frames, seconds, self._search, recipe.gop_seconds)
        measurement = measurement_of(
            order.plan.gate,
            (shape.width, shape.height),
            recipe.threads,
            log="sample-scores.csv",
            strided=False,
            needed_only=True,
        )
        aside = self.scratch / "sample.nut"
        argv = chunk_sample_command(
            ffmpeg_program(),
            media,
            order.description,
            shape,
            recipe,
            order.part,
            order.timeline,
            chosen,
            output=aside,
            measurement=measurement,
        )
        limits = self._limits(recipe, seconds)
        reader = ProgressReader(self.effort.sample(sum(window.last - window.first for window in chosen)))
        with temporary(aside, *(self.scratch / name for name in measurement.files)):
            finished = run_ffmpeg(argv, media, limits, reader, self.cancelled, self.scratch)
            frames = reader.last.frame if reader.last else 0
            pooled = pool(read_scores(self.scratch, measurement, frames), rate)
            size = aside.stat().st_size
        return self._probe(crf, pooled, frames, size, finished.seconds, finished.cpu_seconds)

    @property
    def _search(self) -> Search:
        if self.recipe.search is None:
            raise InternalFault("samples were asked for without a search")
        return self.recipe.search

    def _limits(self, recipe: Recipe, seconds: float) -> Limits:
        return Limits(
            seconds=max(self.settings.transcode_minimum_seconds, seconds / self.settings.transcode_speed_floor),
            memory_bytes=self.settings.child_memory_bytes,
            output_bytes=int(recipe.max_rate_kbit * 125 * (seconds + 1)) + _SLACK_BYTES,
        )

    def _probe(
        self, crf: int, pooled: dict[str, Pooled], frames: int, size_bytes: int, seconds: float, cpu: float
    ) -> Probe:
        rate = float(self.order.description.video.frame_rate)
        load = size_bytes * 8 * rate / (frames * self.recipe.max_rate_kbit * 1000)
        return Probe(crf, pooled, frames, size_bytes, seconds, cpu, round(load, 4))


def encode_by_order(
    order: ChunkOrder, source: Source, store: ObjectStore, scratch: Path, settings: Settings, attempt: Attempt
) -> EncodedChunk:
    """Encode a chunk by its recipe; where that has a search, at the highest number whose result meets the gate.

    Raises:
        InternalFault: planned without recipe or gate.
        CinefarmError: see encode_chunk.
    """

    def report(frame: int) -> None:
        attempt.report(min(1.0, frame / order.part.frames))

    effort = Effort(lambda progress: report(progress.frame), order.part.frames)
    work = ChunkWork(order, source, scratch, settings, effort, attempt.cancelled)
    search = work.recipe.search
    if search is None:
        return work.whole(work.recipe.crf)[0]
    made, searched = _looked(work, _gate(order), search, store)
    return replace(made, searched=searched)


def _looked(work: ChunkWork, gate: Gate, search: Search, store: ObjectStore) -> tuple[EncodedChunk, Searched]:
    order = work.order
    memory = memory_of(store, order.description, order.plan, part=order.part) or NoMemory()
    return Looking(work, gate, search, search.start, memory).result()


def _gate(order: ChunkOrder) -> Gate:
    if order.plan.gate is None:
        raise InternalFault("a chunk was planned without a gate")
    return order.plan.gate
