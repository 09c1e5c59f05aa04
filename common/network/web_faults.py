"""What stood between us and a DICOMweb server's answer, in words: TLS, names, connections, silence."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from typing import TypeVar

from common.destinations import WebDestination
from common.errors import DestinationRefused, DestinationUnavailable

_E = TypeVar("_E", bound=BaseException)

_RUNS = "Check host, port and scheme (http or https) of the URI, and that the server runs."
_OURS = "A server that wants a client certificate needs CINEFARM_DICOMWEB_CERT_FILE and CINEFARM_DICOMWEB_KEY_FILE."


def no_answer(error: Exception, server: WebDestination, what: str) -> DestinationRefused | DestinationUnavailable:
    """The error for an exception of httpx, by the cause beneath it; the library's words hold addresses and queries."""
    import httpx

    connecting = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError)
    if (refused := _tls(error, server, connecting=connecting)) is not None:
        return refused
    hint = f"{_RUNS} {_OURS}" if server.base_url.startswith("https:") else _RUNS
    if _cause(error, socket.gaierror) is not None:
        return DestinationUnavailable("the host name of the DICOMweb server cannot be resolved", hint=hint)
    if connecting:
        return DestinationUnavailable(f"{server.uri} cannot be reached: no connection", hint=hint)
    if isinstance(error, httpx.TimeoutException):
        return DestinationUnavailable(f"the DICOMweb server fell silent ({what})")
    return DestinationUnavailable(
        f"the DICOMweb server ended the connection, or sent what is no HTTP, before its answer was complete ({what})",
        hint=hint,
    )


def _tls(error: Exception, server: WebDestination, *, connecting: bool) -> DestinationRefused | None:
    """A handshake that failed; None: it did not, or the connection broke later. TLS 1.3 refuses our certificate afterwards."""
    if (unbelieved := _cause(error, ssl.SSLCertVerificationError)) is not None:
        return DestinationRefused(
            f"the certificate of {server.uri} is not believed: {unbelieved.verify_message}",
            hint="CINEFARM_DICOMWEB_CA_FILE must hold the CA that signed it (PEM), and the host in the URI must be one of its names.",
        )
    handshake = _cause(error, ssl.SSLError)
    reason = (handshake.reason or "handshake failed") if handshake else ""
    if handshake is None or isinstance(handshake, ssl.SSLEOFError) or not (connecting or "ALERT" in reason):
        return None
    if reason == "WRONG_VERSION_NUMBER":
        hint = "Write dicomweb+http:// if that is allowed on this network, or another port."
        return DestinationRefused(f"{server.uri} speaks no TLS", hint=hint)
    return DestinationRefused(f"{server.uri} and we do not agree on TLS ({reason.lower()})", hint=_OURS)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _cause(error: BaseException, kind: type[_E]) -> _E | None:
    return next((cause for cause in _causes(error) if isinstance(cause, kind)), None)
