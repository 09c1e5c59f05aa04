"""Fragments of encapsulated Pixel Data (PS3.5 A.4): where they lie, and one seekable stream over them."""

from __future__ import annotations

import io
import struct
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from common.errors import TruncatedSource, UnreadableSource, UnsupportedSource
from common.seekable import SeekableReader

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_FRAGMENTS = 1 << 20
"""Five hours at 50 frames/s, a fragment a frame: a bound for hostile files full of empty items."""

_UNDEFINED = 0xFFFFFFFF
_ITEM = struct.Struct("<HHI")


@dataclass(frozen=True)
class Fragment:
    """Bytes of one fragment's value: absolute offset in the file and length, the pad byte included."""

    offset: int
    length: int


def fragments(path: Path, pixel_data_offset: int) -> list[Fragment]:
    """The fragments of encapsulated Pixel Data, the Basic Offset Table excluded (PS3.5 A.4).

    Raises:
        TruncatedSource: an item reaches beyond the file, or the sequence delimiter is missing.
        UnreadableSource: something that is no item lies between.
    """
    with path.open("rb") as f:
        return read_items(f, pixel_data_offset + 12, path.stat().st_size)[0][1:]


class FragmentReader(SeekableReader):
    """One seekable, read-only stream over the concatenated fragments; ``length`` (bytes) cuts the pad byte off."""

    def __init__(self, path: Path, fragments: tuple[Fragment, ...] | list[Fragment], length: int | None = None) -> None:
        self._fragments = [fragment for fragment in fragments if fragment.length]
        self._ends = list(accumulate(fragment.length for fragment in self._fragments))
        total = self._ends[-1] if self._ends else 0
        super().__init__(total if length is None else min(length, total))
        self._file = path.open("rb", buffering=0)

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill ``buffer`` from one fragment; 0 at the end."""
        view = memoryview(buffer).cast("B")
        left = self.length - self._position
        if left <= 0:
            return 0
        index = bisect_right(self._ends, self._position)
        within = self._position - (self._ends[index] - self._fragments[index].length)
        self._file.seek(self._fragments[index].offset + within)
        count = self._file.readinto(view[: min(left, self._ends[index] - self._position)]) or 0
        self._position += count
        return count

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def read_items(
    f: BinaryIO | io.BufferedReader, start: int, size: int, *, open_end: bool = False
) -> tuple[list[Fragment], int]:
    """All items from ``start`` on, the offset table first, and the end of the delimiter; raises like ``fragments``.

    ``open_end``: a file may end behind a whole item, without the delimiter; then the end is that of the last item.
    """
    found: list[Fragment] = []
    position = start
    while True:
        f.seek(position)
        tag = f.read(8)
        if not tag and found and open_end:
            return found, position
        if len(tag) < 8:
            raise TruncatedSource(
                f"the pixel data ends without its delimiter, after {max(len(found) - 1, 0)} fragments"
            )
        group, element, length = _ITEM.unpack(tag)
        if (group, element) == (0xFFFE, 0xE0DD) and found:
            return found, position + 8
        if (group, element) != (0xFFFE, 0xE000) or length == _UNDEFINED:
            raise UnreadableSource("the pixel data is not a sequence of fragments")
        if position + 8 + length > size:
            raise TruncatedSource(f"fragment {len(found)} reaches beyond the end of the file")
        if len(found) > MAX_FRAGMENTS:
            raise UnsupportedSource(f"more than {MAX_FRAGMENTS} fragments")
        found.append(Fragment(position + 8, length))
        position += 8 + length
