"""The stream of a stored video as a player wants it: an MP4 whose index comes first, made of the instance's own bytes.

Box headers of the stream are all that is parsed here, within the bounds of common.bitstream.mp4; nothing is decoded.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from enum import StrEnum

from common.bitstream import BitstreamError
from common.bitstream.faststart import faststart
from common.bitstream.mp4 import index_first, read_layout
from common.dicom.companion import Pixels
from common.dicom.extents import ExtentsReader
from common.store import ObjectStore
from orchestrator.dicomweb.content import Content, Part, Stretch
from orchestrator.dicomweb.shelf import Shelf

_BUFFER_BYTES = 1 << 16
_HEAD_BYTES = 8

INDEXES: Shelf[Content] = Shelf(most_bytes=64 << 20)
"""Indexes that were moved, so that a player's next range finds them; most streams have theirs in front and need none."""


class Container(StrEnum):
    """What a stream lies in, as far as players care."""

    MP4 = "mp4"
    OTHER = "other"  # a transport or program stream, or none


@dataclass(frozen=True)
class Stream:
    """A stream as it lies in its instance: ``pixels`` of the object ``key``."""

    key: str
    pixels: Pixels

    @property
    def whole(self) -> Content:
        """Its bytes as they are."""
        return Content.of(Stretch(self.key, offset, length) for offset, length in self.pixels.extents)

    def container(self, store: ObjectStore) -> Container:
        """By its first bytes. Raises: StoreFault."""
        head = b"".join(self.whole.read(store, 0, min(_HEAD_BYTES, self.whole.length)))
        return Container.MP4 if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide") else Container.OTHER

    def playable(self, store: ObjectStore, name: str) -> Content:
        """The MP4 with its index in front; ``name`` is that of these very bytes.

        Raises:
            BitstreamError: it is no MP4, or its index cannot be moved.
            StoreFault: it cannot be read.
        """
        if (known := INDEXES.get(name)) is not None:
            return known
        with store.open(self.key) as stream, ExtentsReader(stream, self.pixels.extents) as raw:
            video = io.BufferedReader(raw, _BUFFER_BYTES)
            if index_first(video):
                return self.whole
            moved = faststart(video, read_layout(video))
        made = Content.of(
            part for each in moved.parts for part in ((each,) if isinstance(each, bytes) else self._between(each))
        )
        INDEXES.put(name, made, sum(len(part) for part in made.parts if isinstance(part, bytes)))
        return made

    def _between(self, span: range) -> tuple[Part, ...]:
        """The stretches that hold a range of the stream."""
        found, begin = [], 0
        for offset, length in self.pixels.extents:
            first, last = max(span.start, begin), min(span.stop, begin + length)
            if first < last:
                found.append(Stretch(self.key, offset + first - begin, last - first))
            begin += length
        return tuple(found)


def why_not(error: BitstreamError) -> str:
    """For whoever asked."""
    return f"This MP4 cannot be shown as it is stored: {error}."
