"""What an HTTP status of a DICOMweb server means (RFC 9110 15, PS3.18 8.5): it goes on, try later, or never; with words for people."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from common.errors import DestinationRefused, DestinationUnavailable

BUSY = frozenset({408, 425, 429, 503})
"""The request was not worked on: to send it again is safe, whatever it asked for."""

PASSING = BUSY | {500, 502, 504, 507}
"""May be different next time. Whether the request was worked on is not known."""

_CREDENTIALS = "Set CINEFARM_DICOMWEB_TOKEN, CINEFARM_DICOMWEB_BASIC_AUTH or CINEFARM_DICOMWEB_CREDENTIALS_FILE (docs/dicomweb.md)."
_SERVICES = (
    "Check the path in the URI: it is the base of the services, e.g. /dicom-web. `cinefarm probe` shows what answers."
)

_REFUSALS = {
    400: ("does not understand the request", "The server's own log tells why."),
    401: ("does not accept our credentials, or got none", _CREDENTIALS),
    403: ("does not allow this to us", "Give this user or token the right to do it."),
    404: ("knows no such service or object", _SERVICES),
    405: ("does not offer this service", _SERVICES),
    406: ("cannot give the object in the form that was asked for", "The server's own log tells why."),
    407: ("is behind a proxy that does not accept our credentials", "Check CINEFARM_DICOMWEB_PROXY."),
    409: ("is in conflict with what was asked", "The server's own log tells why."),
    410: ("no longer has the object", ""),
    411: ("wants a length that a proxy on the way took out", "Check the proxies between us and the server."),
    413: (
        "takes no request as long as this",
        "Raise the limit of the server or the proxy before it (nginx: client_max_body_size), or state it: "
        "--accepts 'DEST max=2GiB'.",
    ),
    415: (
        "does not take DICOM files, or not in this transfer syntax",
        "State what it takes: --accepts 'DEST syntaxes=…'.",
    ),
}


def refusal(status: int, what: str, location: str = "") -> DestinationRefused | DestinationUnavailable:
    """The error that a status stands for. ``what`` was asked, e.g. 'STOW-RS'; ``location``: of a redirection.

    An address beyond the server's name is not repeated: it may hold a token.
    """
    said = f"({what}: HTTP {status})"
    if status in PASSING:
        state = (
            "has no room" if status == 507 else "is busy" if status in BUSY else "failed while it worked on the request"
        )
        return DestinationUnavailable(f"the DICOMweb server {state} {said}", hint="The server's own log tells why.")
    if 300 <= status < 400:
        hint = f"Write the URI of the server that it leads to{_server(location)}: no password follows a redirection."
        return DestinationRefused(f"the DICOMweb server sends us elsewhere {said}", hint=hint)
    words, hint = _REFUSALS.get(status, ("answers with a status that helps nobody", "The server's own log tells why."))
    return DestinationRefused(f"the DICOMweb server {words} {said}", hint=hint)


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds to wait by a Retry-After header (RFC 9110 10.2.3): a number or a date; None: it says nothing of use."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value[:9])
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())


def _server(location: str) -> str:
    try:
        parts = urlsplit(location)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    known = parts.scheme in {"http", "https"} and host.replace("-", "").replace(".", "").isalnum()
    return f", dicomweb+{parts.scheme}://{host[:253]}{port}/…" if known else ""
