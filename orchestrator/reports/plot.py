"""What every chart is drawn with: scales, ticks, axes, one SVG around it. Pure; all words are escaped."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

WIDTH, HEIGHT = 440, 190
"""Units of a drawing. On a phone it is shown at about three quarters, and its letters can still be read."""

LEFT, RIGHT, TOP, BOTTOM = 46, 432, 10, 160
"""The field between the axes."""

BUCKETS = 400
"""Columns of a line of many frames: about as many as the field has units, and 8 kB of text."""

_STEPS = (1, 2, 5, 10)
_CLOCK_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
_TICKS = 5


@dataclass(frozen=True)
class Envelope:
    """Per-frame values in at most so many buckets, each with its lowest and highest: what is low in one frame stays low."""

    first: NDArray[np.int64]  # first frame of each bucket
    last: NDArray[np.int64]  # its last frame
    least: NDArray[np.float64]  # NaN: no frame of the bucket has a value
    most: NDArray[np.float64]


def envelope(values: Sequence[float] | NDArray[np.floating], buckets: int = BUCKETS) -> Envelope:
    """Downsample without hiding anything: the minimum over all buckets is the minimum over all frames, where it was.

    Frames without a finite value count for neither.
    """
    exact = np.asarray(values, dtype=np.float64)
    count = min(buckets, len(exact))
    first = np.arange(count, dtype=np.int64) * len(exact) // max(count, 1)
    last = np.append(first[1:], len(exact))[:count] - 1
    finite = np.where(np.isfinite(exact), exact, np.nan)
    if not count:
        return Envelope(first, last, finite, finite)
    return Envelope(first, last, np.fmin.reduceat(finite, first), np.fmax.reduceat(finite, first))


@dataclass(frozen=True)
class Scale:
    """From values to units of the drawing, in a straight line."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Where the value lies."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def scale(values: Iterable[float], start: float, end: float, *, room: float = 0.06) -> Scale:
    """A scale that holds all of these, with some room beyond both."""
    known = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(known), max(known)
    spare = (high - low) * room or abs(high) * 0.01 or 1.0
    return Scale(low - spare, high + spare, start, end)


def ticks(low: float, high: float) -> list[float]:
    """A few round numbers between two values."""
    step = _round_step((high - low) / _TICKS)
    return [n * step for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def clock_ticks(seconds: float) -> list[float]:
    """A few round times from the beginning to the end."""
    step = next((step for step in _CLOCK_STEPS if seconds / step <= _TICKS + 1), 0.0)
    step = step or math.ceil(seconds / _TICKS / 3600) * 3600
    if seconds < _TICKS:
        return ticks(0, seconds)
    return [n * step for n in range(int(seconds / step) + 1)]


def _round_step(wanted: float) -> float:
    power = 10.0 ** math.floor(math.log10(wanted))
    return next(step * power for step in _STEPS if step * power >= wanted * 0.999)


def clock(seconds: float) -> str:
    """A place in a video: ``0.4 s``, ``1:05``, ``2:00:00``."""
    if seconds < 60:
        return f"{seconds:.3g} s" if seconds % 1 else f"{seconds:.0f} s"
    whole = round(seconds)
    minutes = f"{whole // 60 % 60:02}" if whole >= 3600 else f"{whole // 60}"
    return f"{whole // 3600}:{minutes}:{whole % 60:02}" if whole >= 3600 else f"{minutes}:{whole % 60:02}"


def figure(value: float) -> str:
    """A figure at an axis: no more digits than it has."""
    return f"{value:.6g}" if abs(value) < 1e6 else f"{value:.3g}"


def at(value: float) -> str:
    """A coordinate: a tenth of a unit is finer than any screen shows."""
    return f"{value:.1f}".removesuffix(".0")


def points(pairs: Iterable[tuple[float, float]]) -> str:
    """Coordinates of a line or an area."""
    return " ".join(f"{at(x)},{at(y)}" for x, y in pairs)


@dataclass
class Drawing:
    """Marks one after the other, then the whole as one SVG that a screen reader can name."""

    name: str  # begins the ids of its parts: one of its kind in a page
    title: str
    description: str
    height: int = HEIGHT
    _marks: list[Markup] = field(default_factory=list)

    def add(self, mark: str, **values: object) -> None:
        """One mark; ``values`` are put in escaped."""
        self._marks.append(Markup(mark).format(**values))  # noqa: S704 the marks are our own words

    def words(self, x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> None:
        """A few words, beginning, centred or ending there."""
        self.add(
            '<text class="c-text {kind}" x="{x}" y="{y}" text-anchor="{anchor}">{text}</text>',
            kind=kind,
            x=at(x),
            y=at(y),
            anchor=anchor,
            text=text,
        )

    def rule(self, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
        """A straight line."""
        self.add(
            '<line class="{kind}" x1="{a}" y1="{b}" x2="{c}" y2="{d}"/>',
            kind=kind,
            a=at(x1),
            b=at(y1),
            c=at(x2),
            d=at(y2),
        )

    def box(self, x: float, y: float, width: float, height: float, kind: str) -> None:
        """A rectangle, never so thin that it cannot be seen."""
        self.add(
            '<rect class="{kind}" x="{x}" y="{y}" width="{w}" height="{h}"/>',
            kind=kind,
            x=at(x),
            y=at(y),
            w=at(max(width, 0.6)),
            h=at(max(height, 0.6)),
        )

    def vertical(self, y: Scale, marks: Sequence[float], spell: Callable[[float], str] = figure) -> None:
        """The axis at the left, with a faint line at each mark."""
        for mark in marks:
            self.rule(LEFT, y(mark), RIGHT, y(mark), "c-grid")
            self.words(LEFT - 5, y(mark) + 4, spell(mark), anchor="end")

    def horizontal(self, x: Scale, marks: Sequence[float], spell: Callable[[float], str] = figure) -> None:
        """The axis below."""
        self.rule(LEFT, BOTTOM, RIGHT, BOTTOM, "c-axis")
        for mark in marks:
            self.rule(x(mark), BOTTOM, x(mark), BOTTOM + 4, "c-axis")
            anchor = "end" if x(mark) > RIGHT - 12 else "middle"
            self.words(x(mark), BOTTOM + 16, spell(mark), anchor=anchor)

    def svg(self) -> Markup:
        """The whole."""
        head = Markup(
            '<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-labelledby="{name}-t {name}-d">'
            '<title id="{name}-t">{title}</title><desc id="{name}-d">{description}</desc>'
        )
        given = {"width": WIDTH, "height": self.height, "name": self.name}
        return (
            head.format(**given, title=self.title, description=self.description)
            + Markup("").join(self._marks)
            + Markup("</svg>")
        )


def spread(places: Sequence[float], apart: float) -> list[float]:
    """The same places moved as little as needed, so that words at them do not lie on each other; in the order given."""
    order = sorted(range(len(places)), key=lambda n: places[n])
    moved = list(places)
    for before, after in pairwise(order):
        moved[after] = max(moved[after], moved[before] + apart)
    return moved
