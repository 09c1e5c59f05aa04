"""What the surveys of all codecs keep count of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from common.media import ContentLight, MasteringDisplay

MAX_SEQUENCES = 64
"""Different sequence headers that are kept: a stream that changes more often is as broken after these."""


@dataclass(frozen=True)
class Light:
    """HDR10 metadata of SEI messages."""

    mastering: MasteringDisplay | None = None
    content: ContentLight | None = None


class Pictures:
    """Counts pictures: slices of each, and runs of B pictures."""

    def __init__(self) -> None:
        self.fewest: int | None = None
        self.longest_run = 0
        self._slices = self._run = 0
        self._b = False

    def slice(self, *, first: bool, b: bool = False) -> None:
        """One slice; ``first``: it begins a picture."""
        if first:
            self.close()
        self._slices += 1
        self._b = self._b or b

    def close(self) -> None:
        """The picture that was begun is whole."""
        if self._slices:
            self.fewest = min(self.fewest or self._slices, self._slices)
            self._run = self._run + 1 if self._b else 0
            self.longest_run = max(self.longest_run, self._run)
        self._slices, self._b = 0, False


def distinct(sizes: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Each once, in the order they come up."""
    return tuple(dict.fromkeys(sizes))
