"""The stream that becomes the Pixel Data: a file as it is, a DICOM object's fragments, an MP4 with its index moved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from io import RawIOBase
from pathlib import Path
from typing import BinaryIO

from common.errors import InternalFault
from common.media import Description, Kind
from common.process import Limits, call
from common.settings import Settings

CHUNK_BYTES = 1 << 22


class Taken(StrEnum):
    """How the stream is taken out of its file."""

    WHOLE = "whole"  # the file is the stream
    FRAGMENTS = "fragments"  # a DICOM file's fragments, joined
    FASTSTART = "faststart"  # an MP4, its index written before its samples


@dataclass(frozen=True)
class Payload:
    """A stream to package, and what is in it."""

    path: Path
    taken: Taken
    output: Description

    @contextmanager
    def open(self) -> Iterator[tuple[int, Iterable[bytes]]]:
        """Its length in bytes and its bytes, in chunks; nothing is held beyond one chunk and an MP4's index."""
        with self.path.open("rb") as stream:
            if self.taken is Taken.FRAGMENTS:
                yield self._fragments()
            elif self.taken is Taken.FASTSTART:
                yield _faststart(stream)
            else:
                yield self.path.stat().st_size, _chunks(stream)

    def _fragments(self) -> tuple[int, Iterable[bytes]]:
        from common.dicom.pixel_stream import FragmentReader, fragments

        facts = self.output.dicom
        if facts is None or facts.stream_length is None:
            raise InternalFault("only a DICOM video source has fragments")
        parts = fragments(self.path, facts.pixel_data_offset)
        return facts.stream_length, _chunks(FragmentReader(self.path, parts, facts.stream_length))


def carried_over(path: Path, description: Description, settings: Settings) -> Payload | None:
    """The source's own stream in its own container, or None for an MP4 whose index cannot be moved: FFmpeg writes that anew."""
    if description.kind is Kind.DICOM_VIDEO:
        return Payload(path, Taken.FRAGMENTS, description)
    limits = Limits(settings.describe_seconds, settings.child_memory_bytes)
    if not call(_movable, path, limits=limits, what="reading the index of the source"):
        return None
    return Payload(path, Taken.FASTSTART, description.model_copy(update={"moov_first": True}))


def _movable(path: Path) -> bool:
    from common.bitstream import BitstreamError

    try:
        with path.open("rb") as stream:
            _faststart(stream)
    except BitstreamError:
        return False
    return True


def _faststart(stream: BinaryIO) -> tuple[int, Iterable[bytes]]:
    from common.bitstream.faststart import faststart
    from common.bitstream.mp4 import read_layout

    moved = faststart(stream, read_layout(stream))
    return moved.length, moved.stream()


def _chunks(stream: BinaryIO | RawIOBase) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK_BYTES):
        yield chunk
