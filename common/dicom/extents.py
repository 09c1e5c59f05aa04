"""Some stretches of a file or object, read as if they were one: the stream of a video in its fragments."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, BinaryIO

from common.seekable import SeekableReader

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class ExtentsReader(SeekableReader):
    """Reads ``extents`` (offset, length) of ``stream``, one after the other; closing it leaves ``stream`` open."""

    def __init__(self, stream: BinaryIO, extents: Sequence[tuple[int, int]]) -> None:
        self._stream = stream
        self._extents = extents
        self._ends = list(accumulate(length for _, length in extents))
        super().__init__(self._ends[-1] if self._ends else 0)

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill from the stretch that holds the position, at most to its end. Short at the end of ``stream``."""
        target = memoryview(buffer).cast("B")
        number = bisect_right(self._ends, self._position)
        if number == len(self._ends) or not target:
            return 0
        offset, length = self._extents[number]
        within = self._position - (self._ends[number] - length)
        self._stream.seek(offset + within)
        data = self._stream.read(min(len(target), length - within))
        target[: len(data)] = data
        self._position += len(data)
        return len(data)
