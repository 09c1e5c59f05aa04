"""How a result stands to its gate: which threshold is missed by most or met by least. Pure."""

from __future__ import annotations

from typing import Any

from common.orders import Pooled
from common.recipes import LOWER_IS_BETTER, Gate, Threshold
from orchestrator.reports.charts import GateLine

UNITS = {"psnr": 0.15, "ssim": 0.001, "ms_ssim": 0.001, "vmaf": 0.4}
"""What counts as one step of a metric, so that metrics of different scale can be compared (docs/quality.md)."""

STATISTICS = {
    "mean": "mean",
    "harmonic_mean": "harmonic mean",
    "min": "worst frame",
    "max": "worst frame",
    "p1": "1st percentile",
    "p5": "5th percentile",
    "p95": "95th percentile",
    "p99": "99th percentile",
    "worst_second": "worst second",
}

METRICS = {
    "psnr_y": ("PSNR of luma", "dB"),
    "psnr_cb": ("PSNR of Cb", "dB"),
    "psnr_cr": ("PSNR of Cr", "dB"),
    "psnr_rgb": ("PSNR in RGB", "dB"),
    "ssim": ("SSIM", ""),
    "ms_ssim": ("MS-SSIM", ""),
    "vmaf": ("VMAF", ""),
    "vmaf_neg": ("VMAF NEG", ""),
    "cambi": ("Banding (CAMBI)", "lower is better"),
    "cambi_source": ("Banding of the source (CAMBI)", "lower is better"),
    "cambi_added": ("Banding added (CAMBI)", "lower is better"),
}


def title_of(metric: str) -> str:
    """The metric's name for people; one that is not known is called as it is."""
    return METRICS.get(metric, (metric.replace("_", " "), ""))[0]


def unit_of(metric: str) -> str:
    """Its unit; empty: it has none."""
    return METRICS.get(metric, ("", ""))[1]


def in_words(threshold: Threshold) -> str:
    """A threshold as a person says it: ``worst second ≥ 38``."""
    sign = "≤" if threshold.metric in LOWER_IS_BETTER else "≥"
    return f"{STATISTICS.get(threshold.statistic, threshold.statistic)} {sign} {threshold.limit:g}"


def gate_lines(gate: Gate | None, metric: str) -> list[GateLine]:
    """The gate's lines in a chart of this metric; thresholds with one limit are one line."""
    known = [each for each in (gate.thresholds if gate else ()) if each.metric == metric]
    lines = []
    for limit in dict.fromkeys(each.limit for each in known):
        alike = [each for each in known if each.limit == limit]
        names = [STATISTICS.get(each.statistic, each.statistic) for each in alike[:-1]]
        lines.append(GateLine(limit, ", ".join([*names, in_words(alike[-1])])))
    return lines


def in_order(metric: str) -> tuple[int, str]:
    """Sorts metrics as people read them: luma first, then what is derived, then what nobody has named here."""
    known = list(METRICS)
    return (known.index(metric) if metric in known else len(known), metric)


def figure_of(scores: dict[str, Any], threshold: Threshold) -> float | None:
    """The pooled figure that a threshold speaks of, of pooled values or their JSON; None: it was not measured."""
    pooled = scores.get(threshold.metric)
    value = pooled.get(threshold.statistic) if isinstance(pooled, dict) else getattr(pooled, threshold.statistic, None)
    return None if value is None else float(value)


def slack(scores: dict[str, Any] | dict[str, Pooled], threshold: Threshold) -> float | None:
    """By how many steps a result is better than a threshold; below 0: it misses. None: it was not measured."""
    value = figure_of(scores, threshold)
    if value is None:
        return None
    unit = next((size for name, size in UNITS.items() if threshold.metric.startswith(name)), 0.0)
    above = (value - threshold.limit) / (unit or abs(threshold.limit) * 0.01 or 1.0)
    return -above if threshold.metric in LOWER_IS_BETTER else above


def nearest(scores: dict[str, Any] | dict[str, Pooled], gate: Gate | None) -> tuple[float, Threshold] | None:
    """The threshold with the least slack, and how much; None: nothing was measured."""
    known = [(found, each) for each in (gate.thresholds if gate else ()) if (found := slack(scores, each)) is not None]
    return min(known, key=lambda pair: pair[0], default=None)
