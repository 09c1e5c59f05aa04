"""The video inside a stored instance, for a browser's player: its fragments are found by their headers, and only what is asked is read."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from common.errors import UnreadableSource
from common.store import ObjectStore

if TYPE_CHECKING:
    from pydicom.tag import BaseTag

CHUNK = 1 << 18
_ITEM = struct.Struct("<HHI")
_PIXEL_DATA, _STREAM_LENGTH = 0x7FE00010, 0x7FE00003


@dataclass(frozen=True)
class Stream:
    """Where a video lies in its object: extents (offset, length), and how many of their bytes are the video's."""

    key: str
    extents: tuple[tuple[int, int], ...]
    length: int

    def read(self, store: ObjectStore, first: int, last: int) -> Iterator[bytes]:
        """Bytes ``first`` to ``last`` (exclusive) of the video."""
        with store.open(self.key) as stream:
            begin = 0
            for offset, length in self.extents:
                start, end = max(first, begin), min(last, begin + length)
                stream.seek(offset + start - begin)
                while start < end and (data := stream.read(min(CHUNK, end - start))):
                    start += len(data)
                    yield data
                begin += length


def stream_of(store: ObjectStore, key: str) -> Stream:
    """The video of an instance that Cinefarm packaged.

    Raises:
        StoreFault: there is no such object.
        UnreadableSource: it holds no encapsulated video.
    """
    from pydicom.filereader import read_partial

    found: list[int] = []
    with store.open(key) as stream:

        def stop(tag: BaseTag, _vr: str | None, _length: int) -> bool:
            if tag == _PIXEL_DATA:
                found.append(stream.tell())  # of the value: the item of the Basic Offset Table
            return bool(found)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = read_partial(stream, stop_when=stop, force=False)
        if not found:
            raise UnreadableSource("the instance has no Pixel Data")
        extents = tuple(_fragments(stream, found[0]))
    whole = sum(length for _, length in extents)
    known = dataset.get(_STREAM_LENGTH)
    return Stream(key, extents, min(whole, int(known.value)) if known is not None else whole)


def _fragments(stream: BinaryIO, at: int) -> Iterator[tuple[int, int]]:
    """Offsets and lengths of the items behind the Basic Offset Table (PS3.5 A.4)."""
    place = at
    first = True
    while True:
        stream.seek(place)
        group, element, length = _ITEM.unpack(stream.read(_ITEM.size))
        if (group, element) != (0xFFFE, 0xE000):
            return
        if not first:
            yield place + _ITEM.size, length
        first, place = False, place + _ITEM.size + length
