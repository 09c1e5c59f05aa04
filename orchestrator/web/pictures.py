"""The worst frames of a result as its evidence names them: source, result and their difference beside each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Frame:
    """One frame that was kept as a picture. ``number`` is counted from 0; ``href``: the picture with its panels."""

    metric: str
    number: int
    seconds: float
    score: float | None
    href: str


def worst_frames(_item_id: str, _evidence: dict[str, Any]) -> tuple[Frame, ...]:
    """The frames, the worst of each metric first; empty where no picture was kept."""
    return ()
