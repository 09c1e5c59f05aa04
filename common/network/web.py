"""The HTTP of DICOMweb (PS3.18 8): one server, asked in bounded memory, with our limits of time; refusals in words.

Neither a log line nor an error of ours holds what was asked: a query may name a patient.
"""

from __future__ import annotations

import logging
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from common import __version__
from common.bandwidth import LONGEST_NAP_SECONDS
from common.destinations import WebDestination
from common.errors import DestinationRefused, DestinationUnavailable, PolicyError, UnsupportedSource
from common.network.association import Timeouts
from common.network.web_access import authorization, tls_context
from common.network.web_faults import no_answer
from common.network.web_status import BUSY, PASSING, refusal, retry_after
from common.settings import Settings

if TYPE_CHECKING:
    import httpx

DICOM_JSON = "application/dicom+json"

MOST_BYTES = 32 << 20
"""Longest answer that is read into memory: a page of a query, the receipt of a store."""

TRIES = 3
"""Of a question to a server that drops connections or fails now and then; a busy one is asked as long as patience lasts."""

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 10.0  # seconds, doubling, where the server names none
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


class Body(Protocol):
    """A request's body: made anew for each try, never in memory."""

    length: int

    def pieces(self) -> Iterator[bytes]:
        """The bytes from the start, ``length`` in all."""
        ...


