"""Frame rate from presentation times: which exact rate they follow, and whether every frame lasts equally long. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from common.dicom.timing import BROADCAST_RATES

_LARGEST_DENOMINATOR = 100_000
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
    return Cadence(_rounded(len(shown) / shown_for), False, float(1000 * shown_for))


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
