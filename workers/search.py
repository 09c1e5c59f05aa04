"""Find the highest constant-quality number (CRF, CQ, quantiser) whose result still meets the gate. Pure.

Samples of the video are encoded at a few numbers, the scores between them are interpolated, and the number that is
predicted to pass is confirmed on the whole video (as ab-av1 and Av1an do). Sampled scores can be too good (ab-av1's users
saw 1.5 to 2.7 VMAF), so a sample has to pass with a margin and only a whole encode is ever judged.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from common.orders import Pooled
from common.recipes import LOWER_IS_BETTER, MEANS, Gate, Search, Threshold
from workers.quality import met

SLOPE = -0.6
"""What a step of the number costs at first guess, dB, until two probes tell (x264, 1080p: PSNR 0.5, SSIM 0.5, VMAF 0.9)."""

MARGIN, VMAF_MARGIN, TAIL_MARGIN = 0.15, 0.4, 0.5
"""By how much a sample has to be better than the gate, dB on the straight scale: in a mean of PSNR and SSIM, in a mean of VMAF,
and where a worst stretch is asked for. Few frames show it too well: on smoke SSIM's 1st percentile was 0.45 dB worse on the
whole than on 5 % of it, on fast cuts VMAF's mean 0.57 dB (0.9 points)."""

TOPS = {"ssim": 1.0, "vmaf": 100.0}
"""Metrics that saturate. Their distance to the top, in dB, falls in a straight line where they themselves bend."""

STEEP = 1.0
"""dB a step from which on samples between two numbers are taken to be as bad as at the coarser one. A worst stretch can jump: on
smoke SSIM's 1st percentile was 0.945 at 16 and above 0.96 at 15, where it fell by 0.6 dB a step elsewhere."""

NEAR = 4
"""Steps between two probes within which the scores in between are taken as known."""


CAPPED = 0.85
"""Mean rate as a part of the peak rate from which on the buffer, not the number, decides what is coded (mpeg2video: 0.9 is its
mean rate, workers.ffmpeg.mpeg2): a finer number gives the same bytes."""

WHOLE_TRIES = 2
"""Whole encodes after one that missed its gate, at numbers that the curve names. After them the curve is not believed any more:
one half-way to the finest number, and one at the finest."""

MOST_WHOLES = 1 + WHOLE_TRIES + 2
"""Whole encodes of one search. Only when the finest number has missed is it the next rung's turn: its number may be coarser."""


@dataclass(frozen=True)
class Probe:
    """One encode at one number, of samples or of the whole."""

    crf: int
    pooled: dict[str, Pooled]
    frames: int
    video_bytes: int
    seconds: float  # wall time
    cpu_seconds: float = 0.0  # FFmpeg's, all threads together
    load: float = 0.0  # mean rate as a part of the peak rate that the level and the recipe allow

    @property
    def capped(self) -> bool:
        """The peak rate, not the number, decided its quality."""
        return self.load >= CAPPED


@dataclass(frozen=True)
class Curve:
    """What is known of a video under one recipe and gate."""

    probes: tuple[Probe, ...] = ()
    wholes: tuple[Probe, ...] = ()


@dataclass(frozen=True)
class Searched(Curve):
    """The curve that led to a result: every probe, and which numbers the whole was encoded at, the result's last."""

    sampled: bool = True  # False: each probe was an encode of the whole
    why_not: str = ""  # samples could not be taken; the recipe's own number was used
    remembered: int = 0  # encodes that an earlier search had made

    @property
    def chosen(self) -> int:
        """The number of the result."""
        return self.wholes[-1].crf

    @property
    def capped(self) -> bool:
        """No finer number would have been better."""
        return self.wholes[-1].capped


def next_probe(probes: Sequence[Probe], gate: Gate, search: Search, *, exact: bool) -> int | None:
    """The number to encode at next; None: what is known is enough.

    ``exact``: a probe is itself the result, so the choice must have been encoded; else it may lie between two.
    """
    if not probes:
        return search.start
    best = predicted_best(probes, gate, search, margin=0 if exact else 1)
    known = {probe.crf for probe in probes}
    finest = min(probes, key=lambda probe: probe.crf)
    if exact and finest.capped and not meets(finest, gate):
        return None  # the peak rate is used up: no finer one is better, and coarser ones are worse
    if len(probes) >= search.probes:
        return _beyond(probes, best, gate, search) if exact else None
    if best is None:  # the finest has been tried, or is tried now
        return None if search.finest in known else search.finest
    if best in known:
        coarser = best + 1
        if coarser in known or coarser > search.coarsest:
            return None
        unsure = len(probes) == 1 or (exact and _meets(probes, gate, coarser, margin=-1))
        return coarser if unsure else None
    lower = max((crf for crf in known if crf < best), default=None)
    upper = min((crf for crf in known if crf > best), default=None)
    between = lower is not None and upper is not None and upper - lower <= NEAR
    return None if between and not exact else best


