"""TLS as DICOM asks for it (PS3.15 B.12: BCP 195, RFC 8996 and 9325), for the side that calls and the side that listens.

Both sides verify: a client the server's certificate and name, a listener the certificates of its clients unless it is told
that they need none. No file is read before it is needed, and no message holds a path.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.destinations import DicomDestination
from common.errors import DestinationRefused, DestinationUnavailable, PolicyError
from common.settings import Settings

SUITES = ":".join(
    f"ECDHE-{signature}-{cipher}"
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384")
    for signature in ("ECDSA", "RSA")
)
"""Of TLS 1.2: the four of RFC 9325, 4.2, in its order. TLS 1.3 has none that would have to be left out."""

_PEM_HINT = "Give PEM files that this process may read; the key must belong to the certificate and have no pass phrase."
_HOST_NAME, _ADDRESS = 62, 64  # OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH
_NOT_YET_VALID, _EXPIRED = 9, 10


@dataclass(frozen=True)
class Credentials:
    """Whom we believe, and who we are: PEM files. Without ``ca_file`` the public authorities (certifi's) are believed."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    @classmethod
    def of(cls, settings: Settings) -> Credentials:
        """As the settings say."""
        return cls(settings.dicom_ca_file, settings.dicom_cert_file, settings.dicom_key_file)


def client_context(credentials: Credentials) -> ssl.SSLContext:
    """For an association that we ask for; a client certificate is shown where the peer asks for one and we have one.

    Raises:
        PolicyError: a setting is missing, or a file cannot be used.
    """
    import certifi

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies certificate and host name
    _by_the_profile(context)
    _believe(context, credentials.ca_file or Path(certifi.where()))
    if credentials.cert_file is not None or credentials.key_file is not None:
        _be(context, credentials)
    return context


def server_context(credentials: Credentials, *, anonymous_clients: bool = False) -> ssl.SSLContext:
    """For a port that we listen on. ``anonymous_clients``: certificates of clients are not asked for.

    Raises:
        PolicyError: a setting is missing, or a file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _by_the_profile(context)
    _be(context, credentials)
    if anonymous_clients:
        return context
    if credentials.ca_file is None:  # any public authority's customer would be let in
        raise PolicyError(
            "nothing says whose client certificates are believed",
            hint="Set CINEFARM_DICOM_CA_FILE to the CA that signs the modalities' certificates, or let clients stay anonymous.",
        )
    _believe(context, credentials.ca_file)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def _by_the_profile(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(SUITES)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION


def _believe(context: ssl.SSLContext, ca_file: Path) -> None:
    _load(lambda: context.load_verify_locations(ca_file), "CINEFARM_DICOM_CA_FILE")


def _be(context: ssl.SSLContext, credentials: Credentials) -> None:
    certificate, key = credentials.cert_file, credentials.key_file
    if certificate is None or key is None:
        raise PolicyError(
            "our certificate for DICOM over TLS is half set"
            if certificate or key
            else "we have no certificate for TLS",
            hint="Set both CINEFARM_DICOM_CERT_FILE and CINEFARM_DICOM_KEY_FILE.",
        )
    # without a password OpenSSL would ask the terminal for a pass phrase
    settings = "CINEFARM_DICOM_CERT_FILE and CINEFARM_DICOM_KEY_FILE"
    _load(lambda: context.load_cert_chain(certificate, key, password=""), settings)


def _load(load: Callable[[], None], settings: str) -> None:
    try:
        load()
    except OSError as error:  # ssl.SSLError is one
        said = getattr(error, "reason", None) or error.strerror or type(error).__name__
        raise PolicyError(f"{settings} cannot be used: {said}", hint=_PEM_HINT) from error


@dataclass
class Handshake:
    """Stands in for a context where pynetdicom wants one, which tells nobody why a connection failed; keeps it in ``failure``."""

    context: ssl.SSLContext
    failure: OSError | None = field(default=None, init=False)

    def wrap_socket(self, sock: socket.socket, server_side: bool, server_hostname: str) -> ssl.SSLSocket:
        """See ssl.SSLContext."""
        self.context.sslsocket_class = _Noting
        wrapped = self.context.wrap_socket(sock, server_side=server_side, server_hostname=server_hostname)
        if isinstance(wrapped, _Noting):
            wrapped.handshake = self
        return wrapped


class _Noting(ssl.SSLSocket):
    """Notes what TLS failed of: in the handshake, or later, since in TLS 1.3 a server judges its client after it."""

    handshake: Handshake | None = None

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError as error:
            self._note(error)
            raise

    def recv(self, *args: Any) -> bytes:
        try:
            return super().recv(*args)
        except ssl.SSLError as error:
            self._note(error)
            raise

    def _note(self, error: OSError) -> None:
        if self.handshake is not None:
            self.handshake.failure = error


def explain(
    error: OSError, peer: DicomDestination, credentials: Credentials
) -> DestinationRefused | DestinationUnavailable:
    """A failed handshake in words: who refused whom, and why."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _not_believed(error, peer)
    reason = getattr(error, "reason", None) or ""
    if isinstance(error, ssl.SSLEOFError | ConnectionError | TimeoutError) or not reason:
        return DestinationUnavailable(
            f"{peer.uri} ended the connection in the TLS handshake, or fell silent",
            hint="Check that the archive speaks TLS on this port, and that it may be reached; its own log tells why.",
        )
    if "ALERT" in reason and "ALERT_HANDSHAKE_FAILURE" not in reason and "PROTOCOL_VERSION" not in reason:
        return _refuses_us(reason, peer, credentials)
    if reason in {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "UNKNOWN_PROTOCOL"}:
        return DestinationRefused(
            f"{peer.uri} does not speak TLS on this port",
            hint="Write dicom:// for a port without TLS, or name the archive's TLS port (2762 by IANA).",
        )
    return DestinationRefused(
        f"{peer.uri} and we have no TLS version or cipher suite in common ({_words(reason)})",
        hint="The archive must offer TLS 1.2 or 1.3 with ECDHE and AES-GCM (BCP 195), and may ask for a client certificate.",
    )


def _not_believed(error: ssl.SSLCertVerificationError, peer: DicomDestination) -> DestinationRefused:
    """We refuse the peer."""
    if error.verify_code in {_HOST_NAME, _ADDRESS}:
        why = f"it was not made out for the host {peer.host}"
        hint = "Write the destination with a host name that stands in the certificate, or have the certificate renewed with this one."
    elif error.verify_code == _EXPIRED:
        why, hint = "it has expired", "Have the archive's certificate renewed; check this machine's clock."
    elif error.verify_code == _NOT_YET_VALID:
        why, hint = "it is not valid yet", "Check the clocks of this machine and of the archive."
    else:
        why = f"no authority that we believe has signed it ({error.verify_message})"
        hint = "CINEFARM_DICOM_CA_FILE must hold the CA that signed the archive's certificate (PEM)."
    return DestinationRefused(f"we refuse the certificate of {peer.uri}: {why}", hint=hint)


def _refuses_us(reason: str, peer: DicomDestination, credentials: Credentials) -> DestinationRefused:
    """The peer refuses us, by the alert that it sent (RFC 8446, 6.2)."""
    if credentials.cert_file is None:
        return DestinationRefused(
            f"{peer.uri} demands a client certificate, and we have none ({_words(reason)})",
            hint="Set CINEFARM_DICOM_CERT_FILE and CINEFARM_DICOM_KEY_FILE to a certificate that the archive believes.",
        )
    why = "it has expired" if "EXPIRED" in reason else "the archive does not know the CA that signed it"
    if "EXPIRED" not in reason and "UNKNOWN_CA" not in reason:
        why = _words(reason)
    return DestinationRefused(
        f"{peer.uri} refuses our client certificate: {why}",
        hint="CINEFARM_DICOM_CERT_FILE must be signed by a CA that the archive believes, with its chain, and be valid today.",
    )


def _words(reason: str) -> str:
    """``TLSV13_ALERT_CERTIFICATE_REQUIRED`` as people read it."""
    return reason.partition("ALERT_")[2].replace("_", " ").lower() or reason.replace("_", " ").lower()
