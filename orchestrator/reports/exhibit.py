"""One item in full: its charts and pictures, ready to be put into a page. Pure but for what it is given."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from markupsafe import Markup

from common.recipes import Gate, Threshold
from orchestrator.reports import charts, words
from orchestrator.reports.charts import Band, GateLine, Trial
from orchestrator.reports.evidence import ItemEvidence
from orchestrator.reports.standing import figure_of, gate_lines, in_order, in_words, nearest, title_of, unit_of
from orchestrator.reports.values import ItemReport

PANELS = ("source", "result", "difference")


@dataclass(frozen=True)
class MetricShown:
    """One metric: its charts and what the gate says of it."""

    metric: str
    title: str
    over_time: Markup
    histogram: Markup
    demands: tuple[tuple[str, float | None, bool], ...]  # threshold in words, figure, met


@dataclass(frozen=True)
class WorstShown:
    """One of the worst frames."""

    frame: int
    when: str
    score: float | None
    panels: tuple[Markup, ...]  # source, result, difference


@dataclass(frozen=True)
class Step:
    """Something that happened to the item."""

    at: datetime
    what: str
    who: str = ""


@dataclass(frozen=True)
class Exhibit:
    """One item in full."""

    item: ItemReport
    metrics: tuple[MetricShown, ...] = ()
    worst: tuple[WorstShown, ...] = ()
    worst_metric: str = ""
    why_no_pictures: str = ""
    amplified: int = 8
    search: Markup | None = None
    trials: tuple[dict[str, Any], ...] = ()
    sizes: Markup | None = None
    source_digest: str = ""
    tools: dict[str, str] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()  # what else the evidence says, with what it is about


def exhibit(
    item: ItemReport, evidence: ItemEvidence | None, *, steps: Sequence[Step] = (), pictures: bool = True
) -> Exhibit:
    """Draw all that is known of one item. ``pictures``: also those of the worst frames, which are large."""
    sizes = _sizes(item)
    if evidence is None:
        return Exhibit(item, sizes=sizes, steps=tuple(steps))
    gate = _gate(item, evidence)
    name = f"i{item.number}"
    worst_metric = str(evidence.worst.get("metric", ""))
    drawn = _worst(name, evidence, worst_metric) if pictures else ()
    return Exhibit(
        item,
        metrics=_metrics(name, item, evidence, gate),
        worst=drawn,
        worst_metric=title_of(worst_metric) if worst_metric else "",
        why_no_pictures="" if drawn else _why_none(evidence, pictures=pictures),
        amplified=int(evidence.worst.get("difference_amplified", 8)),
        search=_search(name, evidence, gate),
        trials=_trials(evidence),
        sizes=sizes,
        source_digest=str(evidence.document.get("source", {}).get("digest_sha256", "")),
        tools={str(k): str(v) for k, v in (evidence.document.get("tools") or {}).items()},
        steps=tuple(steps),
        facts=facts_of(evidence.document),
    )


def _gate(item: ItemReport, evidence: ItemEvidence) -> Gate | None:
    if item.plan is not None and item.plan.gate is not None:
        return item.plan.gate
    stored = (evidence.document.get("plan") or {}).get("gate")
    return Gate.model_validate(stored) if stored else None


def _sizes(item: ItemReport) -> Markup | None:
    if not item.bytes_after:
        return None
    rows = [("before", item.bytes_before), ("after", item.bytes_after)]
    return charts.bytes_chart(f"i{item.number}-b", "Size", [(label, n, words.size(n)) for label, n in rows])


def facts_of(document: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """What the evidence says beside scores, a line each."""
    found = []
    if exact := document.get("exact"):
        count = f", {exact['frames']:,} frames" if exact.get("frames") else ""
        verdict = (
            "every bit is the source's"
            if exact.get("exact")
            else f"differs from frame {exact.get('first_difference')} on"
        )
        found.append(("Lossless", f"{verdict} ({exact['proven_by']}{count})"))
    if again := document.get("measured_again"):
        missed = "; ".join(map(str, again.get("first_misses", ())))
        found.append(("Measured again in software", f"{again['why']}; it had missed: {missed}"))
    return tuple(found)


def bands_of(document: dict[str, Any]) -> list[Band]:
    """Frozen, black and repeated runs of the result, where the evidence tells of them (workers.pictures)."""
    looks = [part for part in document.values() if isinstance(part, dict) and part.get("looked_at")]
    found = []
    for look in looks:
        for kind, told in (look.get("output") or {}).items():
            listed = [value for value in told.values() if isinstance(value, list)] if isinstance(told, dict) else [told]
            runs = [run for one in listed if isinstance(one, list) for run in one]
            found += [Band(int(run[0]), int(run[0]) + int(run[1]), kind) for run in runs if len(run) > 1]
    return found


def _metrics(name: str, item: ItemReport, evidence: ItemEvidence, gate: Gate | None) -> tuple[MetricShown, ...]:
    bands = bands_of(evidence.document)
    gated = {each.metric for each in gate.thresholds} if gate else set()
    listed = evidence.document.get("worst_frames") or {}
    stride = int(((evidence.document.get("plan") or {}).get("gate") or {}).get("stride") or 1)
    shown = []
    for metric, values in sorted(evidence.scores.items(), key=lambda pair: (pair[0] not in gated, in_order(pair[0]))):
        lines, title = gate_lines(gate, metric), title_of(metric)
        worst = [int(n) // stride for n in listed.get(metric, ())]
        moved = [Band(band.first // stride, -(-band.last // stride), band.kind) for band in bands]
        unit = unit_of(metric)
        over = charts.score_chart(
            f"{name}-{metric}", title, values, evidence.rate, unit=unit, gates=lines, worst=worst, bands=moved
        )
        spread = charts.histogram(f"{name}-{metric}-h", title, values, unit=unit, gates=lines)
        demands = tuple(_demand(item, each) for each in (gate.thresholds if gate else ()) if each.metric == metric)
        shown.append(MetricShown(metric, title, over, spread, demands))
    return tuple(shown)


def _demand(item: ItemReport, threshold: Threshold) -> tuple[str, float | None, bool]:
    value = figure_of(dict(item.scores), threshold)
    reached = nearest(dict(item.scores), Gate(thresholds=(threshold,)))
    return in_words(threshold), value, reached is not None and reached[0] >= 0


def _worst(name: str, evidence: ItemEvidence, metric: str) -> tuple[WorstShown, ...]:
    width, height = int(evidence.worst.get("panel_width", 0)), int(evidence.worst.get("panel_height", 0))
    if not width or not height:
        return ()
    video = evidence.document.get("source", {}).get("description", {}).get("video", {})
    stride = int(((evidence.document.get("plan") or {}).get("gate") or {}).get("stride") or 1)
    rate, scores = float(evidence.rate) * stride, evidence.scores.get(metric)
    shown = []
    for place, picture in enumerate(evidence.pictures, 1):
        href = "data:image/jpeg;base64," + base64.b64encode(picture.jpeg).decode()
        at = picture.frame // stride
        score = float(scores[at]) if scores is not None and at < len(scores) else None
        labels = [f"{panel} of frame {picture.frame + 1}" for panel in PANELS]
        panels = charts.panels(f"{name}-w{place}", href, width, height, labels)
        when = charts.clock(picture.frame / rate) if video else ""
        shown.append(WorstShown(picture.frame, when, score, tuple(panels)))
    return tuple(shown)


def _why_none(evidence: ItemEvidence, *, pictures: bool) -> str:
    if not evidence.worst:
        return ""
    if not pictures:
        return "left out here to keep this page small; they lie beside its evidence in the object store"
    return str(evidence.worst.get("why_not") or "they are no longer in the object store")


def _trials(evidence: ItemEvidence) -> tuple[dict[str, Any], ...]:
    search = evidence.document.get("search") or {}
    rows = [row | {"whole": not search.get("sampled", False)} for row in search.get("probes", ())]
    return (*rows, *(row | {"whole": True} for row in search.get("wholes", ())))


def _search(name: str, evidence: ItemEvidence, gate: Gate | None) -> Markup | None:
    """The curve over the threshold that decides where to stop: the one with the least slack at the chosen number."""
    trials = _trials(evidence)
    chosen = (evidence.document.get("search") or {}).get("chosen")
    if not trials or chosen is None:
        return None
    at_choice = next((row for row in reversed(trials) if row["quality"] == chosen), trials[-1])
    decides = nearest(at_choice["scores"], gate)
    if decides is None:
        return None
    threshold = decides[1]
    points = [
        Trial(row["quality"], value, row["video_bytes"] / max(row["frames"], 1), row["whole"])
        for row in trials
        if (value := figure_of(row["scores"], threshold)) is not None
    ]
    title = f"Search for the quality number: {title_of(threshold.metric)}, {in_words(threshold)}"
    return charts.search_chart(f"{name}-s", title, points, chosen, GateLine(threshold.limit, in_words(threshold)))
