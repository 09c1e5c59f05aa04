"""How far a search is: its probes count as work, and what is left is guessed from what is usual."""

from __future__ import annotations

from dataclasses import replace

from workers.encode import Report
from workers.ffmpeg.parse import Progress

USUAL_PROBES = 3
"""Samples that most searches take (docs/quality.md)."""


class Effort:
    """Frames encoded in all, of those that will be; reported as if they were frames of the whole, and never fewer than before."""

    def __init__(self, report: Report | None, frames: int) -> None:
        self._report, self._frames = report, frames
        self._done = 0  # frames of what has ended
        self._samples = 0
        self._running = 0
        self._told = 0

    def sample(self, frames: int) -> Report:
        """A sample of so many frames begins."""
        self._begin(frames)
        self._samples += 1
        usual = max(0, USUAL_PROBES - self._samples)
        return lambda progress: self._tell(progress, self._frames + (1 + usual) * frames)

    def whole(self) -> Report:
        """An encode of the whole begins; it is taken for the last."""
        self._begin(self._frames)
        return lambda progress: self._tell(progress, self._frames)

    def _begin(self, frames: int) -> None:
        self._done, self._running = self._done + self._running, frames

    def _tell(self, progress: Progress, ahead: int) -> None:
        """``ahead``: frames from the beginning of this encode to the end of all."""
        share = (self._done + progress.frame) / max(1, self._done + ahead)
        self._told = max(self._told, min(self._frames, int(share * self._frames)))
        if self._report is not None:
            self._report(replace(progress, frame=self._told))
