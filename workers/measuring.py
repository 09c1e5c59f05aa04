"""What one measurement is to show, by the gate: which figures, at which stride, and which of them cannot be had."""

from __future__ import annotations

from common.recipes import Figure, Gate
from workers.ffmpeg.measurement import Measurement, too_small_for

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
    return Measurement(log, threads, wanted - too_small_for(*size).keys(), stride, signatures)


def not_measured(gate: Gate, size: tuple[int, int]) -> dict[Figure, str]:
    """What the gate asked for and libvmaf cannot give, with the reason."""
    return {figure: why for figure, why in too_small_for(*size).items() if figure in gate.measured}
