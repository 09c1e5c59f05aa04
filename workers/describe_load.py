"""How the bits of a stream lie in time: its busiest frames, and how far its key frames are apart. Pure."""

from __future__ import annotations

from array import array

WINDOWS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
"""Lengths in frames of the spans that are looked at; longer ones come close to the mean."""


class Load:
    """Takes packets in coded order."""

    def __init__(self) -> None:
        self._bytes = array("Q")  # of each frame
        self._key: int | None = None  # frames before the last key frame
        self._longest = 0

    def add(self, size: int, *, key: bool, begins: bool) -> None:
        """One packet of ``size`` bytes; ``begins``: a frame begins in it, it is no second field."""
        if key and begins:
            self._measure()
            self._key = len(self._bytes)
        if begins or not self._bytes:
            self._bytes.append(size)
        else:
            self._bytes[-1] += size

    def _measure(self) -> None:
        if self._key is not None:
            self._longest = max(self._longest, len(self._bytes) - self._key)

    def longest_gop(self) -> int | None:
        """Frames from one key frame to the next or to the end, at most; None without a key frame."""
        self._measure()
        return self._longest or None

    def peaks(self) -> tuple[tuple[int, int], ...]:
        """(n, bits of the n successive frames that hold most), for the WINDOWS that fit."""
        import numpy as np

        ends = np.concatenate(([0], np.cumsum(np.frombuffer(self._bytes, dtype=np.uint64), dtype=np.int64)))
        fitting = [frames for frames in WINDOWS if frames < len(ends)]
        return tuple((frames, 8 * int((ends[frames:] - ends[:-frames]).max())) for frames in fitting)
