"""A small real collector of audit messages: syslog over TLS (RFC 5425), as rsyslog would take them."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Collector:
    """What it received. ``rude``: how many connections it resets before it has read them."""

    port: int
    rude: int = 0
    messages: list[bytes] = field(default_factory=list)  # headers and all
    connections: int = 0

    @property
    def url(self) -> str:
        return f"syslog+tls://127.0.0.1:{self.port}"


def _frames(stream: bytes) -> Iterator[bytes]:
    while stream:
        length, _, rest = stream.partition(b" ")
        yield rest[: int(length)]
        assert len(rest) >= int(length), "a message was cut off"
        stream = rest[int(length) :]


@contextmanager
def collector(certificate: Path, clients: Path | None = None, *, rude: int = 0) -> Iterator[Collector]:
    """One that shows ``certificate`` (its key beside it) and, with ``clients``, wants certificates that this authority signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients)
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        made = Collector(listening.getsockname()[1], rude)
        thread = threading.Thread(target=_serve, args=(listening, context, made), daemon=True)
        thread.start()
        try:
            yield made
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(listening: socket.socket, context: ssl.SSLContext, made: Collector) -> None:
    while True:
        try:
            plain, _ = listening.accept()
        except OSError:
            return
        with closing(plain):
            try:
                with context.wrap_socket(plain, server_side=True) as secure:
                    made.connections += 1
                    if made.connections <= made.rude:
                        secure.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        continue  # a reset: nothing was read
                    stream = b""
                    while part := secure.recv(65536):
                        stream += part
                    made.messages += _frames(stream)
                    secure.unwrap()
            except OSError:
                continue
