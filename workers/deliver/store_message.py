"""C-STORE as bytes: its request and response (PS3.7 9.3.1, E.1) and the P-DATA-TF PDUs that carry it (PS3.8 9.3.5, E.2)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from workers.deliver.data_set import DataSet

P_DATA, RELEASE_REQUEST, RELEASE_RESPONSE, ABORT = 0x04, 0x05, 0x06, 0x07
"""Types of PDUs (PS3.8 9.3)."""

RELEASE_RQ_PDU = struct.pack(">BxL4x", RELEASE_REQUEST, 4)
RELEASE_RP_PDU = struct.pack(">BxL4x", RELEASE_RESPONSE, 4)
ABORT_PDU = struct.pack(">BxL4x", ABORT, 4)  # source 0: the service user, that is us

PDU_HEAD = struct.Struct(">BxL")
"""Type of the PDU and length of what follows."""

BATCH_BYTES = 1 << 20
"""What is read and sent at once: few system calls, and little memory."""

LOW_PRIORITY = 2
"""A migration gives way to the clinic (PS3.7 9.1.1.1.5)."""

_MOST_SLOTS = 1024  # IOV_MAX of Linux: as many pieces one preadv(2) fills
_DATA_HEAD = struct.Struct(">BxLLBB")
_COMMAND, _LAST = 0x01, 0x02  # bits of the message control header
_ELEMENT = struct.Struct("<HHI")
_STORE_REQUEST, _STORE_RESPONSE = 0x0001, 0x8001
_SOP_CLASS, _COMMAND_FIELD, _MESSAGE_ID, _ANSWERED_ID = 0x0002, 0x0100, 0x0110, 0x0120
_PRIORITY, _DATA_SET_TYPE, _STATUS, _SOP_INSTANCE = 0x0700, 0x0800, 0x0900, 0x1000
_LONGEST_COMMAND = 1 << 16
_SOME_DATA_SET = 0x0001  # anything but 0101H, which says that none follows


def request_pdu(context_id: int, sop_class_uid: str, sop_instance_uid: str, message_id: int) -> bytes:
    """The C-STORE-RQ command in one PDU; it is shorter than any PDU that a peer may limit us to."""
    elements = b"".join(
        [
            _uid(_SOP_CLASS, sop_class_uid),
            _number(_COMMAND_FIELD, _STORE_REQUEST),
            _number(_MESSAGE_ID, message_id),
            _number(_PRIORITY, LOW_PRIORITY),
            _number(_DATA_SET_TYPE, _SOME_DATA_SET),
            _uid(_SOP_INSTANCE, sop_instance_uid),
        ]
    )
    command = _ELEMENT.pack(0, 0, 4) + struct.pack("<I", len(elements)) + elements
    return _data_head(context_id, len(command), _COMMAND | _LAST) + command


def _uid(element: int, uid: str) -> bytes:
    value = uid.encode("ascii")
    value += b"\0" * (len(value) % 2)
    return _ELEMENT.pack(0, element, len(value)) + value


def _number(element: int, value: int) -> bytes:
    return _ELEMENT.pack(0, element, 2) + struct.pack("<H", value)


def _data_head(context_id: int, count: int, control: int) -> bytes:
    """Heads of a PDU and of its only Presentation Data Value item."""
    return _DATA_HEAD.pack(P_DATA, count + 6, count + 2, context_id, control)


def data_pdus(data: DataSet, context_id: int, pdu_bytes: int, batch_bytes: int = BATCH_BYTES) -> Iterator[memoryview]:
    """The data set as whole PDUs of at most ``pdu_bytes``, some at a time, ready to be sent.

    All are written into one buffer whose heads are made once: values are read from the file between them.

    Raises:
        StoreFault: see DataSet.
    """
    piece = (
        pdu_bytes - 6
    ) & ~1  # a fragment has an even length (PS3.8 E.2); the limit counts what follows the PDU's head
    step = _DATA_HEAD.size + piece
    count = max(1, min(batch_bytes // step, _MOST_SLOTS))
    buffer = bytearray((_data_head(context_id, piece, 0) + bytes(piece)) * count)
    view = memoryview(buffer)
    slots = [view[at + _DATA_HEAD.size : at + step] for at in range(0, len(buffer), step)]
    left = data.length
    while left > 0:
        whole, rest = divmod(min(left, piece * count), piece)
        data.fill([*slots[:whole], *([slots[whole][:rest]] if rest else [])])
        left -= whole * piece + rest
        end = whole * step + (_DATA_HEAD.size + rest if rest else 0)
        if left == 0:
            at = end - _DATA_HEAD.size - (rest or piece)
            buffer[at : at + _DATA_HEAD.size] = _data_head(context_id, rest or piece, _LAST)
        yield view[:end]


@dataclass(frozen=True)
class Response:
    """A C-STORE-RSP."""

    message_id: int  # of the request that is answered
    status: int


class Answers:
    """Gathers the fragments of commands that a peer sends."""

    def __init__(self) -> None:
        self._command = b""

    def take(self, body: bytes) -> Response | None:
        """The body of a P-DATA-TF PDU; a response once it is whole.

        Raises:
            ValueError: this is no C-STORE-RSP.
        """
        try:
            return self._gathered(body)
        except struct.error as error:
            raise ValueError("cut short") from error

    def _gathered(self, body: bytes) -> Response | None:
        position = 0
        while position < len(body):
            length, _, control = struct.unpack_from(">LBB", body, position)
            fragment = body[position + 6 : position + 4 + length]
            position += 4 + length
            if length < 2 or position > len(body) or not control & _COMMAND:
                raise ValueError("not a command")
            self._command += fragment
            if len(self._command) > _LONGEST_COMMAND:
                raise ValueError("too long for a response")
            if control & _LAST:
                command, self._command = self._command, b""
                return _response(command)
        return None


def _response(command: bytes) -> Response:
    values: dict[int, int] = {}
    position = 0
    while position < len(command):
        group, element, length = _ELEMENT.unpack_from(command, position)
        position += _ELEMENT.size
        if group != 0 or position + length > len(command):
            raise ValueError("not a command set")
        values[element] = int.from_bytes(command[position : position + length], "little")
        position += length
    if values.get(_COMMAND_FIELD) != _STORE_RESPONSE or _STATUS not in values:
        raise ValueError("not a C-STORE response")
    return Response(values.get(_ANSWERED_ID, 0), values[_STATUS])
