"""One instance from the wire into the object store: followed while it passes, hashed while it is written, whole or not at all."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from common.dicom.scan import Identity, Scan
from common.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from common.errors import InputError, StoreFault, UnreadableSource
from common.network.arrivals import arrival_key, new_arrival_id
from common.store import ObjectStore, ObjectWriter

PIECE_BYTES = 512 << 10
"""What is written and hashed at once; at most ten such pieces of one instance are in memory (common.store.hashing)."""

_UID = re.compile(r"[0-9.]{1,64}")
"""PS3.5 9.1; what breaks its finer rules (leading zeros, two dots) is common, and harmless in a ledger."""

_LOOK_PIECES = 64
"""After so many pieces the room on the disk is looked at again."""


class WrongIdentity(InputError):
    """The data set is another class or instance than the C-STORE request says."""


@dataclass(frozen=True)
class StoreRequest:
    """A C-STORE request, and who sent it to whom."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    calling_aet: str
    called_aet: str
    move_originator: str = ""  # AE title that asked the sender by C-MOVE


@dataclass(frozen=True)
class Arrived:
    """An instance that lies whole in the store, and nowhere else yet."""

    id: str
    key: str
    request: StoreRequest
    identity: Identity
    size_bytes: int  # of the file
    digest: str  # SHA-256 of the file, hexadecimal


def receive(
    request: StoreRequest,
    data: Iterator[memoryview],
    store: ObjectStore,
    *,
    least_free_bytes: int = 0,
    identified: Callable[[Identity], None] = lambda _: None,
) -> Arrived:
    """Write an instance as a DICOM file (PS3.10) below ``arrivals/``. On an exception nothing is left behind.

    ``least_free_bytes``: what must stay free on the store's disk; ``identified`` is told who it is while the rest still comes.

    Raises:
        StoreFault: no room, or the store cannot take it.
        WrongIdentity: the data set is another class or instance than the request says.
        UnreadableSource: its header cannot be followed, or lacks a UID.
        TruncatedSource: it ends inside an element.
        PeerFault: the association ended before the data set was complete.
    """
    if not _UID.fullmatch(request.sop_instance_uid) or not _UID.fullmatch(request.sop_class_uid):
        raise UnreadableSource("a UID of the C-STORE request is none")
    arrival_id = new_arrival_id()
    key = arrival_key(request.sop_instance_uid, arrival_id)
    scan, identity = Scan(request.transfer_syntax_uid), None
    _require_room(store, least_free_bytes)
    with store.writer(key) as writer:
        writer.write(_file_meta(request))
        pieces = _Pieces(writer)
        for view in data:
            scan.feed(view)
            if identity is None and (identity := scan.identity) is not None:
                _require_identity(identity, request)
                identified(identity)
            if pieces.add(view) % _LOOK_PIECES == 0:
                _require_room(store, least_free_bytes)
        scan.close()
        identity = identity or scan.identity
        if identity is None:
            raise UnreadableSource("the data set is empty")
        _require_identity(identity, request)
        pieces.flush()
    return Arrived(arrival_id, key, request, identity, writer.stored.size_bytes, writer.stored.digest)


class _Pieces:
    """Joins what comes to pieces of one size: hashing and writing cost less by the byte."""

    def __init__(self, writer: ObjectWriter) -> None:
        self._writer = writer
        self._piece = bytearray(PIECE_BYTES)
        self._filled = self._count = 0

    def add(self, view: memoryview) -> int:
        """Take a copy of ``view``; returns how many pieces have begun."""
        while view:
            taken = view[: PIECE_BYTES - self._filled]
            self._piece[self._filled : self._filled + len(taken)] = taken
            self._filled += len(taken)
            view = view[len(taken) :]
            if self._filled == PIECE_BYTES:
                self.flush()
        return self._count + 1

    def flush(self) -> None:
        """Write what is there. The piece is given away: the hash may still read it."""
        self._writer.write(memoryview(self._piece)[: self._filled].toreadonly())
        self._piece, self._filled = bytearray(PIECE_BYTES), 0
        self._count += 1


def _require_room(store: ObjectStore, least: int) -> None:
    free = store.free_bytes()
    if free is not None and free < least:
        raise StoreFault(
            "the disk of the object store is nearly full", hint="Make room, or lower CINEFARM_LISTEN_FREE_BYTES."
        )


def _require_identity(identity: Identity, request: StoreRequest) -> None:
    if identity.sop_class_uid != request.sop_class_uid:
        raise WrongIdentity("the data set is of another SOP class")
    if identity.sop_instance_uid != request.sop_instance_uid:
        raise WrongIdentity("the data set is another SOP instance")
    if not _UID.fullmatch(identity.study_uid) or not _UID.fullmatch(identity.series_uid):
        raise UnreadableSource("the Study or Series Instance UID of the data set is none")


def _file_meta(request: StoreRequest) -> bytes:
    """Preamble and File Meta Information (PS3.10 7.1): Explicit VR Little Endian.

    Nothing of the association stands in it: the same instance sent again, by whomever, is the same file.
    """
    elements = [
        (0x0002, b"UI", request.sop_class_uid),
        (0x0003, b"UI", request.sop_instance_uid),
        (0x0010, b"UI", request.transfer_syntax_uid),
        (0x0012, b"UI", IMPLEMENTATION_CLASS_UID),
        (0x0013, b"SH", IMPLEMENTATION_VERSION_NAME),
    ]
    body = struct.pack("<HH2sHI2s", 2, 1, b"OB", 0, 2, b"\x00\x01")
    for number, vr, text in elements:
        value = text.encode()
        value += (b"\0" if vr == b"UI" else b" ") * (len(value) % 2)
        body += struct.pack("<HH2sH", 2, number, vr, len(value)) + value
    return bytes(128) + b"DICM" + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(body)) + body
