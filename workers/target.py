"""Encode at the highest constant-quality number whose result meets the gate: look by samples, confirm on the whole."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Generic, Protocol, TypeVar, cast

from common.errors import CinefarmError, InternalFault, LeaseLost
from common.ffmpeg import ffmpeg_program
from common.handling import treated
from common.logs import logger
from common.media import Description
from common.orders import Plan, Pooled
from common.recipes import Gate, Recipe, Search
from common.settings import Settings
from workers.effort import Effort
from workers.encode import Asked, Encoded, Report, encode, limits_of, run_ffmpeg, shape_of, temporary
from workers.ffmpeg.parse import ProgressReader, read_scores
from workers.ffmpeg.sample_command import Window, sample_command, sample_windows
from workers.measuring import measurement_of
from workers.quality import pool
from workers.search import Curve, Probe, Searched, best_passing, next_probe, next_whole
from workers.threads import cores

if TYPE_CHECKING:
    from workers.sources import MediaInput

log = logger(__name__)

Made = TypeVar("Made")
Made_co = TypeVar("Made_co", covariant=True)


class Memory(Protocol):
    """What earlier searches of the same video by the same recipe, gate and tools have found."""

    def recall(self) -> Curve:
        """The curve as far as it is known; empty when it is not."""
        ...

    def keep(self, curve: Curve) -> None:
        """Remember it. What cannot be kept is not: a search must not fail by it."""
        ...


class NoMemory:
    """Every search begins anew."""

    def recall(self) -> Curve:
        """Nothing is known."""
        return Curve()

    def keep(self, curve: Curve) -> None:
        """Nothing is kept."""


class Work(Protocol[Made_co]):
    """A video, or a part of one, that can be encoded at any number."""

    def sample(self, crf: int) -> Probe:
        """Encode and measure a few places of it."""
        ...

    def whole(self, crf: int) -> tuple[Made_co, Probe]:
        """Encode and measure all of it."""
        ...


@dataclass(frozen=True)
class Looking(Generic[Made]):
    """One search by samples."""

    work: Work[Made]
    gate: Gate
    search: Search
    given: int  # the number that is taken where samples cannot be had
    memory: Memory = field(default_factory=NoMemory)

    def result(self) -> tuple[Made, Searched]:
        """Look for the number by samples, confirm it on the whole; where that misses, step finer.

        A result that still misses the gate is the finest one that was tried, and its scores say so. At most
        ``search.probes`` samples and ``MOST_WHOLES`` wholes are encoded.

        Raises:
            CinefarmError: of encoding the whole.
        """
        known = self.memory.recall()
        probes, why_not = self._probes(known)
        curve = Curve(probes, known.wholes if probes else ())
        remembered = len(known.probes) + len(known.wholes) if probes else 0
        crf, made = self._next(curve), None
        while crf is not None or made is None:
            crf = curve.wholes[-1].crf if crf is None else crf  # an earlier search's result, which is not here
            made, whole = self.work.whole(crf)
            curve = replace(curve, wholes=(*(one for one in curve.wholes if one.crf != crf), whole))
            if probes:
                self.memory.keep(curve)
            crf = self._next(curve)
            if crf is not None:
                log.info("search_stepped_finer", missed=whole.crf, next=crf)
        return made, Searched(curve.probes, curve.wholes, sampled=True, why_not=why_not, remembered=remembered)

    def promised(self) -> int | None:
        """The number that the samples promise; None where they cannot be had. Raises: LeaseLost."""
        probes, _ = self._probes(self.memory.recall())
        return self._next(Curve(probes)) if probes else None

    def _next(self, curve: Curve) -> int | None:
        return next_whole(curve, self.gate, self.search, self.given)

    def _probes(self, known: Curve) -> tuple[tuple[Probe, ...], str]:
        """The curve of the samples; a source that cannot be sampled gives none, and the reason."""
        probes = known.probes
        try:
            while (crf := next_probe(probes, self.gate, self.search, exact=False)) is not None:
                probes = (*probes, self.work.sample(crf))
                self.memory.keep(Curve(probes))
        except LeaseLost:
            raise
        except CinefarmError as error:  # the whole encode says what is wrong with the source, or manages without
            log.warning("sampling_failed", code=error.code)
            return (), f"{error.code}: {error.message}"
        return probes, ""


@dataclass(frozen=True)
class Encoding:
    """One video and how it is encoded, whatever the number."""

    media: MediaInput
    description: Description
    plan: Plan
    output: Path
    scratch: Path
    settings: Settings
    effort: Effort
    cancelled: Asked | None

    @property
    def recipe(self) -> Recipe:
        """The plan's. Raises: InternalFault."""
        if self.plan.recipe is None:
            raise InternalFault("an encode was planned without a recipe")
        return self.plan.recipe

    @property
    def rate(self) -> Fraction:
        """Frames per second of what is encoded."""
        return treated(self.description.video, self.plan.handling).frame_rate

    def at(self, crf: int) -> Recipe:
        """The plan's at one number, without a search."""
        return self.recipe.model_copy(update={"crf": crf, "search": None})

    def whole(self, crf: int) -> tuple[Encoded, Probe]:
        """Encode all of it. Raises: see workers.encode.encode."""
        return self.into(self.output, crf)

    def into(self, output: Path, crf: int) -> tuple[Encoded, Probe]:
        """Encode all of it into this file. Raises: see workers.encode.encode."""
        made = encode(
            self.media,
            self.description,
            self.plan.model_copy(update={"recipe": self.at(crf)}),
            output,
            self.scratch,
            settings=self.settings,
            progress=self.effort.whole(),
            cancelled=self.cancelled,
        )
        pooled = pool(made.scores, self.rate, made.stride)
        return made, self._probe(crf, pooled, made.frame_count, made.size_bytes, made.seconds, made.cpu_seconds)

    def sample(self, crf: int) -> Probe:
        """Encode and measure the samples. Raises: see workers.encode.encode."""
        video = treated(self.description.video, self.plan.handling)
        recipe = self.at(crf)
        shape = shape_of(self.media, self.description, self.plan, recipe)
        chosen = self._windows()
        media = fed_alone(self.media, chosen)
        aside = self.scratch / "sample.nut"
        measurement = measurement_of(
            self.plan.gate,
            (shape.width, shape.height),
            cores(shape.width * shape.height),
            log="sample-scores.csv",
            strided=False,
            needed_only=True,
        )
        argv = sample_command(
            ffmpeg_program(),
            replace(media, frame_rate=video.frame_rate),
            self.description.model_copy(update={"video": video}),
            shape,
            recipe,
            () if media is not self.media else chosen,
            seekable=media.seekable,
            output=aside,
            measurement=measurement,
            render_node=self.settings.render_node,
        )
        limits = limits_of(recipe, video.frame_count, video.frame_rate, self.settings)
        reader = ProgressReader(self.effort.sample(sum(window.last - window.first for window in chosen)))
        with temporary(aside, *(self.scratch / name for name in measurement.files)):
            finished = run_ffmpeg(argv, media, limits, reader, self.cancelled, self.scratch, recipe)
            frames = reader.last.frame if reader.last else 0
            pooled = pool(read_scores(self.scratch, measurement, frames), self.rate)
            size = aside.stat().st_size
        return self._probe(crf, pooled, frames, size, finished.seconds, finished.cpu_seconds)

    def _probe(
        self, crf: int, pooled: dict[str, Pooled], frames: int, size_bytes: int, seconds: float, cpu: float
    ) -> Probe:
        load = size_bytes * 8 * float(self.rate) / (frames * self.recipe.max_rate_kbit * 1000)
        return Probe(crf, pooled, frames, size_bytes, seconds, cpu, round(load, 4))

    def _windows(self) -> tuple[Window, ...]:
        video, search = self.description.video, self.recipe.search
        if search is None:
            raise InternalFault("samples were asked for without a search")
        return sample_windows(video.frame_count, video.duration_ms / 1000, search, self.recipe.gop_seconds)