def _beyond(probes: Sequence[Probe], best: int | None, gate: Gate, search: Search) -> int | None:
    """The number to encode when as many probes as planned are there and none has met the gate; None: one has, or it is hopeless.

    Where a curve bends, each probe may fall just short of what the ones before it promised. Such a clip is not given up while
    a finer number is left: at least half of the way to the finest is gone each time, so this ends.
    """
    last = min(probe.crf for probe in probes)
    if best_passing(probes, gate) is not None or last == search.finest:
        return None
    half = (last + search.finest) // 2
    return half if best is None else min(best, half)


def predicted_best(probes: Sequence[Probe], gate: Gate, search: Search, *, margin: float) -> int | None:
    """The highest number that is predicted to meet the gate by so many margins, as all finer ones are; None: none does."""
    best = None
    for crf in range(search.finest, search.coarsest + 1):
        if not _meets(probes, gate, crf, margin=margin):
            break
        best = crf
    return best


def best_passing(probes: Sequence[Probe], gate: Gate) -> Probe | None:
    """The highest probe that meets the gate as measured."""
    return max((probe for probe in probes if meets(probe, gate)), key=lambda probe: probe.crf, default=None)


def meets(probe: Probe, gate: Gate) -> bool:
    """Whether it meets the gate as measured."""
    return all(met(_value(probe, each), each) for each in gate.thresholds)


def next_whole(curve: Curve, gate: Gate, search: Search, given: int) -> int | None:
    """The number to encode the whole at; None: the last one is the result, whether or not it has met the gate.

    ``given``: what is taken when there are no samples. Each number is finer than the one before, so this ends.
    """
    if not curve.wholes:
        best = predicted_best(curve.probes, gate, search, margin=1) if curve.probes else given
        return search.finest if best is None else best
    last = curve.wholes[-1]
    if not curve.probes or meets(last, gate) or last.capped or last.crf == search.finest:
        return None
    if len(curve.wholes) > WHOLE_TRIES:
        return (last.crf + search.finest) // 2 if len(curve.wholes) == WHOLE_TRIES + 1 else search.finest
    return step_finer(curve.probes, curve.wholes, gate, search)


def step_finer(samples: Sequence[Probe], wholes: Sequence[Probe], gate: Gate, search: Search) -> int | None:
    """The number for the next whole encode after the last one missed its gate; None: no finer one is left.

    The curve of the samples, shifted to what the whole showed.
    """
    last = wholes[-1]
    for crf in range(last.crf - 1, search.finest - 1, -1):
        gained = (
            straight(each.metric, _value(last, each)) + (predict(samples, each, crf) - predict(samples, each, last.crf))
            >= _wanted(each)
            for each in gate.thresholds
        )
        if all(gained):
            return crf
    return search.finest if search.finest < last.crf else None


def predict(probes: Sequence[Probe], threshold: Threshold, crf: int, *, cautious: bool = False) -> float:
    """The figure at a number, in dB: on the line through the two probes around it or, outside, next to it.

    ``cautious``: where that line falls steeply, the worse of the two.
    """
    points = sorted((probe.crf, straight(threshold.metric, _value(probe, threshold))) for probe in probes)
    if len(points) == 1:
        return points[0][1] + SLOPE * (crf - points[0][0])
    right = next((n for n, (at, _) in enumerate(points) if at >= crf and n), len(points) - 1)
    (x0, y0), (x1, y1) = points[right - 1], points[right]
    slope = (y1 - y0) / (x1 - x0)
    if not x0 <= crf <= x1:
        slope = min(slope, 0.0)
    elif cautious and slope < -STEEP and x0 < crf:
        return y1
    at, value = (x0, y0) if crf <= x1 else (x1, y1)
    return value + slope * (crf - at)


def straight(metric: str, value: float) -> float:
    """A figure on a scale where its curve over the number is about straight and better is higher: PSNR as it is, damage with its
    sign turned, others as distance to their top."""
    if metric in LOWER_IS_BETTER:
        return -value
    top = next((top for name, top in TOPS.items() if metric.startswith(name)), None)
    if top is None or not math.isfinite(value):
        return value
    return -10 * math.log10(max(1 - value / top, 0.0) + _FLOOR)


_FLOOR = 1e-3  # of a distance to the top: no picture is closer


def _meets(probes: Sequence[Probe], gate: Gate, crf: int, *, margin: float) -> bool:
    return all(predict(probes, each, crf, cautious=margin > 0) >= _wanted(each, margin) for each in gate.thresholds)


def _wanted(threshold: Threshold, margins: float = 0.0) -> float:
    of_mean = VMAF_MARGIN if threshold.metric.startswith("vmaf") else MARGIN
    margin = of_mean if threshold.statistic in MEANS else TAIL_MARGIN
    return straight(threshold.metric, threshold.limit) + margins * margin


def _value(probe: Probe, threshold: Threshold) -> float:
    """What was not measured has not passed."""
    pooled = probe.pooled.get(threshold.metric)
    value = getattr(pooled, threshold.statistic, None)
    if value is None:
        return math.inf if threshold.metric in LOWER_IS_BETTER else -math.inf
    return float(value)
