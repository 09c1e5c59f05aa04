"""Follow a data set while it passes by, piece by piece: who it is, and whether it is whole. No value is kept but the few asked for.

Elements are stepped over by their lengths (PS3.5 7.1), sequences and fragments of undefined length item by item (7.5, A.4), so
the end of the bytes is seen to be the end of the data set, or not.
"""

from __future__ import annotations

import struct
from collections.abc import Generator
from dataclasses import dataclass
from enum import IntEnum

from common.dicom.part10 import LONG_VRS, VRS
from common.errors import TruncatedSource, UnreadableSource

IMPLICIT, BIG_ENDIAN, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"

MAX_DEPTH = 64
"""Sequences nested deeper are no DICOM object anybody wrote."""

_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_MOST_VALUE = 64  # bytes: a UID


class Tag(IntEnum):
    """Elements that are kept."""

    SOP_CLASS = 0x00080016
    SOP_INSTANCE = 0x00080018
    MODALITY = 0x00080060
    STUDY = 0x0020000D
    SERIES = 0x0020000E


_KEPT = frozenset(int(tag) for tag in Tag)

Steps = Generator[int, bytes, None]
"""Yields how many bytes it needs next and is sent them; a negative number is how many are stepped over (and nothing sent)."""


@dataclass(frozen=True)
class Identity:
    """Which instance a data set says it is. Modality may be empty."""

    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    series_uid: str
    modality: str


class Scan:
    """``feed`` it all bytes of a data set in order, then ``close`` it."""

    def __init__(self, transfer_syntax_uid: str) -> None:
        """Raises: UnreadableSource: the deflated syntax, whose elements lie behind a decompressor."""
        if transfer_syntax_uid == DEFLATED:
            raise UnreadableSource("data sets of the deflated transfer syntax are not followed")
        self._explicit = transfer_syntax_uid != IMPLICIT
        order = ">" if transfer_syntax_uid == BIG_ENDIAN else "<"
        self._tag = struct.Struct(f"{order}HH")
        self._short, self._long = struct.Struct(f"{order}H"), struct.Struct(f"{order}I")
        self._values: dict[int, str] = {}
        self._passed = False  # all that is kept
        self._astray = False  # behind it, in bytes that are no elements
        self._depth = 0
        self._waiting = bytearray()
        self._steps = self._elements()
        self._needed = next(self._steps)

    @property
    def identity(self) -> Identity | None:
        """Known once its last element has gone by.

        Raises:
            UnreadableSource: the data set lacks one of its UIDs.
        """
        if not self._passed:
            return None
        kept = {tag: self._values.get(tag, "") for tag in Tag}
        for tag in Tag:
            if tag is not Tag.MODALITY and not kept[tag]:
                raise UnreadableSource(f"the data set lacks ({tag >> 16:04X},{tag & 0xFFFF:04X})")
        return Identity(
            kept[Tag.SOP_CLASS], kept[Tag.SOP_INSTANCE], kept[Tag.STUDY], kept[Tag.SERIES], kept[Tag.MODALITY]
        )

    def feed(self, data: memoryview) -> None:
        """Follow the next bytes.

        Raises:
            UnreadableSource: they are no data elements, and the data set is not identified yet.
        """
        position = 0
        while position < len(data) and not self._astray:
            if self._needed < 0:
                stepped = min(-self._needed, len(data) - position)
                position += stepped
                self._needed += stepped
                if self._needed == 0:
                    self._next(b"")
                continue
            piece = data[position : position + self._needed - len(self._waiting)]
            self._waiting += piece
            position += len(piece)
            if len(self._waiting) == self._needed:
                taken = bytes(self._waiting)
                self._waiting.clear()
                self._next(taken)

    def close(self) -> None:
        """No more bytes will come.

        Raises:
            TruncatedSource: the data set ends inside an element, a sequence or a fragment.
        """
        if self._astray:
            return
        behind_all = self._passed and not self._depth and self._needed > 0  # a few odd bytes hurt nobody
        if not behind_all and (self._depth or self._needed < 0 or self._waiting):
            raise TruncatedSource("the data set ends inside an element")
        self._passed = True

    def _next(self, taken: bytes) -> None:
        try:
            self._needed = self._steps.send(taken)
        except UnreadableSource:
            if not self._passed:
                raise
            self._astray = True  # whoever reads the object judges it

    def _elements(self) -> Steps:
        while True:
            yield from self._element(explicit=self._explicit)

    def _element(self, *, explicit: bool) -> Generator[int, bytes, int]:
        """One element with its value; returns its tag."""
        tag = self._number((yield 4))
        if not self._depth:
            self._passed = self._passed or tag > Tag.SERIES
        if tag >> 16 == 0xFFFE:  # delimiters have no VR in any syntax (PS3.5 7.5)
            (length,) = self._long.unpack((yield 4))
            if tag != _ITEM_END or not self._depth or length:
                raise UnreadableSource("an item or a delimiter lies outside a sequence")
            return tag
        vr, length = b"", _UNDEFINED
        if explicit:
            head = yield 4
            vr = head[:2]
            if vr not in VRS:
                raise UnreadableSource("the data set holds what is no data element")
            (length,) = self._long.unpack((yield 4)) if vr in LONG_VRS else self._short.unpack(head[2:])
        else:
            (length,) = self._long.unpack((yield 4))
        if length == _UNDEFINED:
            # an unknown element of undefined length is a sequence in implicit VR (PS3.5 6.2.2)
            yield from self._sequence(explicit=explicit and vr != b"UN")
        elif not self._depth and tag in _KEPT and 0 < length <= _MOST_VALUE:
            self._values[tag] = (yield length).decode("latin-1").strip(" \0")
        elif length:
            yield -length
        return tag

    def _sequence(self, *, explicit: bool) -> Steps:
        """Items, or fragments, up to the delimiter."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise UnreadableSource(f"sequences are nested more than {MAX_DEPTH} deep")
        while True:
            tag = self._number((yield 4))
            (length,) = self._long.unpack((yield 4))
            if tag == _SEQUENCE_END:
                break
            if tag != _ITEM:
                raise UnreadableSource("a sequence holds what is no item")
            if length == _UNDEFINED:
                while (yield from self._element(explicit=explicit)) != _ITEM_END:
                    pass
            elif length:
                yield -length
        self._depth -= 1

    def _number(self, data: bytes) -> int:
        group, element = self._tag.unpack(data)
        return int(group << 16 | element)
