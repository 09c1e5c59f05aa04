"""Which services of DICOMweb a server offers us: each is asked one small question, nothing is stored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from common.destinations import WebDestination
from common.errors import CinefarmError, DestinationRefused, DestinationUnavailable, UnsupportedSource
from common.network import qido, wado
from common.network.multipart import Envelope
from common.network.qido import INSTANCE, SERIES, STUDY, text
from common.network.web import DICOM_JSON, WebPeer, instance_path
from common.network.web_access import authorization
from common.settings import Settings

_REFUSED = frozenset({401, 403, 404, 405, 501})
"""Statuses that say that a store is not for us, or not at all; others judge the empty one that was sent."""


@dataclass(frozen=True)
class Service:
    """One service: whether it ``answers`` us (None: that could not be found out), and what it said."""

    name: str
    answers: bool | None
    said: str
    hint: str = ""

    @classmethod
    def refused(cls, name: str, error: CinefarmError) -> Service:
        """One that does not answer us."""
        return cls(name, False, error.message, error.hint)


def probe_web(server: WebDestination, settings: Settings) -> tuple[Service, ...]:
    """Look at every service, and at how we are let in. A question that is refused is an answer.

    Raises:
        PolicyError: the settings for TLS or credentials cannot be used.
    """
    with WebPeer(server, settings) as peer:
        return (_connection(server, settings), *_services(peer))


def _connection(server: WebDestination, settings: Settings) -> Service:
    kind = (authorization(server, settings) or "no credentials").partition(" ")[0].lower()
    kind = {"bearer": "a token", "basic": "a password", "no": "no credentials"}[kind]
    if server.base_url.startswith("https:"):
        shown = " and a client certificate" if settings.dicomweb_cert_file else ""
        return Service("access", True, f"over TLS; we show {kind}{shown}")
    return Service(
        "access", True, f"without TLS; we show {kind}" + ("" if kind == "no credentials" else " in the clear")
    )


def _services(peer: WebPeer) -> Iterator[Service]:
    found: list[str] = []
    try:
        found = _some_instance(peer)
        yield Service("QIDO-RS", True, "searches" if found else "searches; it holds no study that we may see")
    except (DestinationRefused, DestinationUnavailable, UnsupportedSource) as error:
        yield Service.refused("QIDO-RS", error)
    yield _fetch(peer, found)
    yield _store(peer)


def _some_instance(peer: WebPeer) -> list[str]:
    """UIDs of a study, of a series in it, of an instance in that; as many of them as there are."""
    uids: list[str] = []
    for level, key in (("studies", STUDY), ("series", SERIES), ("instances", INSTANCE)):
        with closing(qido.matches(peer, f"{instance_path(*uids)}/{level}", (), key, page=1)) as some:
            first = next(some, None)
        if first is None:
            break
        uids.append(text(first, key))
    return uids


def _fetch(peer: WebPeer, uids: list[str]) -> Service:
    """Begin to read an instance, and let it be."""
    if len(uids) < len((STUDY, SERIES, INSTANCE)):
        return Service("WADO-RS", None, "not asked: no instance is known")
    try:
        with closing(wado.instance_bytes(peer, instance_path(*uids))) as pieces:
            next(pieces, b"")
    except (DestinationRefused, DestinationUnavailable, UnsupportedSource) as error:
        return Service.refused("WADO-RS", error)
    return Service("WADO-RS", True, "gives instances as they are stored")


class _Nothing:
    """The body of a store without an instance."""

    def __init__(self, envelope: Envelope) -> None:
        self._end = envelope.after
        self.length = len(self._end)

    def pieces(self) -> Iterator[bytes]:
        """See Body."""
        yield self._end


def _store(peer: WebPeer) -> Service:
    envelope = Envelope()
    headers = {"Content-Type": envelope.content_type, "Accept": DICOM_JSON}
    judged = frozenset(range(300, 600)) - _REFUSED
    try:
        answer = peer.post("/studies", _Nothing(envelope), headers, what="STOW-RS", allow=judged)
    except (DestinationRefused, DestinationUnavailable) as error:
        return Service.refused("STOW-RS", error)
    if answer.status >= 500 or 300 <= answer.status < 400:
        return Service("STOW-RS", None, f"answers a store of nothing with HTTP {answer.status}")
    return Service("STOW-RS", True, f"takes stores (one of nothing: HTTP {answer.status})")
