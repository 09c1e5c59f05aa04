"""A DICOM file that streams by: digests of all its bytes, and of its Pixel Data alone, in memory of its header's size."""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, cast

if TYPE_CHECKING:
    from pydicom.tag import BaseTag

MOST_HEADER_BYTES = 64 << 20
"""Kept until Pixel Data is found; what comes later is hashed and forgotten."""

_PIXEL_DATA = 0x7FE00010


@dataclass(frozen=True)
class FileDigests:
    """SHA-256, hexadecimal. ``pixels``: from the tag of Pixel Data to the end; empty where there is none to be found."""

    whole: str
    pixels: str
    size_bytes: int


def file_digests(pieces: Iterable[bytes]) -> FileDigests:
    """Read all pieces. An archive may change a header for good reasons (PS3.4 B.4.1), pixels it may not."""
    feed = _Feed(iter(pieces))
    start = _pixel_data(feed)
    whole = hashlib.sha256(feed.kept)
    pixels = hashlib.sha256(memoryview(feed.kept)[start:]) if start is not None else None
    size = len(feed.kept)
    feed.kept.clear()
    for piece in feed.pieces:
        size += len(piece)
        whole.update(piece)
        if pixels is not None:
            pixels.update(piece)
    return FileDigests(whole.hexdigest(), pixels.hexdigest() if pixels else "", size)


class _Feed(io.RawIOBase):
    """Makes a file to read in of pieces that come once: keeps what was read, so that a reader may go back."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.pieces = pieces
        self.kept = bytearray()
        self._position = 0
        self._fault: BaseException | None = None

    def require_whole(self) -> None:
        """Raise what the pieces raised, should a reader have taken it for broken bytes."""
        if self._fault is not None:
            raise self._fault

    def read(self, size: int = -1, /) -> bytes:
        """Up to ``size`` bytes; fewer at the end, and where too many would be kept."""
        end = self._position + (size if size is not None and size >= 0 else MOST_HEADER_BYTES)
        while len(self.kept) < end and len(self.kept) < MOST_HEADER_BYTES:
            try:
                piece = next(self.pieces, b"")
            except BaseException as fault:
                self._fault = fault
                raise
            if not piece:
                break
            self.kept += piece
        data = bytes(self.kept[self._position : end])
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Within what was read, or ahead."""
        self._position = max(0, offset + (self._position if whence == os.SEEK_CUR else 0))
        return self._position

    def tell(self) -> int:
        """Where the next byte comes from."""
        return self._position


def _pixel_data(feed: _Feed) -> int | None:
    """Offset of the tag of Pixel Data; None: not found, or no DICOM."""
    from pydicom.filereader import read_partial

    found: list[int] = []

    def stop(tag: BaseTag, vr: str | None, _length: int) -> bool:
        if tag == _PIXEL_DATA:
            found.append(feed.tell() - (8 if vr is None else 12))  # OB and OW have the long form (PS3.5 7.1.2)
        return bool(found)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read_partial(cast(BinaryIO, feed), stop_when=stop, specific_tags=[])
    except Exception:  # pydicom raises what it likes on broken bytes: then only the whole can be compared
        feed.require_whole()
        return None
    return found[0] if found else None
