"""How we are let in by a DICOMweb server: TLS that is verified, a client certificate, a token or a password from the settings."""

from __future__ import annotations

import base64
import ssl
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

from common.destinations import WebDestination
from common.errors import PolicyError
from common.settings import Settings

_FORM = 'Write a table a server, ["host:port"] or ["host"], with token = "…" or basic_auth = "name:password".'


def authorization(server: WebDestination, settings: Settings) -> str | None:
    """Value of the Authorization header (RFC 6750 2.1, RFC 7617 2) for this server; None: it asks for none, as far as we know.

    A credentials file takes the place of the other settings, so that no server gets what was meant for another.

    Raises:
        PolicyError: the credentials file cannot be read or understood, or two ways are set at once.
    """
    if settings.dicomweb_credentials_file is not None:
        token, basic = _of_file(settings.dicomweb_credentials_file, server)
    else:
        token, basic = settings.dicomweb_token.get_secret_value(), settings.dicomweb_basic_auth.get_secret_value()
    if token and basic:
        raise PolicyError("both a token and a password are set for a DICOMweb server", hint="Keep one of the two.")
    if basic and ":" not in basic:
        raise PolicyError("the basic_auth for a DICOMweb server is not name:password")
    text = f"Bearer {token}" if token else f"Basic {base64.b64encode(basic.encode()).decode()}" if basic else None
    if text is not None and not (text.isascii() and text.isprintable()):
        raise PolicyError("the token for a DICOMweb server holds characters that no token has")
    return text


def tls_context(settings: Settings) -> ssl.SSLContext:
    """Verifies the server's certificate and name; shows ours where there is one.

    Raises:
        PolicyError: one of the files cannot be used.
    """
    import certifi

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies, checks the name, TLS 1.2 at least
    cert, key = settings.dicomweb_cert_file, settings.dicomweb_key_file
    setting = "CINEFARM_DICOMWEB_CA_FILE"
    try:
        context.load_verify_locations(settings.dicomweb_ca_file or certifi.where())
        if cert is not None or key is not None:
            setting = "CINEFARM_DICOMWEB_CERT_FILE and CINEFARM_DICOMWEB_KEY_FILE"
            context.load_cert_chain(cert or "", key, password=lambda: "")  # "": never ask the terminal
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or "no certificate in it"
        raise PolicyError(
            f"{setting} cannot be used: {reason}",
            hint="Give PEM files that this process may read; the key must belong to the certificate and have no pass phrase.",
        ) from error
    return context


def _of_file(path: Path, server: WebDestination) -> tuple[str, str]:
    setting = "the file of CINEFARM_DICOMWEB_CREDENTIALS_FILE"
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PolicyError(f"{setting} cannot be read: {error.strerror}") from error
    except ValueError:  # its words would show a line of the file, and so a password
        raise PolicyError(f"{setting} is no TOML", hint=_FORM) from None
    for name, table in tables.items():
        if not isinstance(table, dict) or not table.keys() <= {"token", "basic_auth"}:
            raise PolicyError(f"{setting} is not understood", hint=_FORM)
        if not all(isinstance(value, str) for value in table.values()):
            raise PolicyError(f"{setting} has a value for {name} that is no text", hint=_FORM)
    place = urlsplit(server.base_url)
    folded = {name.lower(): table for name, table in tables.items()}
    found = folded.get(place.netloc.lower()) or folded.get((place.hostname or "").lower()) or {}
    return found.get("token", ""), found.get("basic_auth", "")
