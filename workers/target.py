"""Encode at the highest constant-quality number whose result meets the gate: look by samples, confirm on the whole."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import CinefarmError, InternalFault, LeaseLost
from common.ffmpeg import ffmpeg_program
from common.handling import treated
from common.logs import logger
from common.media import Description
from common.orders import Plan
from common.recipes import Gate, Recipe, Search
from common.settings import Settings
from workers.encode import Asked, Encoded, Report, cores, encode, limits_of, run_ffmpeg, shape_of, temporary
from workers.ffmpeg.parse import ProgressReader, read_scores
from workers.ffmpeg.sample_command import sample_command, windows
from workers.measuring import measurement_of
from workers.quality import pool
from workers.search import Probe, Searched, best_passing, next_probe, predicted_best, step_finer

if TYPE_CHECKING:
    from workers.sources import MediaInput

log = logger(__name__)

WHOLE_TRIES = 2
"""Whole encodes after one that missed its gate; then the next rung of the ladder, which is a large step finer, has its turn."""


@dataclass(frozen=True)
class Encoding:
    """One video and how it is encoded, whatever the number."""

    media: MediaInput
    description: Description
    plan: Plan
    scratch: Path
    settings: Settings
    progress: Report | None
    cancelled: Asked | None

    @property
    def recipe(self) -> Recipe:
        """The plan's. Raises: InternalFault."""
        if self.plan.recipe is None:
            raise InternalFault("an encode was planned without a recipe")
        return self.plan.recipe

    def at(self, crf: int) -> Plan:
        """The same plan at one number, without a search."""
        return self.plan.model_copy(update={"recipe": self.recipe.model_copy(update={"crf": crf, "search": None})})

    def whole(self, crf: int, output: Path) -> tuple[Encoded, Probe]:
        """Encode all of it. Raises: see workers.encode.encode."""
        made = encode(
            self.media,
            self.description,
            self.at(crf),
            output,
            self.scratch,
            settings=self.settings,
            progress=self.progress,
            cancelled=self.cancelled,
        )
        pooled = pool(made.scores, self.description.video.frame_rate, made.stride)
        return made, Probe(crf, pooled, made.frame_count, made.size_bytes, made.seconds)


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
) -> Encoded:
    """Encode by ``plan.recipe``; where it has a search, at the highest number whose result meets ``plan.gate``.

    A result that still misses the gate is the finest one that was tried, and its scores say so.

    Raises:
        CinefarmError: see workers.encode.encode.
    """
    work = Encoding(media, description, plan, scratch, settings, progress, cancelled)
    search, gate = work.recipe.search, plan.gate
    if search is None:
        return encode(
            media, description, plan, output, scratch, settings=settings, progress=progress, cancelled=cancelled
        )
    if gate is None:
        raise InternalFault("a search was planned without a gate")
    short = description.video.duration_ms <= search.whole_seconds * 1000
    made, searched = (_by_wholes if short else _by_samples)(work, gate, search, output)
    return replace(made, searched=searched)


def _by_wholes(work: Encoding, gate: Gate, search: Search, output: Path) -> tuple[Encoded, Searched]:
    """A short clip is its own sample: the best of its encodes is the result."""
    probes: list[Probe] = []
    kept: dict[int, Encoded] = {}
    while (crf := next_probe(probes, gate, search, exact=True)) is not None:
        made, probe = work.whole(crf, work.scratch / f"probe-{crf}")
        probes.append(probe)
        kept[crf] = made
        wanted = best_passing(probes, gate) or min(probes, key=lambda one: one.crf)
        for other in [other for other in kept if other != wanted.crf]:
            kept.pop(other).path.unlink()
    (result,) = kept.values()
    (crf,) = kept
    result.path.replace(output)
    last = next(probe for probe in probes if probe.crf == crf)
    return replace(result, path=output), Searched(tuple(probes), (last,), sampled=False)


def _by_samples(work: Encoding, gate: Gate, search: Search, output: Path) -> tuple[Encoded, Searched]:
    """Look for the number by samples, confirm it on the whole; where that misses, step finer."""
    probes, why_not = _probes(work, gate, search)
    crf = predicted_best(probes, gate, search, margin=1) if probes else work.recipe.crf
    crf = search.finest if crf is None else crf
    wholes: list[Probe] = []
    while True:
        made, whole = work.whole(crf, output)
        wholes.append(whole)
        finer = step_finer(probes, wholes, gate, search) if probes else None
        if best_passing([whole], gate) or finer is None or len(wholes) > WHOLE_TRIES:
            return made, Searched(tuple(probes), tuple(wholes), sampled=True, why_not=why_not)
        log.info("search_stepped_finer", missed=crf, next=finer)
        crf = finer


def _probes(work: Encoding, gate: Gate, search: Search) -> tuple[list[Probe], str]:
    """The curve of the samples; a source that cannot be sampled gives none, and the reason."""
    probes: list[Probe] = []
    try:
        while (crf := next_probe(probes, gate, search, exact=False)) is not None:
            probes.append(_sample(work, crf, search))
    except LeaseLost:
        raise
    except CinefarmError as error:  # the whole encode says what is wrong with the source, or manages without
        log.warning("sampling_failed", code=error.code)
        return [], f"{error.code}: {error.message}"
    return probes, ""


def _sample(work: Encoding, crf: int, search: Search) -> Probe:
    recipe = work.at(crf).recipe
    if recipe is None:
        raise InternalFault("an encode was planned without a recipe")
    video = treated(work.description.video, work.plan.handling)
    shape = shape_of(work.media, work.description, work.plan, recipe)
    source = work.description.video
    chosen = windows(source.frame_count, source.duration_ms / 1000, share=search.share, count=search.samples)
    aside = work.scratch / "sample.nut"
    measurement = measurement_of(
        work.plan.gate,
        (shape.width, shape.height),
        cores(shape.width * shape.height),
        log="sample-scores.csv",
        strided=False,
        needed_only=True,
    )
    argv = sample_command(
        ffmpeg_program(),
        replace(work.media, frame_rate=video.frame_rate),
        work.description.model_copy(update={"video": video}),
        shape,
        recipe,
        chosen,
        seekable=work.media.seekable,
        output=aside,
        measurement=measurement,
        render_node=work.settings.render_node,
    )
    limits = limits_of(recipe, video.frame_count, video.frame_rate, work.settings)
    reader = ProgressReader(None)
    with temporary(aside, *(work.scratch / name for name in measurement.files)):
        finished = run_ffmpeg(argv, work.media, limits, reader, work.cancelled, work.scratch, recipe)
        frames = reader.last.frame if reader.last else 0
        pooled = pool(read_scores(work.scratch, measurement, frames), video.frame_rate)
        return Probe(crf, pooled, frames, aside.stat().st_size, finished.seconds)
