"""Run the application with uvicorn, and write where it is into the state directory, for commands on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from common.errors import PolicyError
from common.logs import logger
from common.settings import Settings
from orchestrator.api.access import Access
from orchestrator.api.app import create_app
from orchestrator.api.token_book import TokenBook
from orchestrator.farm import Farm

log = logger(__name__)

ADDRESS_NAME = "api.json"
"""Below the state directory: {"url": …, "token": …}, for its owner alone."""

CLOSE_SECONDS = 1
"""How long open requests may last when the service is told to end."""

BACKLOG = 512


@dataclass(frozen=True)
class HttpServer:
    """A server that listens already; ``run`` answers until ``stop`` is called."""

    url: str
    run: Callable[[], None]
    stop: Callable[[], None]


@contextmanager
def http_server(farm: Farm, *, port: int | None = None) -> Iterator[HttpServer]:
    """Listen on ``port`` (default: the settings' one; 0: any free one) while the block lasts.

    Raises:
        PolicyError: the port is taken, the address is not ours, or the settings of access or TLS are wrong.
    """
    tls = tls_files(farm.settings)
    token = secrets.token_urlsafe(32)
    access = Access.of(farm.settings, local=token, book=TokenBook(farm.reading))
    with contextlib.closing(_listen(farm.settings, port)) as listening:
        config = uvicorn.Config(
            create_app(farm, access),
            log_config=None,
            access_log=False,  # paths may name studies
            server_header=False,
            timeout_graceful_shutdown=CLOSE_SECONDS,
            backlog=BACKLOG,
            **tls,
        )
        server = uvicorn.Server(config)
        url = _url(listening, "https" if tls else "http")
        with _told(farm.settings.state_dir, url, token):
            log.info("http_listening", url=url)
            yield HttpServer(url, lambda: server.run(sockets=[listening]), lambda: setattr(server, "should_exit", True))


def tls_files(settings: Settings) -> dict[str, Any]:
    """uvicorn's arguments of a server that speaks TLS, 1.2 or later; empty: it speaks HTTP.

    Raises:
        PolicyError: certificate and key cannot be read, or do not belong together.
    """
    certificate, key = settings.http_cert_file, settings.http_key_file
    if certificate is None and key is None:
        return {}
    hint = "Set CINEFARM_HTTP_CERT_FILE and CINEFARM_HTTP_KEY_FILE to PEM files that belong together, or neither (docs/api.md)."
    if certificate is None or key is None:
        raise PolicyError("a certificate and its key are needed both", hint=hint)
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ssl.SSLError) as error:
        raise PolicyError(f"the API's certificate cannot be used: {error.strerror or error}", hint=hint) from error
    return {"ssl_certfile": str(certificate), "ssl_keyfile": str(key)}


def _no_password() -> str:
    raise ssl.SSLError("its key asks for a password")


def _listen(settings: Settings, port: int | None) -> socket.socket:
    number = settings.http_port if port is None else port
    family = socket.AF_INET6 if ":" in settings.http_address else socket.AF_INET
    # asyncio sends small answers at once (TCP_NODELAY) only on sockets that say what they are; else each waits 40 ms
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.http_address, number))
    except OSError as error:
        listening.close()
        hint = "Set CINEFARM_HTTP_PORT or CINEFARM_HTTP_ADDRESS to another one; port 0: no API."
        message = f"the API cannot listen on {settings.http_address}, port {number}: {error.strerror}"
        raise PolicyError(message, hint=hint) from error
    listening.listen(BACKLOG)
    return listening


def _url(listening: socket.socket, scheme: str) -> str:
    """How this machine reaches it."""
    address, port = listening.getsockname()[:2]
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104
    return f"{scheme}://[{here}]:{port}" if ":" in here else f"{scheme}://{here}:{port}"


@contextmanager
def _told(state_dir: Path, url: str, token: str) -> Iterator[None]:
    state_dir.mkdir(parents=True, exist_ok=True)
    path = state_dir / ADDRESS_NAME
    aside = path.with_name(f"{ADDRESS_NAME}.{os.getpid()}")
    aside.unlink(missing_ok=True)
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump({"url": url, "token": token}, file)
    aside.replace(path)
    try:
        yield
    finally:
        with contextlib.suppress(OSError, ValueError):
            if json.loads(path.read_text(encoding="utf-8")).get("token") == token:  # not another replica's
                path.unlink()
