"""The data set of a stored instance as it goes over the wire: the file's own bytes, or the same elements without their VRs.

Implicit VR Little Endian is the default transfer syntax, which whoever takes a class takes it in (PS3.5 10.1); only data
that is not compressed can be sent in it. Large values are never held: they go from the file straight into the caller's slots.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from common.errors import StoreFault, UnsupportedSource

EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
IMPLICIT_LITTLE = "1.2.840.10008.1.2"

MAX_DEPTH = 64
"""Sequences nested deeper are no DICOM object anybody wrote; Python's own limit on recursion is about 1000 frames."""

_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_HELD_BYTES = 1 << 16  # longer values stay in the file
_HEAD = struct.Struct("<HHI")


class DataSet(Protocol):
    """Bytes to send. ``length``: how many in all."""

    length: int

    def fill(self, slots: Sequence[memoryview]) -> None:
        """Put the next bytes into ``slots``, one after the other, to the end of the last.

        Raises:
            StoreFault: the file ends early or cannot be read.
        """
        ...


@contextmanager
def open_data_set(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """The file, and where the data set begins behind preamble and file meta information.

    Raises:
        StoreFault: it cannot be read, or is no DICOM file.
    """
    from pydicom.errors import InvalidDicomError
    from pynetdicom.dsutils import split_dataset

    try:
        _, offset = split_dataset(path)
        stream = path.open("rb", buffering=_HELD_BYTES)
    except OSError as error:
        raise StoreFault(f"the instance cannot be read from the store: {error.strerror}") from error
    except InvalidDicomError as error:
        raise StoreFault("the instance in the store is no DICOM file") from error
    with stream:
        yield stream, offset


class AsStored:
    """The file's own bytes from ``offset`` on."""

    def __init__(self, stream: BinaryIO, offset: int) -> None:
        self._file = stream.fileno()
        self._position = offset
        self.length = os.fstat(self._file).st_size - offset

    def fill(self, slots: Sequence[memoryview]) -> None:
        """See DataSet."""
        self._position += _read_into(self._file, self._position, slots)


@dataclass(frozen=True)
class _Value:
    """A value that stays in the file until it is sent."""

    offset: int
    length: int


class AsImplicit:
    """The elements of an Explicit VR Little Endian data set in Implicit VR Little Endian (PS3.5 A.1): values stay as they are.

    Sequences and items get undefined lengths, since theirs change; group lengths, which are retired, are left out.

    Raises:
        UnsupportedSource: it is encapsulated, or not well-formed.
    """

    def __init__(self, stream: BinaryIO, offset: int) -> None:
        self._file = stream.fileno()
        size = os.fstat(self._file).st_size
        self.length = sum(
            len(piece) if isinstance(piece, bytes) else piece.length for piece in _pieces(stream, offset, size)
        )
        self._pieces = _pieces(stream, offset, size)
        self._rest: bytes | _Value = b""

    def fill(self, slots: Sequence[memoryview]) -> None:
        """See DataSet."""
        for slot in slots:
            filled = 0
            while filled < len(slot):
                filled += self._move(slot[filled:])

    def _move(self, slot: memoryview) -> int:
        """Bytes of one piece that were put at the start of ``slot``."""
        rest = self._rest or next(self._pieces)
        if isinstance(rest, bytes):
            part, self._rest = rest[: len(slot)], rest[len(slot) :]
            slot[: len(part)] = part
            return len(part)
        count = _read_into(self._file, rest.offset, [slot[: rest.length]])
        self._rest = _Value(rest.offset + count, rest.length - count) if count < rest.length else b""
        return count


def _read_into(file: int, offset: int, slots: Sequence[memoryview]) -> int:
    wanted = sum(map(len, slots))
    try:
        got = os.preadv(file, slots, offset)
    except OSError as error:
        raise StoreFault(f"the instance cannot be read from the store: {error.strerror}") from error
    if got != wanted:  # on Linux a regular file is read in full unless it ends
        raise StoreFault("the instance in the store became shorter while it was sent")
    return got


def _pieces(stream: BinaryIO, start: int, end: int) -> Iterator[bytes | _Value]:
    stream.seek(start)
    return _elements(stream, end, 0)


def _elements(stream: BinaryIO, end: int | None, depth: int) -> Iterator[bytes | _Value]:
    """Elements up to ``end``, or to the delimiter of the item where its length is undefined. Leaves ``stream`` behind them."""
    while end is None or stream.tell() < end:
        group, number, rest = _HEAD.unpack(_read(stream, 8))
        tag, vr, length = group << 16 | number, rest.to_bytes(4, "little")[:2], rest >> 16
        if tag == _ITEM_END:
            return
        if vr in _LONG_VRS:
            length = int.from_bytes(_read(stream, 4), "little")
        if vr == b"SQ":
            yield _head(tag, _UNDEFINED)
            yield from _items(stream, length, depth + 1)
        elif length == _UNDEFINED:
            if vr != b"UN":  # whose items are in implicit VR already (PS3.5 6.2.2)
                raise UnsupportedSource("compressed pixel data cannot be sent in Implicit VR Little Endian")
            yield _head(tag, _UNDEFINED)
            yield from _as_they_are(stream, depth + 1)
        else:
            yield from _element(stream, tag, length)


def _element(stream: BinaryIO, tag: int, length: int) -> Iterator[bytes | _Value]:
    if length <= _HELD_BYTES:
        value = _read(stream, length)
        if tag & 0xFFFF:  # no group length
            yield _head(tag, length) + value
        return
    position = stream.tell()
    yield _head(tag, length)
    yield _Value(position, length)
    stream.seek(position + length)


def _items(stream: BinaryIO, length: int, depth: int) -> Iterator[bytes | _Value]:
    if depth > MAX_DEPTH:
        raise UnsupportedSource(f"sequences are nested more than {MAX_DEPTH} deep")
    end = None if length == _UNDEFINED else stream.tell() + length
    while end is None or stream.tell() < end:
        group, number, size = _HEAD.unpack(_read(stream, 8))
        tag = group << 16 | number
        if tag == _SEQUENCE_END:
            break
        if tag != _ITEM:
            raise UnsupportedSource("a sequence of the instance holds what is no item")
        yield _head(_ITEM, _UNDEFINED)
        yield from _elements(stream, None if size == _UNDEFINED else stream.tell() + size, depth)
        yield _head(_ITEM_END, 0)
    yield _head(_SEQUENCE_END, 0)


def _as_they_are(stream: BinaryIO, depth: int) -> Iterator[bytes | _Value]:
    """A sequence in implicit VR, to its delimiter: its heads are the same, and inside undefined lengths it goes on."""
    open_ends = 1
    while open_ends:
        head = _read(stream, 8)
        group, number, length = _HEAD.unpack(head)
        tag = group << 16 | number
        if length == _UNDEFINED:
            open_ends += 1
        elif tag in (_ITEM_END, _SEQUENCE_END):
            open_ends -= 1
        if open_ends + depth > 2 * MAX_DEPTH:
            raise UnsupportedSource(f"sequences are nested more than {MAX_DEPTH} deep")
        yield head
        if length not in (_UNDEFINED, 0):
            position = stream.tell()
            yield _Value(position, length)
            stream.seek(position + length)


def _head(tag: int, length: int) -> bytes:
    return _HEAD.pack(tag >> 16, tag & 0xFFFF, length)


def _read(stream: BinaryIO, count: int) -> bytes:
    data = stream.read(count)
    if len(data) != count:
        raise UnsupportedSource("the data set of the instance is not well-formed: an element reaches beyond its end")
    return data
