"""The worst frames as pictures: source | result | amplified difference, so that a person sees what a figure means.

They cost little: a file is sought, frames of a DICOM source are fed alone, and only what can do neither is decoded once more. That
these are the frames that were measured is proven: each pair's PSNR must be the one on record. Pictures may show burned-in names:
they lie in the object store and in reports, nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import CinefarmError, InternalFault, LeaseLost
from common.ffmpeg import ffmpeg_program
from common.handling import Interlaced, RatePolicy, treated
from common.logs import logger
from common.media import Description
from common.orders import Plan, Pooled
from common.process import Limits, run
from common.recipes import LOWER_IS_BETTER, Gate, Threshold
from common.settings import Settings
from common.targets import coded_aspect
from workers.encode import shape_of, temporary
from workers.ffmpeg.command import exact_crop
from workers.ffmpeg.parse import PSNR_CAP, Scores
from workers.ffmpeg.sample_command import Window
from workers.ffmpeg.worst_command import AMPLIFIED, LOG, PATTERN, Reading, worst_command
from workers.quality import worst_frames
from workers.threads import cores

if TYPE_CHECKING:
    from workers.ffmpeg.conversion import Conversion
    from workers.sources import MediaInput

log = logger(__name__)

COUNT = 5
"""Frames that are drawn."""

WIDTH, HEIGHT = 480, 480
"""Most pixels of a panel each way."""

COUNTED_FRAMES = 750
"""Up to so many frames a source is decoded from its beginning: half a minute, where seeking five times costs as much."""

_SAME_DB = 0.05  # two programs round one PSNR differently
_LIBVMAF_TOP = 60.0  # dB, 6 · 8 + 12: identical planes, and all above
_STEPS = {"psnr": 0.15, "ssim": 0.001, "ms_ssim": 0.001, "vmaf": 0.4}
"""What counts as one step of a metric, so that slack of different ones can be compared; a choice: each is
about what a person who compares two encodes would call a small difference."""

_OTHER = 0.01  # of its threshold: the step of any other metric
_THREADS = 2


@dataclass(frozen=True)
class Drawn:
    """Pictures of the worst frames, the worst first; none where they were not taken, and why."""

    metric: str = ""
    statistic: str = ""  # of the threshold that was nearest to its limit, or furthest below
    frames: tuple[int, ...] = ()
    files: tuple[Path, ...] = ()
    panel: tuple[int, int] = (0, 0)
    how: str = ""
    why_not: str = ""

    @property
    def named(self) -> tuple[tuple[Path, str], ...]:
        """Each picture, and the name under which it lies beside the evidence."""
        return tuple((file, f"worst/{n}.jpg") for n, file in enumerate(self.files, 1))

    def json(self) -> dict[str, Any]:
        """For the evidence."""
        pictures = [{"frame": frame, "name": name} for frame, (_, name) in zip(self.frames, self.named, strict=False)]
        return {
            "metric": self.metric,
            "statistic": self.statistic,
            "panels": ["source", "result", "difference"],
            "panel_width": self.panel[0],
            "panel_height": self.panel[1],
            "difference_amplified": AMPLIFIED,
            "pictures": pictures,
            "frames_were": self.how,
            "why_not": self.why_not,
        }


@dataclass(frozen=True)
class Compared:
    """A source, what was made of it, and how it was judged."""

    media: MediaInput
    description: Description
    plan: Plan
    result: Path
    scores: Scores
    pooled: dict[str, Pooled]
    passed: bool
    stride: int = 1  # each so-many-th frame was measured


def draw_worst(
    work: Compared, scratch: Path, settings: Settings, *, limits: Limits, cancelled: Callable[[], bool] | None = None
) -> Drawn:
    """Draw the worst frames, if the settings ask for it. Never fails an item: what goes wrong is told in ``why_not``.

    Raises:
        LeaseLost: this attempt is over.
    """
    if settings.worst_frames == "off" or (settings.worst_frames == "quarantined" and work.passed):
        return Drawn(why_not="turned off by the settings")
    if not work.passed and work.plan.rung + 1 < work.plan.rungs:
        return Drawn(why_not="a finer encode follows")
    try:
        return _draw(work, scratch, limits, cancelled)
    except LeaseLost:
        raise
    except CinefarmError as error:
        log.warning("worst_frames_not_drawn", code=error.code)
        return Drawn(why_not=f"{error.code}: {error.message}")
    except Exception as error:  # a picture is no reason to lose an encode
        log.warning("worst_frames_not_drawn", code=type(error).__name__)
        return Drawn(why_not=type(error).__name__)


def deciding(pooled: dict[str, Pooled], gate: Gate) -> Threshold | None:
    """The threshold furthest below its limit, or nearest to it, counted in steps; None: nothing was measured."""
    known = [(slack, each) for each in gate.thresholds if (slack := _slack(pooled, each)) is not None]
    return min(known, key=lambda pair: pair[0], default=(0.0, None))[1]


def _slack(pooled: dict[str, Pooled], threshold: Threshold) -> float | None:
    value = getattr(pooled.get(threshold.metric), threshold.statistic, None)
    other = abs(threshold.limit) * _OTHER or 1.0
    margin = next((size for name, size in _STEPS.items() if threshold.metric.startswith(name)), other)
    if value is None:
        return None
    above = (float(value) - threshold.limit) / margin
    return -above if threshold.metric in LOWER_IS_BETTER else above


def _draw(work: Compared, scratch: Path, limits: Limits, cancelled: Callable[[], bool] | None) -> Drawn:
    if work.plan.gate is None or work.plan.recipe is None:
        raise InternalFault("a result without gate or recipe has no worst frames")
    threshold = deciding(work.pooled, work.plan.gate)
    metric = threshold.metric if threshold else next(iter(work.scores))
    frames = tuple(worst_frames({metric: work.scores[metric]}, COUNT, work.stride)[metric])
    drawn = Drawn(metric, threshold.statistic if threshold else "", frames)
    shape = shape_of(work.media, work.description, work.plan, work.plan.recipe)
    aspect = coded_aspect(_video(work), work.plan.recipe.transfer_syntax_uid) or Fraction(1)
    drawn = replace(drawn, panel=panel_of(shape.width, shape.height, aspect))
    ways = _ways(work)
    for how in ways:
        files = _taken(work, shape, drawn, how, scratch, limits, cancelled)
        if files:
            return replace(drawn, files=files, how=how)
    return replace(drawn, why_not=_WHY_NOT_FOUND if ways else _WHY_NOT_SOUGHT)


_WHY_NOT_FOUND = "the frames that were measured could not be found again by seeking"
_WHY_NOT_SOUGHT = "this source cannot be sought, and its result passed"


def _video(work: Compared) -> Any:
    return treated(work.description.video, work.plan.handling)


def _ways(work: Compared) -> list[str]:
    """How the source's frames may be had, the cheapest first. What passed is not decoded a second time as a whole."""
    retimed = work.plan.handling.rate is RatePolicy.CONSTANT and work.description.video.steady is not None
    in_place = not retimed and work.plan.handling.interlaced is not Interlaced.DEINTERLACE
    if in_place and work.media.picked is not None:
        return ["picked"]
    short = work.media.frame_count <= COUNTED_FRAMES
    ways = ["counted"] if short else ["sought"] if in_place and work.media.seekable else []
    return [*ways, "counted"] if not work.passed and not short else ways


