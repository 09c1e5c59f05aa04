"""Bring one instance from a DICOMweb server by WADO-RS: streamed from its multipart answer, never in memory."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator

from common.bandwidth import UNPACED, Pace
from common.destinations import WebDestination, parse_destination
from common.dicom.part10 import read_meta
from common.errors import DestinationRefused, DestinationUnavailable, PolicyError, UnreadableSource
from common.network.association import Timeouts
from common.network.wado import NoSuchInstance, instance_bytes
from common.network.web import WebPeer, instance_path
from common.orders import Retrieval
from common.settings import Settings

SILENCE_SECONDS = 600.0
"""How long a server may say and send nothing: what lies on tape takes minutes to come."""

_HEAD_BYTES = 4_096
"""Enough for the file meta information, which names the instance."""

_INSTANCE = 0x00020003


def fetch_from_web(
    retrieval: Retrieval,
    write: Callable[[bytes], object],
    settings: Settings,
    pace: Pace = UNPACED,
    *,
    silence: float = SILENCE_SECONDS,
) -> None:
    """Hand the DICOM file to ``write`` piece by piece. What was written before an error is worth nothing.

    Raises:
        DestinationUnavailable: the server is away or busy, or its answer broke off: try again.
        DestinationRefused: the server does not give the instance to us, or gives another.
        UnreadableSource: it has no such instance (any more).
        UnsupportedSource: a UID cannot stand in an address.
        LeaseLost: the attempt was revoked.
    """
    server = parse_destination(retrieval.place)
    if not isinstance(server, WebDestination):
        raise PolicyError("only a DICOMweb server gives instances by WADO-RS")
    path = instance_path(retrieval.study_uid, retrieval.series_uid, retrieval.sop_instance_uid)
    with WebPeer(server, settings, timeouts=Timeouts(stall=silence), check=pace.check) as peer:
        try:
            for piece in _of_instance(instance_bytes(peer, path), retrieval.sop_instance_uid):
                pace(len(piece))
                write(piece)
        except NoSuchInstance as error:
            raise UnreadableSource("the archive no longer has this instance") from error


def _of_instance(pieces: Iterable[bytes], sop_instance_uid: str) -> Iterator[bytes]:
    """The pieces, once the first ones have shown that they are of this instance."""
    head, known = b"", False
    for piece in pieces:
        if known:
            yield piece
            continue
        head += piece
        if len(head) >= _HEAD_BYTES:
            _require_instance(head, sop_instance_uid)
            yield head
            known = True
    if not known:
        _require_instance(head, sop_instance_uid)
        yield head


def _require_instance(head: bytes, sop_instance_uid: str) -> None:
    if not head:
        raise DestinationUnavailable("the DICOMweb server sent an empty instance")
    meta = read_meta(io.BytesIO(head))
    if not meta.prefix:
        raise DestinationRefused("the DICOMweb server sent something that is no DICOM file (WADO-RS)")
    if meta.text(_INSTANCE) != sop_instance_uid:
        raise DestinationRefused("the DICOMweb server sent another instance than the one that was asked for (WADO-RS)")
