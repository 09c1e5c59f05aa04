"""DIMSE command sets (PS3.7 6.3 and annex E): elements of group 0000, Implicit VR Little Endian. Bytes in, bytes out."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from common.errors import PeerFault

NO_DATA_SET = 0x0101
"""Command Data Set Type (0000,0800) of a message without a data set."""

_ELEMENT = struct.Struct("<HHI")
_COMMENT_CHARACTERS = 64  # of VR LO


class Element(IntEnum):
    """Element numbers in group 0000 (PS3.7 table E.1-1)."""

    GROUP_LENGTH = 0x0000
    AFFECTED_CLASS = 0x0002
    COMMAND = 0x0100
    MESSAGE_ID = 0x0110
    MESSAGE_ID_RESPONDED_TO = 0x0120
    DATA_SET_TYPE = 0x0800
    STATUS = 0x0900
    ERROR_COMMENT = 0x0902
    AFFECTED_INSTANCE = 0x1000
    EVENT_TYPE = 0x1002
    MOVE_ORIGINATOR = 0x1030


class Command(IntEnum):
    """Command Field (0000,0100) of the requests that we know; the response to each has bit 15 set."""

    C_STORE = 0x0001
    C_ECHO = 0x0030
    N_EVENT_REPORT = 0x0100
    C_CANCEL = 0x0FFF


@dataclass(frozen=True)
class CommandSet:
    """A decoded command set: element number → value as it lies."""

    values: Mapping[int, bytes]

    @classmethod
    def decode(cls, data: bytes | bytearray) -> CommandSet:
        """Read a command set.

        Raises:
            PeerFault: it is none.
        """
        values: dict[int, bytes] = {}
        position = 0
        while position < len(data):
            if position + _ELEMENT.size > len(data):
                raise PeerFault("a command set ends inside an element")
            group, number, length = _ELEMENT.unpack_from(data, position)
            position += _ELEMENT.size
            if group != 0 or position + length > len(data):
                raise PeerFault("a command set holds what is no command element")
            values[number] = bytes(data[position : position + length])
            position += length
        return cls(values)

    def number(self, element: Element) -> int:
        """The value of a US element.

        Raises:
            PeerFault: it is absent or has another length.
        """
        value = self.values.get(element, b"")
        if len(value) != 2:
            raise PeerFault(f"a command set lacks (0000,{element:04X})")
        return int.from_bytes(value, "little")

    def text(self, element: Element) -> str:
        """The value of a UI or AE element without its padding; empty where it is absent."""
        return self.values.get(element, b"").decode("latin-1").strip(" \0")

    @property
    def has_data_set(self) -> bool:
        """True when a data set follows."""
        return self.number(Element.DATA_SET_TYPE) != NO_DATA_SET

    def response(self, status: int, comment: str = "") -> bytes:
        """The encoded response to this request: what it named, and ``status`` with a few words for people."""
        command = self.number(Element.COMMAND)
        repeated = [Element.AFFECTED_CLASS]
        if command in (Command.C_STORE, Command.N_EVENT_REPORT):
            repeated.append(Element.AFFECTED_INSTANCE)
        if command == Command.N_EVENT_REPORT:
            repeated.append(Element.EVENT_TYPE)
        values = {element: self.values[element] for element in repeated if element in self.values}
        values[Element.COMMAND] = _us(command | 0x8000)
        values[Element.MESSAGE_ID_RESPONDED_TO] = self.values.get(Element.MESSAGE_ID, _us(0))
        values[Element.DATA_SET_TYPE] = _us(NO_DATA_SET)
        values[Element.STATUS] = _us(status)
        if comment:
            text = comment.encode("ascii", "replace")[:_COMMENT_CHARACTERS]
            values[Element.ERROR_COMMENT] = text + b" " * (len(text) % 2)
        return encoded(values)


def encoded(values: Mapping[Element, bytes]) -> bytes:
    """A command set with its group length."""
    body = b"".join(_ELEMENT.pack(0, number, len(value)) + value for number, value in sorted(values.items()))
    return _ELEMENT.pack(0, Element.GROUP_LENGTH, 4) + struct.pack("<I", len(body)) + body


def _us(number: int) -> bytes:
    return struct.pack("<H", number)
