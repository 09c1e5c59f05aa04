"""The way into the broker: TLS, client certificate, user and password; and one look at the start that says what is wrong.

No message of this file holds a password, and no program is started with one among its arguments.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import certifi
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from common.errors import EnvironmentFault, PolicyError
from common.leases import connect
from common.logs import logger
from common.settings import Settings

log = logger(__name__)

TLS_SCHEME = "rediss"
CHECK_SECONDS = 5.0
"""How long a starting process waits for the broker's first answer."""

_OTHER_SCHEME = {TLS_SCHEME: " (a server without TLS wants redis://)", "redis": " (one with TLS wants rediss://)"}

KEEPS_EVERYTHING = "noeviction"
"""The one ``maxmemory-policy`` under which a full broker refuses writes and deletes nothing (redis.conf, MEMORY MANAGEMENT)."""


def tls_options(settings: Settings) -> dict[str, Any]:
    """redis-py's arguments of a TLS connection, which Celery takes as ``broker_use_ssl``; empty without TLS.

    The server's certificate and name are always verified: kombu, when it is told nothing, believes any certificate.

    Raises:
        PolicyError: settings that contradict each other, or a file that cannot be read.
    """
    url = urlsplit(settings.broker_url)
    if url.scheme != TLS_SCHEME:
        return {}
    if "ssl_" in url.query:
        raise PolicyError(
            "CINEFARM_BROKER_URL holds TLS options",
            hint="Write rediss://user:password@host:port/0 and set CINEFARM_BROKER_CA_FILE; any other certificate is refused.",
        )
    if (settings.broker_cert_file is None) != (settings.broker_key_file is None):
        raise PolicyError(
            "a client certificate for the broker is half set",
            hint="Set both CINEFARM_BROKER_CERT_FILE and CINEFARM_BROKER_KEY_FILE, or neither.",
        )
    files = {
        "ssl_ca_certs": settings.broker_ca_file or certifi.where(),
        "ssl_certfile": settings.broker_cert_file,
        "ssl_keyfile": settings.broker_key_file,
    }
    found = {name: str(path) for name, path in files.items() if path is not None}
    _check_files(found)
    return {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True, **found}


def _check_files(files: dict[str, str]) -> None:
    """Load them once: what redis-py would say of a wrong file at the first connection names no setting."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        setting = "CINEFARM_BROKER_CA_FILE"
        context.load_verify_locations(files["ssl_ca_certs"])
        if "ssl_certfile" in files:
            setting = "CINEFARM_BROKER_CERT_FILE and CINEFARM_BROKER_KEY_FILE"
            context.load_cert_chain(files["ssl_certfile"], files["ssl_keyfile"])
    except OSError as error:  # ssl.SSLError is one
        raise PolicyError(
            f"{setting} cannot be used: {error.strerror or error}",
            hint="Give PEM files that this process may read; the key must belong to the certificate and have no pass phrase.",
        ) from error


def open_redis(settings: Settings, *, timeout_seconds: float = 10.0, retries: int = 5) -> Redis:
    """A client of the broker's Redis as the settings say; connects on first use, and again by itself.

    Raises:
        PolicyError: see tls_options.
    """
    return connect(settings.broker_url, tls=tls_options(settings), timeout_seconds=timeout_seconds, retries=retries)


def check_broker(settings: Settings) -> tuple[str, ...]:
    """Log in and look around once; returns what an operator should know and nothing forbids.

    Raises:
        EnvironmentFault: it is there and refuses us: password, certificate or rights.
        PolicyError: see tls_options.
        ConnectionError: it does not answer now; it may come.
    """
    client = open_redis(settings, timeout_seconds=CHECK_SECONDS, retries=0)
    try:
        client.ping()
        client.exists("lease:check")
        memory: Any = client.info("memory")
    except (RedisError, OSError) as error:
        raise _explained(error, settings) from error
    finally:
        client.close()
    policy = memory.get("maxmemory_policy", KEEPS_EVERYTHING)
    if policy == KEEPS_EVERYTHING:
        return ()
    return (
        f"the broker may delete leases and orders when its memory is full (maxmemory-policy {policy}): nothing is lost, but "
        f"work is done twice; set it to {KEEPS_EVERYTHING}",
    )


def greet_broker(settings: Settings) -> None:
    """``check_broker`` at the start of a service or worker: notes are logged, and a broker that is away may come later.

    Raises:
        EnvironmentFault, PolicyError: see check_broker.
    """
    try:
        for note in check_broker(settings):
            log.warning("broker_note", note=note)
    except ConnectionError as error:
        log.warning("broker_away", message=str(error))


def _explained(error: Exception, settings: Settings) -> Exception:
    """What a failed look means: which setting, and what to do."""
    place = _place(settings)
    if isinstance(error, AuthenticationError):
        return EnvironmentFault(
            f"the broker at {place} refuses the user or the password of CINEFARM_BROKER_URL",
            hint="Write rediss://user:password@host:port/0; a character such as @ : / # % in the password is percent-encoded. "
            "`ACL LIST` on the server shows its users.",
        )
    if isinstance(error, NoPermissionError):
        return EnvironmentFault(
            f"the broker at {place} lets its user do too little: {error}",
            hint="docs/redis.md lists the commands, keys and channels that the user of CINEFARM_BROKER_URL needs.",
        )
    refusal = next((cause for cause in _causes(error) if isinstance(cause, ssl.SSLError)), None)
    if refusal is not None:
        return _refused_handshake(refusal, settings)
    scheme = urlsplit(settings.broker_url).scheme
    return ConnectionError(f"the broker at {place} does not answer{_OTHER_SCHEME.get(scheme, '')}")


def _refused_handshake(error: ssl.SSLError, settings: Settings) -> EnvironmentFault:
    """The ways a TLS handshake fails, by OpenSSL's own names."""
    place = _place(settings)
    if isinstance(error, ssl.SSLCertVerificationError):
        return EnvironmentFault(
            f"the certificate of the broker at {place} is not believed: {error.verify_message}",
            hint="CINEFARM_BROKER_CA_FILE must hold the CA that signed it (PEM), and the host in CINEFARM_BROKER_URL must be "
            "one of its names.",
        )
    if settings.broker_cert_file is None:
        return EnvironmentFault(
            f"the broker at {place} ended the TLS handshake: it asks for a client certificate",
            hint="Set CINEFARM_BROKER_CERT_FILE and CINEFARM_BROKER_KEY_FILE, or `tls-auth-clients no` on the server.",
        )
    return EnvironmentFault(
        f"the broker at {place} refuses our client certificate ({error.reason or 'connection ended'})",
        hint="CINEFARM_BROKER_CERT_FILE must be signed by a CA in the server's `tls-ca-cert-file`, and be valid today.",
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _place(settings: Settings) -> str:
    """Host and port, or the socket's path: never user or password."""
    url = urlsplit(settings.broker_url)
    return f"{url.hostname}:{url.port or 6379}" if url.hostname else url.path