@dataclass(frozen=True)
class Answer:
    """A short answer, read to its end. Header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def media_type(self) -> str:
        """Without its parameters, lower-case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class WebPeer:
    """A DICOMweb server, for the length of a ``with`` block and for one thread. ``check`` raises what is to end the work."""

    def __init__(
        self,
        server: WebDestination,
        settings: Settings,
        *,
        timeouts: Timeouts | None = None,
        check: Callable[[], None] = lambda: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Nothing is opened yet.

        Raises:
            PolicyError: the settings for TLS or credentials cannot be used.
        """
        self.server = server
        self._timeouts = timeouts or Timeouts()
        self._patience = settings.dicomweb_patience_seconds
        self._check, self._sleep = check, sleep
        self._client = _client(server, settings, self._timeouts)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def get(
        self,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        *,
        what: str,
        accept: str = DICOM_JSON,
        allow: frozenset[int] = frozenset(),
    ) -> Answer:
        """Ask, and read the answer. Statuses of ``allow`` are answers too; ``what`` names the question in errors.

        Raises:
            DestinationUnavailable: no connection, or busy beyond our patience.
            DestinationRefused: it said no.
        """
        with self.stream(path, query, what=what, accept=accept, allow=allow) as response, self._faults(what):
            return _read(response, what)

    @contextmanager
    def stream(
        self,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        *,
        what: str,
        accept: str,
        allow: frozenset[int] = frozenset(),
    ) -> Iterator[httpx.Response]:
        """Ask; the body is the caller's to read, within ``body``. Raises what ``get`` raises."""
        request = self._client.build_request("GET", f"{self.server.base_url}{path}", params=[*query])
        request.headers["Accept"] = accept
        response = self._patiently(lambda: self._client.send(request, stream=True), PASSING, what)
        try:
            self._require_success(response, what, allow)
            yield response
        finally:
            response.close()

    def body(self, response: httpx.Response, what: str) -> Iterator[bytes]:
        """The pieces of a streamed answer.

        Raises:
            DestinationUnavailable: the connection ended before the body did.
        """
        with self._faults(what):
            for piece in response.iter_bytes():
                self._check()
                yield piece

    def post(self, path: str, body: Body, headers: Mapping[str, str], *, what: str, allow: frozenset[int]) -> Answer:
        """Send a body, and read the answer. It is sent again only where the server says that it did not look at it.

        Raises:
            DestinationUnavailable: no connection, busy beyond our patience, or nobody knows what became of it.
            DestinationRefused: it said no.
        """

        def send() -> httpx.Response:
            request = self._client.build_request(
                "POST",
                f"{self.server.base_url}{path}",
                content=body.pieces(),
                headers={**headers, "Content-Length": str(body.length)},
            )
            request.extensions["timeout"]["read"] = self._timeouts.answer
            return self._client.send(request, stream=True)

        response = self._patiently(send, BUSY, what, tries=1)
        try:
            self._require_success(response, what, allow)
            with self._faults(what):
                return _read(response, what)
        finally:
            response.close()

    def _patiently(
        self, send: Callable[[], httpx.Response], again: frozenset[int], what: str, *, tries: int = TRIES
    ) -> httpx.Response:
        """Try until there is an answer to go on with, or no patience is left."""
        waited, wait, left = 0.0, _FIRST_WAIT, tries
        while True:
            left -= 1
            try:
                with self._faults(what):
                    response = send()
            except DestinationUnavailable:
                if left < 1 or waited + wait > self._patience:
                    raise
                asked = None
            else:
                if response.status_code not in again:
                    return response
                asked = retry_after(response.headers.get("retry-after"))
                response.close()
                if (left < 1 and response.status_code not in BUSY) or waited + (asked or wait) > self._patience:
                    raise refusal(response.status_code, what)
            waited += self._nap(wait if asked is None else asked)
            wait = min(2 * wait, _LONGEST_WAIT)

    def _nap(self, seconds: float) -> float:
        left = seconds
        while left > 0:
            self._check()
            self._sleep(min(left, LONGEST_NAP_SECONDS))
            left -= LONGEST_NAP_SECONDS
        return seconds

    def _require_success(self, response: httpx.Response, what: str, allow: frozenset[int]) -> None:
        if not response.is_success and response.status_code not in allow:
            raise refusal(response.status_code, what, response.headers.get("location", ""))

    @contextmanager
    def _faults(self, what: str) -> Iterator[None]:
        """The library's errors hold addresses and queries: ours say what failed and with whom."""
        import httpx

        try:
            yield
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise no_answer(error, self.server, what) from error
        except httpx.InvalidURL as error:
            raise DestinationRefused("the address of the DICOMweb server cannot be used") from error


def instance_path(study_uid: str = "", series_uid: str = "", sop_instance_uid: str = "") -> str:
    """``/studies/…[/series/…[/instances/…]]`` (PS3.18 10.1.1). UIDs come out of headers that anybody may have written.

    Raises:
        UnsupportedSource: one of them is none, and would lead elsewhere.
    """
    named = (("studies", study_uid), ("series", series_uid), ("instances", sop_instance_uid))
    gap = bool(series_uid and not study_uid) or bool(sop_instance_uid and not series_uid)
    for _, uid in named:
        if gap or (uid and (len(uid) > 64 or not _UID.fullmatch(uid))):
            raise UnsupportedSource("a UID of the object is none (PS3.5 9.1) and cannot stand in an address")
    return "".join(f"/{name}/{uid}" for name, uid in named if uid)


def _client(server: WebDestination, settings: Settings, timeouts: Timeouts) -> httpx.Client:
    import httpx

    for name in ("httpx", "httpcore"):  # their lines hold whole addresses, and so the keys of a query
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    headers = {"User-Agent": f"cinefarm/{__version__}", "Accept-Encoding": "identity"}
    if (allowed := authorization(server, settings)) is not None:
        headers["Authorization"] = allowed
    secure = server.base_url.startswith("https:")
    try:
        transport = httpx.HTTPTransport(
            verify=tls_context(settings) if secure else False,
            trust_env=False,
            proxy=settings.dicomweb_proxy or None,
            # a host that vanished while it owes an answer, or while it sends one
            socket_options=[
                (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
                (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
                (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
            ],
        )
    except (ValueError, httpx.InvalidURL) as error:
        raise PolicyError("CINEFARM_DICOMWEB_PROXY is no http://host:port") from error
    return httpx.Client(
        transport=transport,
        headers=headers,
        timeout=httpx.Timeout(timeouts.stall, connect=timeouts.connect),
        follow_redirects=False,
        trust_env=False,
    )


def _read(response: httpx.Response, what: str) -> Answer:
    content = bytearray()
    for piece in response.iter_bytes():
        content += piece
        if len(content) > MOST_BYTES:
            raise DestinationRefused(f"the DICOMweb server's answer is longer than {MOST_BYTES >> 20} MiB ({what})")
    return Answer(response.status_code, dict(response.headers), bytes(content))
