"""The charts of one item from its evidence and per-frame scores. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from common.media import Description
from common.orders import Plan
from common.recipes import Threshold
from orchestrator.reports import charts
from orchestrator.reports.charts import GateLine, Trial
from orchestrator.reports.words import size

TITLES = {
    "vmaf": ("VMAF", ""),
    "psnr_y": ("PSNR of luma", "dB"),
    "ssim": ("SSIM", ""),
    "psnr_cb": ("PSNR of blue chroma", "dB"),
    "psnr_cr": ("PSNR of red chroma", "dB"),
}

STATISTICS = {
    "mean": "mean",
    "p1": "1st percentile",
    "p5": "5th percentile",
    "min": "worst frame",
    "worst_second": "worst second",
}


@dataclass(frozen=True)
class ItemCharts:
    """What is drawn: one chart a metric, the sizes, the search where there was one."""

    scores: tuple[tuple[str, Markup], ...]  # title, drawing
    sizes: Markup
    search: Markup


def item_charts(
    evidence: dict[str, Any], scores: dict[str, Any], description: Description, plan: Plan, made_bytes: int
) -> ItemCharts:
    """Draw them; a part without evidence is empty."""
    rate = description.video.frame_rate
    worst = evidence.get("worst_frames", {})
    drawn = []
    for metric in sorted(scores, key=lambda name: list(TITLES).index(name) if name in TITLES else 99):
        title, unit = TITLES.get(metric, (metric.replace("_", " "), ""))
        gates = tuple(_gates(plan, metric))
        chart = charts.score_chart(
            f"chart-{metric}", title, scores[metric], rate, unit=unit, gates=gates, worst=worst.get(metric, ())
        )
        drawn.append((title, chart))
    rows = [("source", description.size_bytes, size(description.size_bytes))]
    rows += [("result", made_bytes, size(made_bytes))] if made_bytes else []
    return ItemCharts(
        tuple(drawn), charts.bytes_chart("chart-sizes", "Size before and after", rows), _search(evidence, plan)
    )


def _gates(plan: Plan, metric: str) -> list[GateLine]:
    """The mean's and the bad hundredth's: the lines that a chart over time can show."""
    thresholds = plan.gate.thresholds if plan.gate else ()
    shown = ("mean", "p1", "p99")
    return [_line(each) for each in thresholds if each.metric == metric and each.statistic in shown]


def _line(threshold: Threshold) -> GateLine:
    name = STATISTICS.get(threshold.statistic, threshold.statistic)
    if threshold.minimum is not None:
        return GateLine(threshold.minimum, f"{name} ≥ {threshold.minimum:g}")
    return GateLine(threshold.maximum or 0.0, f"{name} ≤ {threshold.maximum:g}")


def _search(evidence: dict[str, Any], plan: Plan) -> Markup:
    found = evidence.get("search")
    if not found or not found["probes"] or plan.gate is None:
        return Markup("")
    probes = [(probe, not found["sampled"]) for probe in found["probes"]] + [(probe, True) for probe in found["wholes"]]
    tightest = _tightest(plan, [probe for probe, _ in probes])
    if tightest is None:
        return Markup("")
    trials = [
        Trial(
            probe["quality"],
            probe["scores"][tightest.metric][tightest.statistic],
            probe["video_bytes"] / max(1, probe["frames"]),
            whole,
        )
        for probe, whole in probes
    ]
    title = f"The search for the quality number, by {TITLES.get(tightest.metric, (tightest.metric, ''))[0]}"
    return charts.search_chart("chart-search", title, trials, found["chosen"], _line(tightest))


def _tightest(plan: Plan, probes: list[dict[str, Any]]) -> Threshold | None:
    """The threshold that the probes were nearest to, as a share of it."""

    def values(threshold: Threshold) -> list[float | None]:
        return [probe["scores"].get(threshold.metric, {}).get(threshold.statistic) for probe in probes]

    def room(threshold: Threshold) -> float:
        return min((value or 0.0) / (threshold.minimum or 1.0) for value in values(threshold))

    known = [each for each in plan.gate.thresholds if each.minimum and None not in values(each)] if plan.gate else []
    return min(known, key=room, default=None)
