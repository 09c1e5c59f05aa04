"""A real PostgreSQL of Debian, run by an unprivileged user on a Unix socket of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from support.certificates import Authority

BINARIES = Path("/usr/lib/postgresql")
START_SECONDS = 30.0
OPTIONS = {
    "listen_addresses": "",
    "fsync": "off",  # a test's data need not survive a power cut
    "max_connections": "60",
    "shared_buffers": "16MB",
}


def postgres_program(name: str) -> Path | None:
    """The newest installed ``name``: Debian keeps the server's programs out of PATH."""
    found = sorted(BINARIES.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return found[-1] if found else Path(which) if (which := shutil.which(name)) else None


def _as_somebody() -> tuple[list[str], int | None]:
    """Words that drop root's rights (PostgreSQL refuses to run as root), and the user's id."""
    if os.geteuid() != 0:
        return ["setpriv", "--pdeathsig", "KILL"], None
    names = {entry.pw_name for entry in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    drop = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--pdeathsig", "KILL"]
    return drop, user.pw_uid


@dataclass
class PostgresServer:
    """One cluster in a folder. It can be stopped, killed and started again."""

    folder: Path
    process: subprocess.Popen[bytes] | None = field(default=None)
    options: dict[str, str] = field(default_factory=dict)  # beside OPTIONS

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def url(self, database: str = "postgres") -> str:
        """SQLAlchemy's URL of a database."""
        return f"postgresql+psycopg://cinefarm@/{database}?host={self.folder}"

    def new_database(self) -> str:
        """The URL of a fresh, empty database."""
        name = f"ledger_{uuid4().hex[:12]}"
        with self._connect() as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return self.url(name)

    def new_schema(self) -> str:
        """The URL of a fresh, empty schema: as good as a database to a ledger, and made and removed in no time."""
        name = f"ledger_{uuid4().hex[:12]}"
        with self._connect() as connection:
            connection.execute(f'CREATE SCHEMA "{name}"'.encode())
        return f"{self.url()}&options=-csearch_path%3D{name}"

    def initialise(self) -> None:
        drop, owner = _as_somebody()
        if owner is not None:
            os.chown(self.folder, owner, -1)
        words = ["-D", str(self.data), "-U", "cinefarm", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"]
        subprocess.run([*drop, str(postgres_program("initdb")), *words], check=True, stdout=subprocess.DEVNULL)

    def start_with_tls(self, authority: Authority, port: int, password: str) -> None:
        """Start, after ``initialise``, on a TCP port that wants TLS and a password."""
        self.start_with_certificate(authority.sign("ledger", "127.0.0.1"), port, password)

    def start_with_certificate(self, certificate: Path, port: int, password: str) -> None:
        """The same with a certificate, its key beside it (.key)."""
        files = {"cert": self.data / "server.pem", "key": self.data / "server.key"}
        shutil.copyfile(certificate, files["cert"])
        shutil.copyfile(certificate.with_suffix(".key"), files["key"])
        _, owner = _as_somebody()
        if owner is not None:
            os.chown(files["key"], owner, -1)
            os.chown(files["cert"], owner, -1)
        files["key"].chmod(0o600)
        rules = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"
        (self.data / "pg_hba.conf").write_text(rules, encoding="ascii")
        self.options = {"listen_addresses": "127.0.0.1", "port": str(port), "ssl": "on"}
        self.options |= {f"ssl_{name}_file": str(path) for name, path in files.items()}
        self.start()
        with self._connect() as connection:
            connection.execute(f"ALTER USER cinefarm PASSWORD '{password}'".encode())

    def start(self) -> None:
        drop, _ = _as_somebody()
        flags = [word for name, value in (OPTIONS | self.options).items() for word in ("-c", f"{name}={value}")]
        argv = [*drop, str(postgres_program("postgres")), "-D", str(self.data), "-k", str(self.folder), *flags]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=log)
        self._wait()

    def stop(self, number: int = signal.SIGQUIT) -> None:
        """SIGQUIT drops every connection at once, as a crash does; SIGINT ends them in order."""
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(20)

    def restart(self) -> None:
        self.stop()
        self.start()

    def _wait(self) -> None:
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                self._connect().close()
            except psycopg.OperationalError:
                assert self.process is not None
                assert self.process.poll() is None, (self.folder / "log").read_text()
                assert time.monotonic() < end
                time.sleep(0.05)
            else:
                return

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        port = self.options.get("port", "5432")
        return psycopg.connect(f"host={self.folder} port={port} user=cinefarm dbname=postgres", autocommit=True)


@contextmanager
def postgres_server(start: Callable[[PostgresServer], None] | None = None) -> Iterator[PostgresServer]:
    """A server that lives as long as the block. ``start``: another way than its own, after it was initialised."""
    folder = Path(tempfile.mkdtemp(prefix="cf-pg-"))
    folder.chmod(0o711)  # our own user reaches the socket in it
    server = PostgresServer(folder)
    try:
        server.initialise()
        (start or PostgresServer.start)(server)
        yield server
    finally:
        if server.process is not None and server.process.poll() is None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for all tests of a session; each takes a database of its own."""
    with postgres_server() as server:
        yield server
