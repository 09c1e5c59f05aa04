"""What one measurement is to show, by the gate: which figures, at which stride, and which of them cannot be had."""

from __future__ import annotations

from common.recipes import ALWAYS_MEASURED, Gate
from common.region import INSIDE, Region
from workers.ffmpeg.measurement import Measurement, inside_figures, too_small_for

LOG = "scores.csv"


def measurement_of(
    gate: Gate | None,
    size: tuple[int, int],
    threads: int,
    *,
    log: str = LOG,
    strided: bool = True,
    needed_only: bool = False,
    signatures: bool = False,
    watched: bool = False,
) -> Measurement:
    """What a gate asks for on pictures of this width and height.

    A figure that libvmaf does not compute on pictures so small is left out; a threshold on it then fails, as it must.
    ``strided``: False measures every frame whatever the gate allows (pieces that are joined later); ``needed_only``: without the
    figures that no threshold needs (a probe that only steers a search).
    """
    wanted = gate.measured if gate is not None else frozenset()
    if needed_only and gate is not None:
        wanted -= frozenset(gate.figures) - gate.model_copy(update={"figures": ()}).measured
    stride = (gate.stride or 1) if gate is not None and strided else 1
    inside = gate.region.inner if gate is not None and gate.region is not None else None
    return Measurement(log, threads, wanted - too_small_for(*size).keys(), stride, signatures, inside, watched)


def judged_inside(gate: Gate, region: Region | None) -> Gate:
    """The gate with its thresholds once more for the inside of a region that was laid into the pictures: the stricter counts.

    RGB and banding are judged on the whole alone, and so is what libvmaf does not compute on so small a region.
    """
    if region is None or region.inner is None:
        return gate.model_copy(update={"region": None})
    taken = {*ALWAYS_MEASURED, *inside_figures((region.inner[2], region.inner[3]))}
    again = (one.model_copy(update={"metric": one.metric + INSIDE}) for one in gate.thresholds if one.metric in taken)
    return gate.model_copy(update={"thresholds": (*gate.thresholds, *again), "region": region})