def panel_of(width: int, height: int, aspect: Fraction) -> tuple[int, int]:
    """Width and height of one picture, as it is shown: at most WIDTH × HEIGHT, never larger than the source, even."""
    wide, high = float(width * aspect), float(height)
    factor = min(1.0, WIDTH / wide, HEIGHT / high)
    return max(2, round(wide * factor / 2) * 2), max(2, round(high * factor / 2) * 2)


def _taken(
    work: Compared,
    shape: Conversion,
    drawn: Drawn,
    how: str,
    scratch: Path,
    limits: Limits,
    cancelled: Callable[[], bool] | None,
) -> tuple[Path, ...]:
    """The pictures, the worst first; none where they are not proven to be of the frames that were measured."""
    video, ordered = _video(work), tuple(sorted(drawn.frames))
    rate = video.frame_rate
    half = Fraction(1, 2) / rate
    windows = [Window(n, n + 1, float(max(n / rate - half, 0)), float(1 / rate)) for n in ordered]
    options: dict[str, str | None] = {
        "noautorotate": None,
        "display_rotation": "0",
        "threads": str(min(_THREADS, cores())),
    }
    moved = work.plan.handling.rate is RatePolicy.CONSTANT and work.description.video.steady is not None
    source = replace(work.media, frame_rate=rate)
    before = Reading(source, how, {**options, **exact_crop(work.description.video)}, shape.filters, moved)
    after = Reading(_File(work.result), "sought" if how == "sought" else "counted", options)
    feed = work.media.feed
    if how == "picked" and work.media.picked is not None:
        feed = partial(work.media.picked, ordered)
    names = [scratch / (PATTERN % n) for n in range(1, len(ordered) + 1)]
    proof = scratch / LOG
    argv = worst_command(
        ffmpeg_program(), before, after, windows, drawn.panel, work.plan.recipe.bits if work.plan.recipe else 8
    )
    for file in (proof, *names):
        file.unlink(missing_ok=True)
    with temporary(proof):
        run(argv, name="ffmpeg", limits=limits, feed=feed, cancelled=cancelled, cwd=scratch)
        proven = _same(
            proof.read_text(encoding="ascii"), [float(work.scores["psnr_y"][n // work.stride]) for n in ordered]
        )
    if not proven or not all(name.exists() for name in names):
        for name in names:
            name.unlink(missing_ok=True)
        return ()
    return tuple(names[ordered.index(frame)] for frame in drawn.frames)


def _same(stats: str, recorded: list[float]) -> bool:
    """Whether PSNR of each pair is the one that was measured there."""
    lines = [line for line in stats.splitlines() if "psnr_y:" in line]
    seen = [float(line.split("psnr_y:")[1].split()[0]) for line in lines]
    if len(seen) != len(recorded):
        return False
    top = min(_LIBVMAF_TOP, PSNR_CAP)
    return all(abs(a - b) <= _SAME_DB or min(a, b) >= top - _SAME_DB for a, b in zip(seen, recorded, strict=True))


@dataclass(frozen=True)
class _File:
    """A result, as FFmpeg reads it."""

    path: Path

    @property
    def args(self) -> tuple[str, ...]:
        return ("-i", str(self.path.absolute()))

    frame_rate = Fraction(0)
