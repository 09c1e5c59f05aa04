"""How long the rest will take: from estimates, corrected by what work really took here. Pure.

A plan estimates the seconds that an item keeps a slot busy (docs/estimates.md). Of items that have been worked on it is known how
long they really took; the ratio of the two, with its uncertainty, is the farm's pace. Nothing is said before enough is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from orchestrator.estimates import queue_seconds

LEAST_SAMPLES = 5
"""Fewer measured items say nothing about those that follow."""

CERTAINTY = 2.0
"""Standard errors to either side: about 95 in 100 of such ranges hold the true mean, for independent items."""


@dataclass(frozen=True)
class Sample:
    """One order that has ended: the seconds that were estimated, and those that it took."""

    estimated: float
    actual: float


@dataclass(frozen=True)
class Pace:
    """Seconds of work behind one estimated second: the mean over the samples, weighted by estimate, and its bounds."""

    mean: float
    low: float
    high: float
    samples: int


@dataclass(frozen=True)
class Span:
    """A time of which only a range is known, seconds."""

    low: float
    high: float


def pace(samples: Sequence[Sample]) -> Pace | None:
    """The farm's pace; None while too little is measured.

    A ratio estimator (Cochran, Sampling Techniques, 6.3): the sum of what was taken over the sum of what was estimated, and the
    standard error of its residuals.
    """
    used = [sample for sample in samples if sample.estimated > 0]
    total = sum(sample.estimated for sample in used)
    if len(used) < LEAST_SAMPLES or total <= 0:
        return None
    mean = sum(sample.actual for sample in used) / total
    squares = sum((sample.actual - mean * sample.estimated) ** 2 for sample in used)
    error = sqrt(squares * len(used) / (len(used) - 1)) / total
    return Pace(mean, max(mean / 4, mean - CERTAINTY * error), mean + CERTAINTY * error, len(used))


def remaining(seconds: float, longest: float, slots: int, known: Pace | None) -> Span | None:
    """How long ``slots`` workers need for work that is estimated at ``seconds``, of which one item takes ``longest``.

    None: nobody works, or nothing is known yet. The bounds are those of any order of the work (estimates.queue_seconds).
    """
    if known is None or slots < 1:
        return None
    least, _ = queue_seconds(seconds * known.low, longest * known.low, slots)
    _, most = queue_seconds(seconds * known.high, longest * known.high, slots)
    return Span(least, most)
