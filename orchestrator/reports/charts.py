"""The charts of an item, as SVG text: for the report and for the web page alike. Pure functions on plain values, no I/O.

A page that shows them puts ``STYLE`` into its style sheet; the drawings hold no style of their own, so that a strict
Content-Security-Policy and a dark page suit them. Figures stand beside each chart in the page's tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from orchestrator.reports.plot import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    Drawing,
    Scale,
    at,
    clock,
    clock_ticks,
    envelope,
    figure,
    points,
    scale,
    spread,
    ticks,
)

__all__ = [
    "STYLE",
    "Band",
    "GateLine",
    "Trial",
    "bytes_chart",
    "clock",
    "histogram",
    "panels",
    "score_chart",
    "search_chart",
]

Values = Sequence[float] | NDArray[np.floating]

STYLE = """
.chart { display: block; width: 100%; max-width: 34rem; height: auto; }
.c-text { font: 11px system-ui, sans-serif; fill: var(--soft, #57606a); }
.c-text.strong { fill: var(--ink, #1b1f24); font-weight: 600; }
.c-text.c-named { fill: var(--gate, #b35900); stroke: var(--paper, #fff); stroke-width: 3px; paint-order: stroke; }
.c-axis { stroke: var(--soft, #57606a); stroke-width: 1; }
.c-grid { stroke: var(--line, #d0d7de); stroke-width: .6; }
.c-line { fill: none; stroke: var(--series, #0b63c5); stroke-width: 1.4; stroke-linejoin: round; }
.c-area { fill: var(--series, #0b63c5); stroke: var(--series, #0b63c5); stroke-width: 1; fill-opacity: .55; }
.c-bar { fill: var(--series, #0b63c5); }
.c-bar.before { fill: var(--soft, #57606a); }
.c-gate { stroke: var(--gate, #b35900); stroke-width: 1.2; stroke-dasharray: 5 3; }
.c-worst { fill: var(--bad, #a40e26); }
.c-chosen { fill: none; stroke: var(--good, #116329); stroke-width: 2; }
.c-dot { fill: var(--series, #0b63c5); }
.c-whole { fill: var(--good, #116329); }
.c-frozen { fill: #7d4ec9; fill-opacity: .28; }
.c-black { fill: #000; fill-opacity: .45; }
.c-missing { fill: var(--bad, #a40e26); fill-opacity: .35; }
.c-other { fill: #b38600; fill-opacity: .3; }
"""
"""Colours come from the page's custom properties; the fallbacks are those of a light page."""

_BANDS = ("frozen", "black", "missing")
_BINS = 40
_LABEL = 12  # units between two lines of words


@dataclass(frozen=True)
class GateLine:
    """One threshold, as a line across the chart."""

    value: float
    words: str  # e.g. '1st percentile ≥ 40'


@dataclass(frozen=True)
class Band:
    """A run of frames that is marked: ``first`` to ``last`` (exclusive, from 0)."""

    first: int
    last: int
    kind: str  # frozen, black, missing; any other word is shown in a colour of its own


@dataclass(frozen=True)
class Trial:
    """One encode that looked for the quality number."""

    number: float
    value: float  # of the statistic that decides
    bytes_per_frame: float
    whole: bool = False  # of the whole video; else of samples


def score_chart(
    name: str,
    title: str,
    values: Values,
    rate: Fraction | float,
    *,
    unit: str = "",
    gates: Sequence[GateLine] = (),
    worst: Sequence[int] = (),
    bands: Sequence[Band] = (),
) -> Markup:
    """Score over time, with the gate's lines. ``name`` is one of its kind in the page; ``worst``: frames to mark.

    Many frames are drawn as the range from the lowest to the highest of each column: no bad frame is hidden.
    """
    exact = np.asarray(values, dtype=np.float64)
    finite = exact[np.isfinite(exact)]
    lows = f"lowest {figure(float(finite.min()))} at {clock(_lowest(exact) / float(rate))}" if len(finite) else ""
    missing = len(exact) - len(finite)
    said = [f"{len(exact)} frames", lows, *(gate.words for gate in gates), *_band_words(bands)]
    said += [f"{missing} frames without a figure"] if missing else []
    drawing = Drawing(name, f"{title} over time", "; ".join(filter(None, said)))
    x = Scale(0, max(len(exact), 1), LEFT, RIGHT)
    y = scale((*_ends(finite), *(gate.value for gate in gates)), BOTTOM, TOP)
    for band in (*bands, *_gaps(exact)):
        kind = band.kind if band.kind in _BANDS else "other"
        drawing.box(x(band.first), TOP, x(band.last) - x(band.first), BOTTOM - TOP, f"c-{kind}")
    drawing.vertical(y, ticks(y.low, y.high))
    seconds = max(len(exact), 1) / float(rate)
    drawing.horizontal(Scale(0, seconds, LEFT, RIGHT), clock_ticks(seconds), clock)
    _line(drawing, exact, x, y)
    _gates(drawing, gates, y)
    for number in worst:
        if 0 <= number < len(exact) and np.isfinite(exact[number]):
            place = {"x": at(x(number + 0.5)), "y": at(y(float(exact[number])))}
            drawing.add('<circle class="c-worst" cx="{x}" cy="{y}" r="2.6"/>', **place)
    if unit:
        drawing.words(LEFT + 4, TOP + 8, unit, anchor="start")
    return drawing.svg()


def _ends(finite: NDArray[np.float64]) -> tuple[float, ...]:
    return (float(finite.min()), float(finite.max())) if len(finite) else ()


def _lowest(exact: NDArray[np.float64]) -> int:
    return int(np.nanargmin(np.where(np.isfinite(exact), exact, np.nan)))


def _line(drawing: Drawing, exact: NDArray[np.float64], x: Scale, y: Scale) -> None:
    shape = envelope(exact)
    middles = (shape.first + shape.last + 1) / 2
    known = np.isfinite(shape.least)
    for run in _runs(known):
        places = [x(float(middle)) for middle in middles[run]]
        low = [y(float(value)) for value in shape.least[run]]
        high = [y(float(value)) for value in shape.most[run]]
        if len(exact) == len(shape.first) and len(places) > 1:
            drawing.add('<polyline class="c-line" points="{line}"/>', line=points(zip(places, low, strict=True)))
            continue
        if len(places) == 1:
            places, low, high = [places[0] - 0.5, places[0] + 0.5], low * 2, high * 2
        there, back = zip(places, low, strict=True), zip(places[::-1], high[::-1], strict=True)
        drawing.add('<polygon class="c-area" points="{line}"/>', line=points((*there, *back)))


def _runs(known: NDArray[np.bool_]) -> list[slice]:
    """Stretches where something is known."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], known, [False]))))
    return [slice(int(first), int(last)) for first, last in zip(edges[::2], edges[1::2], strict=True)]


def _gaps(exact: NDArray[np.float64]) -> list[Band]:
    return [Band(run.start, run.stop, "missing") for run in _runs(~np.isfinite(exact))]


def _band_words(bands: Sequence[Band]) -> list[str]:
    kinds = sorted({band.kind for band in bands})
    return [f"{sum(band.kind == kind for band in bands)} {kind} runs" for kind in kinds]


def _gates(drawing: Drawing, gates: Sequence[GateLine], y: Scale) -> None:
    for gate in gates:
        drawing.rule(LEFT, y(gate.value), RIGHT, y(gate.value), "c-gate")
    above = [max(y(gate.value) - 3, TOP + 8) for gate in gates]
    for gate, place in zip(gates, spread(above, _LABEL), strict=True):
        drawing.words(RIGHT - 2, place, gate.words, "c-named", "end")


def histogram(name: str, title: str, values: Values, *, unit: str = "", gates: Sequence[GateLine] = ()) -> Markup:
    """How many frames have which score. A single frame is still seen: no bar is lower than two units."""
    exact = np.asarray(values, dtype=np.float64)
    finite = exact[np.isfinite(exact)]
    known = finite if len(finite) else np.zeros(1)
    x = scale((float(known.min()), float(known.max()), *(gate.value for gate in gates)), LEFT, RIGHT)
    low, high = float(known.min()), float(known.max())
    spare = 0.0 if high - low > abs(high) * 1e-6 else abs(high) * 1e-3 or 0.5  # all frames alike: one bar
    counts, edges = np.histogram(finite, bins=1 if spare else _BINS, range=(low - spare, high + spare))
    most = int(counts.max(initial=0))
    middle = (
        f"half of the frames at {figure(float(np.median(known)))} or above" if len(finite) else "nothing was measured"
    )
    said = (f"{len(finite)} frames", middle, *(gate.words for gate in gates))
    drawing = Drawing(name, f"{title}: how many frames have which score", "; ".join(said))
    y = Scale(0, max(most, 1), BOTTOM, TOP + 6)
    drawing.vertical(y, [mark for mark in ticks(0, max(most, 1)) if mark == int(mark)])
    drawing.horizontal(x, ticks(x.low, x.high))
    for count, left, right in zip(counts, edges, edges[1:], strict=False):
        if count:
            height = max(BOTTOM - y(float(count)), 2)
            from_, to = x(float(left)), x(float(right))
            drawing.box(from_, BOTTOM - height, max(to - from_ - 0.8, 1.5), height, "c-bar")
    for gate, place in zip(gates, spread([TOP + 8.0] * len(gates), _LABEL), strict=True):
        drawing.rule(x(gate.value), TOP, x(gate.value), BOTTOM, "c-gate")
        right = x(gate.value) < (LEFT + RIGHT) / 2
        drawing.words(x(gate.value) + (3 if right else -3), place, gate.words, "c-named", "start" if right else "end")
    if unit:
        drawing.words(RIGHT, BOTTOM + 28, unit, anchor="end")
    return drawing.svg()


def search_chart(name: str, title: str, trials: Sequence[Trial], chosen: float, gate: GateLine | None) -> Markup:
    """The curve that led to the quality number: each trial's score over its number, bytes a frame written at it."""
    ordered = sorted(trials, key=lambda trial: (trial.number, trial.whole))
    said = [f"number {figure(t.number)}: {figure(t.value)}, {_kilo(t.bytes_per_frame)} a frame" for t in ordered]
    drawing = Drawing(name, title, "; ".join([*said, f"chosen: {figure(chosen)}", *([gate.words] if gate else [])]))
    x = scale((*(trial.number for trial in ordered), chosen), LEFT + 14, RIGHT - 14, room=0.02)
    y = scale((*(trial.value for trial in ordered), *([gate.value] if gate else [])), BOTTOM - 6, TOP + 12)
    drawing.vertical(y, ticks(y.low, y.high))
    numbers = range(int(np.ceil(x.low)), int(x.high) + 1)
    drawing.horizontal(x, [float(n) for n in numbers if len(numbers) <= 14 or n % 2 == 0])
    samples = [trial for trial in ordered if not trial.whole] or ordered
    line = points((x(trial.number), y(trial.value)) for trial in samples)
    drawing.add('<polyline class="c-line" points="{line}"/>', line=line)
    if gate:
        _gates(drawing, [gate], y)
    for trial in ordered:
        kind = "c-whole" if trial.whole else "c-dot"
        place = {"x": at(x(trial.number)), "y": at(y(trial.value)), "kind": kind}
        drawing.add('<circle class="{kind}" cx="{x}" cy="{y}" r="3.2"/>', **place)
        if trial.number == chosen:
            drawing.add('<circle class="c-chosen" cx="{x}" cy="{y}" r="6"/>', **place)
        if trial.whole or len(samples) == len(ordered):
            end = x(trial.number) > RIGHT - 60
            shift = -8 if end else 8
            drawing.words(
                x(trial.number) + shift, y(trial.value) - 6, _kilo(trial.bytes_per_frame), "", "end" if end else "start"
            )
    drawing.words(RIGHT, BOTTOM + 28, "quality number: higher is smaller", anchor="end")
    return drawing.svg()


def _kilo(count: float) -> str:
    return f"{count / 1000:.3g} kB"


def bytes_chart(name: str, title: str, rows: Sequence[tuple[str, int, str]]) -> Markup:
    """Sizes as bars below each other: label, bytes, and the size in words. The first is what the others are compared with."""
    most = max((count for _, count, _ in rows), default=0) or 1
    drawing = Drawing(
        name, title, "; ".join(f"{label}: {words}" for label, _, words in rows), height=24 * len(rows) + 8
    )
    x = Scale(0, most, 92, RIGHT - 74)
    for number, (label, count, words) in enumerate(rows):
        top = 6 + 24 * number
        drawing.words(86, top + 12, label, "strong", "end")
        drawing.box(x(0), top, x(count) - x(0), 15, "c-bar" if number else "c-bar before")
        drawing.words(x(count) + 5, top + 12, words)
    return drawing.svg()


def panels(name: str, href: str, width: int, height: int, labels: Sequence[str]) -> list[Markup]:
    """One picture that holds several panels side by side, each ``width`` × ``height``, as one SVG a panel.

    The picture stands in the page once: the first SVG holds it and the others show it again, so that panels can stand
    beside each other or, on a phone, below. ``href``: a data URI or an address.
    """
    drawn = []
    for number, label in enumerate(labels):
        body = (
            Markup('<image id="{name}" href="{href}" width="{whole}" height="{height}"/>').format(
                name=name, href=href, whole=width * len(labels), height=height
            )
            if number == 0
            else Markup('<use href="#{name}"/>').format(name=name)
        )
        box = Markup('<svg class="panel" viewBox="{x} 0 {width} {height}" role="img" aria-label="{label}">').format(
            x=width * number, width=width, height=height, label=label
        )
        drawn.append(box + body + Markup("</svg>"))
    return drawn
