"""What two readers of scattered bytes share: a position within a known length."""

from __future__ import annotations

import io
import os


class SeekableReader(io.RawIOBase):
    """Read-only, with a position in ``length`` bytes; ``readinto`` is the subclass's, and moves ``_position``."""

    def __init__(self, length: int) -> None:
        self.length = length
        self._position = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Offset of the next byte."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move; beyond the end is allowed, as in a file, and reads nothing.

        Raises:
            ValueError: before the start.
        """
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.length}[whence]
        if start + offset < 0:
            raise ValueError("a position before the start")
        self._position = start + offset
        return self._position
