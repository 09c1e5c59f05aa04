"""An instance that comes in over an association of ours (C-STORE under C-GET): written as it arrives, never in memory."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from common.bandwidth import Pace
from workers.retrieve.waiting import Waiting

STORED, NOT_ASKED_FOR, CANNOT = 0x0000, 0xA900, 0xA700
"""Our answers to C-STORE (PS3.4 table B.2-1)."""


class Incoming:
    """Takes one instance off an association; anything else that comes is refused.

    pynetdicom gathers a data set in memory, or in a file that would have to be copied. Here its reader hands every piece on, and
    waits while the piece is written, so that a slow store slows the archive down.
    """

    def __init__(self, sop_instance_uid: str, write: Callable[[bytes], object], pace: Pace, *, silence: float) -> None:
        """``silence``: seconds without a byte after which the archive is given up."""
        self.complete = False
        self.others = 0  # instances that were not asked for
        self._uid, self._write, self._pace, self._silence = sop_instance_uid, write, pace, silence
        self._fault: BaseException | None = None

    def attach(self, association: Any) -> None:
        """Stand between the association and what it receives."""
        self._association = association
        self._dimse = association.dimse
        self._receive = association.dimse.receive_primitive
        association.dimse.receive_primitive = self._received
        self._waiting = Waiting(association, self._go_on, self._silence)

    def answer(self, event: Any) -> int:
        """The status for an instance that has come; bound to EVT_C_STORE, called by whoever reads the responses."""
        request = event.request
        if request.AffectedSOPInstanceUID != self._uid or self.complete:
            self.others += 1
            return NOT_ASKED_FOR
        if not isinstance(request.DataSet, _Forward):  # so small that it came with its command
            self._take(
                request.AffectedSOPClassUID, event.context.transfer_syntax, request.DataSet.getvalue(), first=True
            )
        self.complete = self._fault is None
        return STORED if self.complete else CANNOT

    def require(self) -> None:
        """Raise what kept a piece from being written."""
        if self._fault is not None:
            raise self._fault

    def _go_on(self) -> None:
        self._pace.check()
        self.require()

    def _received(self, primitive: Any) -> None:
        """In pynetdicom's reading thread, for every P-DATA."""
        self._waiting.heard()
        self._receive(primitive)
        message = self._dimse.message
        if message is None or isinstance(message.data_set, _Forward):
            return
        if type(message).__name__ == "C_STORE_RQ":
            begun, message.data_set = message.data_set.getvalue(), _Forward(self, message)
            if begun:
                message.data_set.write(begun)

    def next_piece(self, message: Any, data: bytes, *, first: bool) -> None:
        """A piece of a data set."""
        command = message.command_set
        if command.AffectedSOPInstanceUID == self._uid and not self.complete:
            context = self._association._accepted_cx[message.context_id]
            self._take(command.AffectedSOPClassUID, context.transfer_syntax[0], data, first=first)

    def _take(self, sop_class_uid: str, syntax_uid: str, data: bytes, *, first: bool) -> None:
        if self._fault is not None:
            return
        try:
            if first:
                self._write(file_head(sop_class_uid, self._uid, syntax_uid))
            self._pace(len(data))
            self._write(data)
        except BaseException as fault:  # told in the thread that waits; this one must not die of it
            self._fault = fault


class _Forward(io.BytesIO):
    """Stands in for the memory in which pynetdicom would gather a data set."""

    def __init__(self, incoming: Incoming, message: Any) -> None:
        super().__init__()
        self._incoming, self._message, self._first = incoming, message, True

    def write(self, data: Any, /) -> int:
        self._incoming.next_piece(self._message, bytes(data), first=self._first)
        self._first = False
        return len(data)


def file_head(sop_class_uid: str, sop_instance_uid: str, syntax_uid: str) -> bytes:
    """Preamble and file meta information (PS3.10 7.1). Without a clock or a name: the same instance makes the same file."""
    from pydicom import Dataset

    from common.dicom.encapsulation import file_meta

    named = Dataset()
    named.SOPClassUID, named.SOPInstanceUID = sop_class_uid, sop_instance_uid
    return b"\0" * 128 + b"DICM" + file_meta(named, syntax_uid)
