"""One step of a chain of FFmpeg's filters."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Filter:
    """One filter with its options, in order."""

    name: str
    options: tuple[tuple[str, str], ...] = ()
