"""Frozen, black and repeated frames of source and result, and what of that the source does not have. Pure.

Both legs of the measurement are looked at as small grey pictures (workers.ffmpeg.watch), each cell the mean of many pixels: noise
averages out, so what stands still and what moves are told apart in a noisy source and in a result that an encoder has smoothed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import InternalFault

STILL = 0.02
"""Percent of full scale that the small picture changes by at most where a frame repeats the one before. Measured: 0.000 for a
repeat, up to 0.02 for one coded anew; 0.06 for a still scene with the least noise (± 2 of 255), above 0.3 for one that moves."""

MOVES = 0.4
"""Change from which a source surely moves, in percent. White noise as strong as a gate of 32 dB lets an encoder smooth away
(± 14 of 255) stays below: an encoder may still it, and that is no frozen picture."""

FROZEN_SECONDS = 0.5
"""Repeats of at least this long are a frozen picture; shorter ones are repeated frames, as a change of rate makes them."""

SOURCE_BLACK, OUTPUT_BLACK = 95.0, 98.0
"""Percent of the picture that is black. The source's limit, and the level (workers.ffmpeg.watch), are a little wider: coding noise
at a limit accuses nobody."""

NEAR = 2
"""Frames around a black run of the source in which the result may be black too: fades are coded coarsely."""

NAMED = 20
"""Runs of each kind that are named, the longest; all are counted."""


@dataclass(frozen=True)
class Watched:
    """One leg, frame by frame."""

    change: NDArray[np.float32]  # to the frame before, percent of full scale; not finite: not known
    black: NDArray[np.float32]  # percent of the picture


@dataclass(frozen=True)
class Run:
    """Consecutive frames; ``first`` from 0."""

    first: int
    frames: int

    @property
    def end(self) -> int:
        """The frame behind the last."""
        return self.first + self.frames


@dataclass(frozen=True)
class Found:
    """The runs of one leg. ``frozen`` and ``repeated`` count from the first frame that is shown again; black ones are neither."""

    frozen: tuple[Run, ...] = ()
    black: tuple[Run, ...] = ()
    repeated: tuple[Run, ...] = ()

    def json(self, rate: Fraction) -> dict[str, Any]:
        """Each kind: how many runs, their frames, and the longest as [first frame, frames, seconds]."""
        return {name: _listed(runs, rate) for name, runs in vars(self).items()}


@dataclass(frozen=True)
class PictureLook:
    """What both legs show. Seconds are frames at the (mean) frame rate."""

    source: Found
    output: Found
    misses: tuple[str, ...]
    remarks: tuple[str, ...]
    frames: int
    rate: Fraction

    def json(self) -> dict[str, Any]:
        """For the evidence."""
        return {
            "looked_at": True,
            "frames": self.frames,
            "columns": ["first frame", "frames", "seconds"],
            "source": self.source.json(self.rate),
            "output": self.output.json(self.rate),
            "limits": {"frozen_seconds": FROZEN_SECONDS, "still_percent": STILL, "moves_percent": MOVES},
        }


def compare_runs(source: Watched, output: Watched, rate: Fraction) -> PictureLook:
    """Runs of both, those that only the output has (misses), and those of the source (remarks).

    Raises:
        InternalFault: the legs have different numbers of frames.
    """
    if len(source.change) != len(output.change) or not len(source.change):
        raise InternalFault(
            f"{len(source.change)} frames of the source and {len(output.change)} of the result were looked at"
        )
    before, after = find_runs(source, SOURCE_BLACK, rate), find_runs(output, OUTPUT_BLACK, rate)
    misses = (*_new_black(before.black, after.black, rate), *_new_still(source, after, rate))
    return PictureLook(before, after, misses, tuple(_remarks(before, rate)), len(source.change), rate)


def find_runs(leg: Watched, black_percent: float, rate: Fraction) -> Found:
    """The runs of one leg; rate in frames/s."""
    black = leg.black >= black_percent
    still = np.isfinite(leg.change) & (leg.change <= STILL) & ~black
    still[:1] = False  # the first frame has none before it
    least = max(2, round(FROZEN_SECONDS * rate))
    repeats = tuple(Run(run.first - 1, run.frames + 1) for run in _bridged(_runs(still), leg.change))
    return Found(
        frozen=tuple(run for run in repeats if run.frames >= least),
        black=tuple(_runs(black)),
        repeated=tuple(run for run in repeats if run.frames < least),
    )


def _bridged(runs: list[Run], change: NDArray[np.float32]) -> Iterator[Run]:
    """A single frame between two runs that moves no more than a key frame coded anew does not end one."""
    pulse = 5 * STILL
    held: Run | None = None
    for run in runs:
        if held is not None and run.first == held.end + 1 and change[held.end] <= pulse:
            held = Run(held.first, run.end - held.first)
            continue
        if held is not None:
            yield held
        held = run
    if held is not None:
        yield held


def _runs(flags: NDArray[np.bool_]) -> list[Run]:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    return [Run(int(first), int(end - first)) for first, end in zip(edges[::2], edges[1::2], strict=True)]


def _new_black(before: tuple[Run, ...], after: tuple[Run, ...], rate: Fraction) -> Iterator[str]:
    """Black frames of the output where the source is not black, nor nearly."""
    for run in after:
        new = run.frames - sum(
            max(0, min(run.end, old.end + NEAR) - max(run.first, old.first - NEAR)) for old in before
        )
        if new > 0:
            yield f"the result is black{_where(run, rate)}, and the source is not"


def _new_still(source: Watched, after: Found, rate: Fraction) -> Iterator[str]:
    """Repeats of the output while the source moves."""
    for words, runs in (("stands still", after.frozen), ("repeats a frame", after.repeated)):
        for run in runs:
            moved = source.change[run.first + 1 : run.end]
            known = moved[np.isfinite(moved)]
            if len(known) and float(known.mean()) > MOVES:
                yield f"the result {words}{_where(run, rate)}, and the source moves"


def _remarks(before: Found, rate: Fraction) -> Iterator[str]:
    for words, runs in (("is frozen", before.frozen), ("is black", before.black)):
        if runs:
            longest = max(runs, key=lambda run: run.frames)
            more = f" (longest of {len(runs)} runs)" if len(runs) > 1 else ""
            yield f"the source {words}{_where(longest, rate)}{more}"
    if before.repeated:
        frames = sum(run.frames - 1 for run in before.repeated)
        yield f"{frames} frame{'s repeat' if frames > 1 else ' of the source repeats'} the one before"


def _where(run: Run, rate: Fraction) -> str:
    return f" from frame {run.first} on for {float(run.frames / rate):.2f} s"


def _listed(runs: tuple[Run, ...], rate: Fraction) -> dict[str, Any]:
    longest = sorted(sorted(runs, key=lambda run: -run.frames)[:NAMED], key=lambda run: run.first)
    return {
        "count": len(runs),
        "frames": sum(run.frames for run in runs),
        "runs": [[run.first, run.frames, round(float(run.frames / rate), 3)] for run in longest],
    }
