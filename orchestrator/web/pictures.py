"""The worst frames of a result as its evidence names them: source, result and their difference beside each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from orchestrator.reports import charts

LABELS = {"source": "Source", "result": "Result"}


@dataclass(frozen=True)
class Frame:
    """One frame that was kept as a picture. ``number`` is counted from 0; ``panels``: what each shows, and its drawing."""

    metric: str
    number: int
    seconds: float
    score: float | None
    panels: tuple[tuple[str, Markup], ...]


def worst_frames(item_id: str, evidence: dict[str, Any], scores: dict[str, Any] | None = None) -> tuple[Frame, ...]:
    """The frames, the worst first; empty where no picture was kept (workers.worst)."""
    worst = evidence.get("worst_pictures") or {}
    video = evidence.get("source", {}).get("description", {}).get("video", {})
    kept = [each for each in worst.get("pictures", ()) if "name" in each]
    return tuple(_frame(item_id, number, each, worst, video, scores or {}) for number, each in enumerate(kept, 1))


def _frame(
    item_id: str,
    number: int,
    kept: dict[str, Any],
    worst: dict[str, Any],
    video: dict[str, Any],
    scores: dict[str, Any],
) -> Frame:
    amplified = worst.get("difference_amplified")
    labels = [
        LABELS.get(panel, f"Difference × {amplified:g}" if amplified else "Difference") for panel in worst["panels"]
    ]
    spoken = [f"{label} of frame {kept['frame']}" for label in labels]
    href = f"/items/{item_id}/worst/{number}.jpg"
    drawn = charts.panels(f"worst-{item_id}-{number}", href, worst["panel_width"], worst["panel_height"], spoken)
    duration, count = float(video.get("duration_ms") or 0), int(video.get("frame_count") or 0)
    seconds = kept["frame"] * duration / count / 1000 if count else 0.0
    column = scores.get(worst["metric"])
    score = float(column[kept["frame"]]) if column is not None and kept["frame"] < len(column) else None
    return Frame(worst["metric"], kept["frame"], seconds, score, tuple(zip(labels, drawn, strict=True)))


def picture_name(evidence: dict[str, Any], number: int) -> str:
    """Name of the ``number``-th picture (from 1) beside the evidence; empty: there is none."""
    kept = (evidence.get("worst_pictures") or {}).get("pictures", ())
    return str(kept[number - 1]["name"]) if 0 < number <= len(kept) else ""
