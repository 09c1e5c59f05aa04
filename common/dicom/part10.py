"""The outside of a DICOM file as its bytes lie (PS3.10 7): preamble, file meta information, and what follows the last element."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

_META = 0x0002
_GROUP_LENGTH, _SYNTAX = 0x00020000, 0x00020010
_SHORT = struct.Struct("<HH2sH")
_LONG = struct.Struct("<I")
_IMPLICIT = struct.Struct("<HHI")
_UNDEFINED = 0xFFFFFFFF
LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
"""Value representations with a length of four bytes (PS3.5 table 7.1-1)."""
VRS = LONG_VRS | frozenset(
    {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN"}
    | {b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"}
)
_MAX_META_ELEMENTS = 64
_MAX_META_VALUE = 4096  # bytes: longer ones (private information) are passed over


@dataclass(frozen=True)
class Element:
    """Where one element lies: its tag, VR (empty in implicit VR), offset of its value and length (None: undefined)."""

    tag: int
    vr: str
    offset: int
    length: int | None

    @property
    def end(self) -> int:
        """Offset behind the value, where its length is known."""
        return self.offset + (self.length or 0)


@dataclass(frozen=True)
class FileMeta:
    """The file meta information. ``values``: tag → text of each element of a few bytes. Lengths in bytes."""

    prefix: bool  # 128 bytes of preamble and DICM
    declared_length: int | None  # (0002,0000); None: absent or no number
    real_length: int  # of what follows (0002,0000) in group 0002
    values: dict[int, str] = field(default_factory=dict)
    explicit: bool | None = None  # the data set begins with an element that names its VR; None: it has no element

    def text(self, tag: int) -> str:
        """The value without its padding; empty where it is absent."""
        return self.values.get(tag, "")


def read_meta(f: BinaryIO) -> FileMeta:
    """Read the first bytes of a file that may be DICOM; never fails on what they say."""
    f.seek(0)
    prefix = f.read(132)[128:] == b"DICM"
    start = 132 if prefix else 0
    values: dict[int, str] = {}
    declared: int | None = None
    begin = end = start
    for element in _meta_elements(f, start):
        value = f.read(element.length) if element.length is not None and element.length <= _MAX_META_VALUE else b""
        if element.tag == _GROUP_LENGTH:
            declared = int.from_bytes(value, "little") if len(value) == 4 else None
            begin = element.end
        values[element.tag] = value.rstrip(b"\0 ").decode("latin-1")
        end = element.end
    f.seek(end)
    head = f.read(_SHORT.size)
    explicit = head[4:6] in VRS if len(head) == _SHORT.size else None
    return FileMeta(prefix, declared, end - begin, values, explicit)


def trailing_bytes(f: BinaryIO, start: int, size: int, *, explicit: bool) -> int:
    """Bytes from ``start``, behind Pixel Data, to the file's end that are no data elements in ascending order.

    A sequence of undefined length is taken to go on to the end.
    """
    position, before = start, 0x7FE00010
    while position < size:
        element = _element(f, position, explicit=explicit)
        if element is None or element.tag <= before:
            break
        if element.length is None:
            return 0
        if element.end > size:
            break
        position, before = element.end, element.tag
    return size - position


def _meta_elements(f: BinaryIO, start: int) -> Iterator[Element]:
    """Elements of group 0002, always in explicit VR; each leaves ``f`` at its value."""
    position = start
    for _ in range(_MAX_META_ELEMENTS):
        element = _element(f, position, explicit=True)
        if element is None or element.tag >> 16 != _META or element.length is None:
            return
        f.seek(element.offset)
        yield element
        position = element.end


def _element(f: BinaryIO, position: int, *, explicit: bool) -> Element | None:
    """The element whose tag stands at ``position``; None where none can stand there."""
    f.seek(position)
    head = f.read(_SHORT.size)
    if len(head) < _SHORT.size:
        return None
    if not explicit:
        group, number, long = _IMPLICIT.unpack(head)
        return Element(group << 16 | number, "", position + 8, None if long == _UNDEFINED else long)
    group, number, vr, length = _SHORT.unpack(head)
    if vr not in VRS:
        return None
    offset = position + 8
    if vr in LONG_VRS:
        rest = f.read(4)
        if len(rest) < 4:
            return None
        (length,) = _LONG.unpack(rest)
        offset += 4
    return Element(group << 16 | number, vr.decode(), offset, None if length == _UNDEFINED else length)