def fed_alone(media: MediaInput, chosen: tuple[Window, ...]) -> MediaInput:
    """Frames that lie apart are fed alone: the others need not be decoded. What else comes through a pipe comes whole."""
    feed = media.feed
    if feed is None or not media.frames_apart:
        return media

    def some(out: BinaryIO) -> None:
        for window in chosen:
            cast(Any, feed)(out, first=window.first, last=window.last)

    return replace(media, feed=some, frame_count=sum(window.last - window.first for window in chosen))


def encode_by_plan(
    media: MediaInput,
    description: Description,
    plan: Plan,
    output: Path,
    scratch: Path,
    *,
    settings: Settings,
    progress: Report | None = None,
    cancelled: Asked | None = None,
    memory: Memory | None = None,
) -> Encoded:
    """Encode by ``plan.recipe``; where it has a search, at the highest number whose result meets ``plan.gate``.

    ``memory``: what is known of this video under this plan. Progress counts the probes too.

    Raises:
        CinefarmError: see workers.encode.encode.
    """
    effort = Effort(progress, description.video.frame_count)
    work = Encoding(media, description, plan, output, scratch, settings, effort, cancelled)
    search, gate = work.recipe.search, plan.gate
    if search is None:
        return encode(
            media, description, plan, output, scratch, settings=settings, progress=progress, cancelled=cancelled
        )
    if gate is None:
        raise InternalFault("a search was planned without a gate")
    memory = memory or NoMemory()
    if description.video.duration_ms <= search.whole_seconds * 1000:
        made, searched = _by_wholes(work, gate, search, memory)
    else:
        made, searched = Looking(work, gate, search, work.recipe.crf, memory).result()
    return replace(made, searched=searched)


def _by_wholes(work: Encoding, gate: Gate, search: Search, memory: Memory) -> tuple[Encoded, Searched]:
    """A short clip is its own sample: the best of its encodes is the result."""
    known = memory.recall().probes
    probes, kept = list(known), dict[int, Encoded]()

    def make(crf: int) -> Probe:
        made, probe = work.into(work.scratch / f"probe-{crf}", crf)
        kept[crf] = made
        return probe

    while (crf := next_probe(probes, gate, search, exact=True)) is not None:
        probes.append(make(crf))
        memory.keep(Curve(tuple(probes)))
        for other in [other for other in kept if other != _wanted(probes, gate).crf]:
            kept.pop(other).path.unlink()
    last = _wanted(probes, gate)
    if last.crf not in kept:  # an earlier search's, which is not here
        make(last.crf)
    result = kept[last.crf]
    result.path.replace(work.output)
    searched = Searched(tuple(probes), (last,), sampled=False, remembered=len(known))
    return replace(result, path=work.output), searched


def _wanted(probes: list[Probe], gate: Gate) -> Probe:
    return best_passing(probes, gate) or min(probes, key=lambda one: one.crf)
