"""Syslog over TLS (RFC 5424, RFC 5425), as PS3.15 A.6 wants audit messages sent.

Syslog has no answers. So one connection carries one batch and is closed in order (TLS close_notify, then the peer's end of the stream):
a collector that died before it had read everything resets the connection, and the batch is sent again.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from common.errors import EnvironmentFault, PolicyError

PRIORITY = 10 * 8 + 5
"""Facility 10 (security/authorization), severity 5 (notice); RFC 5424 6.2.1."""

DICOM_ID = "DICOM+RFC3881"
"""MSGID of audit messages (PS3.15 A.6.1)."""

PORT = 6514
"""RFC 5425 4.1."""

SECONDS = 30.0
"""Longest silence of the collector."""

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Collector:
    """Where audit messages go."""

    host: str
    port: int
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    @classmethod
    def parse(cls, url: str, **files: Path | None) -> Collector:
        """``syslog+tls://host[:port]``.

        Raises:
            PolicyError: it is not understood.
        """
        try:
            parts = urlsplit(url)
            port = parts.port or PORT
        except ValueError:
            parts, port = urlsplit(""), 0
        if parts.scheme != "syslog+tls" or not parts.hostname or parts.path.strip("/") or parts.username:
            hint = "Write CINEFARM_AUDIT_SYSLOG_URL=syslog+tls://host:6514."
            raise PolicyError("the collector of audit messages is not understood", hint=hint)
        return cls(parts.hostname, port, **files)

    def send(self, messages: Iterable[bytes], *, name: str) -> int:
        """Send one batch and see it read; returns how many messages. ``name``: of this machine or farm, for the header.

        Raises:
            PolicyError: certificate files of ours cannot be used.
            EnvironmentFault: the collector does not answer, is not who it should be, or did not read everything.
        """
        context, count = self._context(), 0
        try:
            with closing(socket.create_connection((self.host, self.port), SECONDS)) as plain:
                secure = context.wrap_socket(plain, server_hostname=self.host)
                with closing(secure):
                    for message in messages:
                        secure.sendall(framed(message, name=name))
                        count += 1
                    _close_in_order(secure)
        except OSError as error:
            hint = "Check CINEFARM_AUDIT_SYSLOG_URL, its certificate and CINEFARM_AUDIT_SYSLOG_CA_FILE. Nothing is lost: it is tried again."
            reason = error.strerror or type(error).__name__
            raise EnvironmentFault(f"the collector of audit messages took nothing: {reason}", hint=hint) from error
        return count

    def _context(self) -> ssl.SSLContext:
        import certifi

        try:
            context = ssl.create_default_context(cafile=str(self.ca_file or certifi.where()))
            if self.cert_file is not None:
                context.load_cert_chain(self.cert_file, self.key_file)
        except OSError as error:  # SSLError is one
            hint = "Check CINEFARM_AUDIT_SYSLOG_CA_FILE, …_CERT_FILE and …_KEY_FILE."
            raise PolicyError(
                "the certificates for the collector of audit messages cannot be used", hint=hint
            ) from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


def framed(message: bytes, *, name: str, identity: str = DICOM_ID, at: datetime | None = None) -> bytes:
    """One message with its header (RFC 5424) and its length before it (RFC 5425 4.3)."""
    moment = (at or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    host = "".join(c for c in name if "!" <= c <= "~")[:255] or "-"
    header = f"<{PRIORITY}>1 {moment} {host} cinefarm {os.getpid()} {identity} - ".encode("ascii")
    text = header + _BOM + message
    return str(len(text)).encode("ascii") + b" " + text


def _close_in_order(secure: ssl.SSLSocket) -> None:
    try:
        secure.unwrap()
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
        return  # it closed without a word of TLS: the kernel sends that only when all was read, else a reset
    except ssl.SSLError as error:
        if "EOF" not in str(error).upper():
            raise
