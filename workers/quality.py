"""From per-frame scores to a verdict. Pure, and it fails closed: what was not measured has not passed.

PSNR is pooled over per-frame dB values (not over the MSE), as libvmaf reports them. libvmaf ends PSNR of 8-bit
samples at 60 dB (6·bits + 12); other measurers give infinity for identical planes. Here a value above 100 dB counts as
100, so that a mean stays a number; the difference to lossless is far above every threshold either way.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.errors import InternalFault, UnsupportedSource
from common.orders import Pooled, Verdict
from common.recipes import LOWER_IS_BETTER, Gate, Threshold
from workers.ffmpeg.parse import PSNR_CAP, Scores

_SMALLEST = 32  # pixels a side: VIF and ADM halve a picture four times, and libvmaf crashes on one of 16
_LEAST = 1e-9  # stands for 0 in the harmonic mean, which a single 0 makes 0


def check_measurable(width: int, height: int) -> None:
    """Refuse a picture (pixels) that VMAF cannot look at; without a score nothing passes a gate.

    Raises:
        UnsupportedSource: it is too small.
    """
    if min(width, height) < _SMALLEST:
        raise UnsupportedSource(f"{width}×{height} is too small to measure: VMAF needs {_SMALLEST} pixels a side")


def pool(scores: Scores, frame_rate: Fraction, stride: int = 1) -> dict[str, Pooled]:
    """Pool every metric over all frames, shown at so many a second; ``stride``: each so-many-th was measured.

    Raises:
        InternalFault: a metric has no frames.
    """
    second = max(1, round(frame_rate / stride))
    return {metric: _pool(metric, values, second) for metric, values in scores.items()}


def _pool(metric: str, values: NDArray[np.float32], second: int) -> Pooled:
    if not len(values):
        raise InternalFault(f"{metric} was measured on no frame")
    exact = values.astype(np.float64)
    if metric.startswith("psnr"):
        exact = np.minimum(exact, PSNR_CAP)
    lower = metric in LOWER_IS_BETTER
    p1, p5, p95, p99 = np.percentile(exact, (1, 5, 95, 99), method="linear")
    upper = {"max": float(exact.max()), "p95": float(p95), "p99": float(p99)} if lower else {}
    frames = min(second, len(exact))
    return Pooled(
        mean=float(exact.mean()),
        harmonic_mean=float(len(exact) / np.sum(1.0 / np.maximum(exact, _LEAST))),
        min=float(exact.min()),
        p1=float(p1),
        p5=float(p5),
        worst_second=-_worst_stretch(-exact, frames) if lower else _worst_stretch(exact, frames),
        **upper,
    )


def _worst_stretch(values: NDArray[np.float64], frames: int) -> float:
    """The lowest mean of so many consecutive values."""
    sums = np.cumsum(np.concatenate(([0.0], values)))
    return float(np.min(sums[frames:] - sums[:-frames]) / frames)


def judge(pooled: dict[str, Pooled], gate: Gate, also: tuple[str, ...] = ()) -> Verdict:
    """Hold the pooled figures against the gate; every miss is told, and what others found (``also``).

    NaN, infinity and what is missing fail.
    """
    misses = (*(miss for threshold in gate.thresholds if (miss := _miss(pooled, threshold))), *also)
    return Verdict(passed=not misses, misses=misses)


def _miss(pooled: dict[str, Pooled], threshold: Threshold) -> str | None:
    name, lower = f"{threshold.metric} {threshold.statistic}", threshold.metric in LOWER_IS_BETTER
    asked = f"(at {'most' if lower else 'least'} {threshold.limit:g} is asked)"
    figure = getattr(pooled.get(threshold.metric), threshold.statistic, None)
    if figure is None or threshold.statistic not in Pooled.model_fields:
        return f"{name} was not measured {asked}"
    value = float(figure)
    if not np.isfinite(value):
        return f"{name} is {value}, no measurement {asked}"
    if met(value, threshold):
        return None
    return f"{name} {value:.4f} {'>' if lower else '<'} {threshold.limit:g}"


def met(value: float, threshold: Threshold) -> bool:
    """Whether a figure is on the right side of its threshold; what is no number is not."""
    return value <= threshold.limit if threshold.metric in LOWER_IS_BETTER else value >= threshold.limit


def worst_frames(scores: Scores, count: int, stride: int = 1) -> dict[str, list[int]]:
    """The ``count`` worst frames of each metric (0 is the first), the worst first; ties in order of time."""
    return {
        metric: [
            int(n) * stride for n in np.argsort(-values if metric in LOWER_IS_BETTER else values, kind="stable")[:count]
        ]
        for metric, values in scores.items()
    }


def save_scores(path: Path, scores: Scores) -> None:
    """Write the per-frame scores as a compressed .npz: one float32 column per metric, named like it."""
    with path.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **scores)


def load_scores(path: Path) -> Scores:
    """Read what save_scores wrote."""
    with np.load(path, allow_pickle=False) as columns:
        return {name: columns[name].astype(np.float32) for name in columns.files}
