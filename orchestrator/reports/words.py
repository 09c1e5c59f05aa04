"""How reports write figures and codes: pure, for HTML, CSV and the terminal alike."""

from __future__ import annotations

from functools import lru_cache

from common.orders import Path
from common.stages import State
from orchestrator.reports.values import ItemReport

STATES = {
    State.FOUND: "found",
    State.DESCRIBED: "read",
    State.PLANNED: "planned",
    State.QUEUED: "queued",
    State.RUNNING: "running",
    State.PRODUCED: "made, not yet delivered",
    State.DELIVERED: "delivered",
    State.COMMITTED: "proven at the destination",
    State.DONE: "done",
    State.SKIPPED: "skipped",
    State.QUARANTINED: "quarantined",
    State.FAILED: "failed",
    State.CANCELLED: "cancelled",
}

PATHS = {
    Path.KEEP: "keep the bytes",
    Path.REWRAP: "rewrap, nothing decoded",
    Path.REAUDIO: "only the sound made anew",
    Path.ENCODE: "encode",
    Path.FRAMES: "frame by frame",
}

ACTORS = {
    "input": "the source file",
    "policy": "the job's settings",
    "environment": "a machine or a peer",
    "us": "Cinefarm itself",
}
"""Where an error is to be mended (common.errors.Actor)."""

METRICS = ("psnr_y", "ssim", "vmaf")
"""The metrics that tables show; the evidence holds all."""


def size(count: float | None) -> str:
    """Bytes for people, in powers of 1000 (SI): ``1.3 GB``; an en dash for None."""
    if count is None:
        return "–"
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB" if count < 999.5 else f"{count:.0f} TB"


def duration(seconds: float) -> str:
    """Seconds for people: ``48 s``, ``3 min 20 s``, ``5 h 07 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def ratio(value: float | None) -> str:
    """Bytes before per byte after: ``12.5:1``; an en dash for None."""
    return "–" if value is None else f"{value:.3g}:1" if value < 1000 else f"{value:.0f}:1"


def score(item: ItemReport, metric: str, statistic: str) -> float | None:
    """One pooled figure, or None when it was not measured."""
    pooled = item.scores.get(metric)
    return None if pooled is None else float(getattr(pooled, statistic))


def verdict(item: ItemReport) -> str:
    """The gate in a word or two; empty before there is a result. One whose video bits are the source's own needs none."""
    if item.passed is None:
        return "video bits unchanged" if item.bytes_after else ""
    return "passed" if item.passed else "missed"


@lru_cache(maxsize=256)
def uid_name(uid: str) -> str:
    """The name in PS3.6 table A-1, or the UID itself when it has none there."""
    from pydicom.uid import UID

    return str(UID(uid).name)
