"""Frame rate from presentation times: which exact rate they follow, and whether every frame lasts equally long. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from common.dicom.timing import BROADCAST_RATES
from common.media import Gap, Steady

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LARGEST_DENOMINATOR = 100_000
_GAP = 1.75
"""A frame is missing where the next one comes so many times later than usual: jitter of half a frame is none."""

MOST_GAPS = 20
"""Gaps that are named; all are counted."""

_NEAR = Fraction(1, 1000)
"""A mean rate this close to a broadcast rate is that rate with jitter; 29.97 and 30 lie just that far apart."""

FALLBACK_RATE = Fraction(25)
"""FFmpeg's own, for elementary streams that say nothing of their rate."""


@dataclass(frozen=True)
class Cadence:
    """``rate`` in frames/s: exact when ``constant``, else the mean. ``duration_ms`` from the first frame to the last's end."""

    rate: Fraction
    constant: bool
    duration_ms: float
    steady: Steady | None = None  # not constant: what it can be made
    gaps: tuple[Gap, ...] = ()  # not constant: the longest
    gap_count: int = 0


_ON_GRID, _NEAREST, _PUSHED = 0.1, 0.5, 1.0
"""How far from its own time a frame may be shown, in frames of the constant rate: a recording with frames missing lies on a
grid; next best is the nearest place of each frame; then a frame whose place is taken gets the one behind."""

_LARGEST_RATIO = 2.5
"""Of a constant rate to the mean one, where frames are not on its grid: else jitter alone would ask for 120 frames/s."""

_LARGEST_GROWTH = 100
"""Frames out for each frame in: beyond it stands one wrong time stamp rather than a recording."""


def cadence(times: array[int], time_base: Fraction, nominal: Iterable[Fraction | None], last_ticks: int = 0) -> Cadence:
    """Cadence of the frames shown at ``times`` (ticks of ``time_base`` seconds, any order, at least one).

    Constant means: within two ticks of a grid, since a copy between containers rounds twice, and always within half a frame,
    so that a dropped frame shows even where a tick is a whole frame. ``nominal``: the rates that headers name, best first.
    ``last_ticks``: how long the last frame is shown, 0 when not known.
    """
    import numpy as np

    named = [rate for rate in nominal if rate]
    shown = np.sort(np.frombuffer(times, dtype=np.int64))
    span = (int(shown[-1]) - int(shown[0])) * time_base  # s
    if len(shown) < 2 or not span:
        return fixed(len(shown), named)
    mean = (len(shown) - 1) / span
    since_first, steps = shown.astype(np.float64) - float(shown[0]), np.arange(len(shown))
    for rate in _candidates(named, mean):
        period = float(1 / (rate * time_base))  # ticks
        error = since_first - steps * period
        if float(error.max() - error.min()) < min(2.0, period / 2):
            return Cadence(rate, True, float(1000 * len(shown) / rate))
    shown_for = span + (last_ticks * time_base or 1 / mean)
    made = steady(since_first * float(time_base), float(last_ticks * time_base))
    found = gaps(since_first * float(time_base))
    return Cadence(_rounded(len(shown) / shown_for), False, float(1000 * shown_for), made, longest(found), len(found))


def gaps(seconds: NDArray[np.float64]) -> list[Gap]:
    """Frames that are followed only after ``_GAP`` times the usual distance (the median); ``seconds``: ascending."""
    import numpy as np

    steps = np.diff(seconds)
    usual = float(np.median(steps))
    if usual <= 0:
        return []
    return [
        Gap(frame=int(at), missing=max(1, round(float(steps[at]) / usual) - 1), seconds=round(float(steps[at]), 6))
        for at in np.nonzero(steps >= _GAP * usual)[0]
    ]


def longest(found: Sequence[Gap]) -> tuple[Gap, ...]:
    """The longest ones, at most ``MOST_GAPS``, in order of time."""
    return tuple(sorted(sorted(found, key=lambda gap: -gap.seconds)[:MOST_GAPS], key=lambda gap: gap.frame))


def steady(seconds: NDArray[np.float64], last_seconds: float) -> Steady | None:
    """The constant rate for frames shown at ``seconds`` (ascending, the first 0), or None where no broadcast rate does.

    No frame is left out. ``last_seconds``: how long the last frame is shown; at most as long as the longest of the others.
    """
    import numpy as np

    mean = (len(seconds) - 1) / seconds[-1]
    modest = [rate for rate in sorted(BROADCAST_RATES) if rate <= _LARGEST_RATIO * mean]
    for most, rates in ((_ON_GRID, sorted(BROADCAST_RATES)), (_NEAREST, modest), (_PUSHED, sorted(BROADCAST_RATES))):
        for rate in rates:
            exact = seconds * float(rate)
            places = places_of(exact)
            if float(np.abs(places - exact).max()) <= most + 1e-6:
                held = min(last_seconds, float(np.diff(seconds).max())) * float(rate)
                hold = max(1, int(held + 0.5))
                frames = int(places[-1]) + hold
                return Steady(rate=rate, frames=frames, hold=hold) if frames <= _LARGEST_GROWTH * len(seconds) else None
    return None


def places_of(exact: NDArray[np.float64]) -> NDArray[np.float64]:
    """Which frame of the constant rate shows each frame first: the nearest to ``exact`` that is free."""
    import numpy as np

    steps = np.arange(len(exact))
    return np.maximum.accumulate(np.floor(exact + 0.5) - steps) + steps


def fixed(frames: int, nominal: Iterable[Fraction | None]) -> Cadence:
    """Cadence of a stream without presentation times: the first rate that a header names, else FALLBACK_RATE."""
    rate = next((rate for rate in nominal if rate), FALLBACK_RATE)
    return Cadence(rate, True, float(1000 * frames / rate))


def _candidates(named: list[Fraction], mean: Fraction) -> Iterator[Fraction]:
    yield from named
    yield from sorted(BROADCAST_RATES, key=lambda rate: abs(rate - mean))
    yield Fraction(max(1, round(mean)))
    yield Fraction(max(1, round(mean * 1001)), 1001)
    yield mean.limit_denominator(_LARGEST_DENOMINATOR) or mean


def _rounded(mean: Fraction) -> Fraction:
    nearest = min(BROADCAST_RATES, key=lambda rate: abs(rate - mean))
    if abs(nearest - mean) < nearest * _NEAR:
        return nearest
    return mean.limit_denominator(1001) or mean
