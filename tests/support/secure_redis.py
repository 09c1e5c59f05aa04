"""A real redis-server of Debian that speaks TLS only and knows its users, as an operator would run it."""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from redis import Redis
from support.certificates import Authority, authority
from support.server import answers

from common.settings import Settings

USER, PASSWORD = "cinefarm", "a/pass:word@with#signs"
ENCODED = "a%2Fpass%3Aword%40with%23signs"
ADMIN = "admin-of-the-test"
DOCS = Path(__file__).parents[2] / "docs" / "redis.md"


def documented_rules() -> str:
    """The user's rules as docs/redis.md has them, without its name and password."""
    shown = re.search(r"ACL SETUSER cinefarm on '#<[^>]+>' (.+?)\n```", DOCS.read_text(encoding="utf-8"), re.S)
    assert shown, "docs/redis.md no longer shows the user"
    return " ".join(shlex.split(shown[1].replace("\\\n", " ")))


@dataclass(frozen=True)
class SecureRedis:
    """One server, its authority, and a certificate for its clients."""

    port: int
    ca: Authority
    client_certificate: Path

    def url(self, user: str = USER, password: str = ENCODED, host: str = "127.0.0.1") -> str:
        return f"rediss://{user}:{password}@{host}:{self.port}/0"

    def settings(self, **changes: object) -> Settings:
        """Those of a process that is let in, but for ``changes``."""
        values = {
            "broker_url": self.url(),
            "broker_ca_file": self.ca.certificate,
            "broker_cert_file": self.client_certificate,
            "broker_key_file": self.client_certificate.with_suffix(".key"),
        }
        return Settings.model_validate(values | changes)

    def environment(self, **changes: object) -> dict[str, str]:
        """The same as a process' environment."""
        settings = self.settings(**changes)
        names = ("broker_url", "broker_ca_file", "broker_cert_file", "broker_key_file")
        return {f"CINEFARM_{name.upper()}": str(getattr(settings, name)) for name in names}

    def admin(self) -> Redis:
        """A client that may do everything."""
        certificate = self.client_certificate
        return Redis.from_url(
            self.url("admin", ADMIN),
            decode_responses=True,
            ssl_ca_certs=str(self.ca.certificate),
            ssl_certfile=str(certificate),
            ssl_keyfile=str(certificate.with_suffix(".key")),
        )


@contextmanager
def secure_redis(folder: Path, rules: str, *, client_certificates: bool = True) -> Iterator[SecureRedis]:
    """A server whose user ``cinefarm`` has ``rules``; it lives as long as the block."""
    ca = authority(folder)
    server, client = ca.sign("broker", "127.0.0.1"), ca.sign("client")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    users = folder / "users.acl"
    users.write_text(
        f"user default off\nuser admin on >{ADMIN} ~* &* +@all\nuser {USER} on >{PASSWORD} {rules}\n", encoding="utf-8"
    )
    options = {
        "port": "0",
        "tls-port": str(port),
        "bind": "127.0.0.1",
        "tls-cert-file": str(server),
        "tls-key-file": str(server.with_suffix(".key")),
        "tls-ca-cert-file": str(ca.certificate),
        "tls-auth-clients": "yes" if client_certificates else "no",
        "aclfile": str(users),
        "save": "",
        "dir": str(folder),
    }
    flags = [word for name, value in options.items() for word in (f"--{name}", value)]
    with (folder / "redis.log").open("wb") as log:
        process = subprocess.Popen(["redis-server", *flags], stdout=log, stderr=log)
    found = SecureRedis(port, ca, client)
    try:
        while not answers(found.admin()):
            assert process.poll() is None, (folder / "redis.log").read_text()
            time.sleep(0.02)
        yield found
    finally:
        process.kill()
        process.wait()
