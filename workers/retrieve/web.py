"""Bring one instance from a DICOMweb server by WADO-RS: streamed from its multipart answer, never in memory."""

from __future__ import annotations

import io
from collections.abc import Callable

from common.destinations import WebDestination, parse_destination
from common.dicom.part10 import read_meta
from common.errors import DestinationRefused, DestinationUnavailable, PolicyError
from common.network.wado import instance_bytes
from common.network.web import WebPeer, instance_path
from common.orders import Retrieval
from common.settings import Settings

_HEAD_BYTES = 4_096
"""Enough for the file meta information, which names the instance."""

_INSTANCE = 0x00020003


def fetch_from_web(
    retrieval: Retrieval,
    write: Callable[[bytes], object],
    settings: Settings,
    *,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Hand the DICOM file to ``write`` piece by piece. What was written before an error is worth nothing.

    Raises:
        DestinationUnavailable: the server is away or busy, or its answer broke off: try again.
        DestinationRefused: the server does not give the instance, or gives another.
        UnsupportedSource: a UID cannot stand in an address.
        LeaseLost: ``check`` said so.
    """
    server = parse_destination(retrieval.place)
    if not isinstance(server, WebDestination):
        raise PolicyError("only a DICOMweb server gives instances by WADO-RS")
    path = instance_path(retrieval.study_uid, retrieval.series_uid, retrieval.sop_instance_uid)
    with WebPeer(server, settings, check=check) as peer:
        head, known = b"", False
        for piece in instance_bytes(peer, path):
            if known:
                write(piece)
                continue
            head += piece
            if len(head) >= _HEAD_BYTES:
                _require_instance(head, retrieval.sop_instance_uid)
                write(head)
                known = True
        if not known:
            _require_instance(head, retrieval.sop_instance_uid)
            write(head)


def _require_instance(head: bytes, sop_instance_uid: str) -> None:
    if not head:
        raise DestinationUnavailable("the DICOMweb server sent an empty instance")
    meta = read_meta(io.BytesIO(head))
    if not meta.prefix:
        raise DestinationRefused("the DICOMweb server sent something that is no DICOM file (WADO-RS)")
    if meta.text(_INSTANCE) != sop_instance_uid:
        raise DestinationRefused("the DICOMweb server sent another instance than the one that was asked for (WADO-RS)")
