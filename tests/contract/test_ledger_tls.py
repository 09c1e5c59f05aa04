"""A PostgreSQL ledger behind TLS: the URL alone says whom to believe, as libpq understands it (sslmode, sslrootcert)."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from support.certificates import Authority, authority
from support.postgres import PostgresServer, postgres_server

from common.errors import EnvironmentFault
from common.settings import Settings
from orchestrator import service
from orchestrator.ledger.database import LedgerAway, open_ledger

pytestmark = pytest.mark.peer("postgres")

PASSWORD = "s%cret:of/the@tests"
ENCODED = "s%25cret%3Aof%2Fthe%40tests"


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server(ca: Authority, port: int) -> Iterator[PostgresServer]:
    with postgres_server(lambda server: server.start_with_tls(ca, port, PASSWORD)) as server:
        yield server


def url(port: int, ca: Path, password: str = ENCODED, host: str = "127.0.0.1") -> str:
    options = f"sslmode=verify-full&sslrootcert={ca}"
    return f"postgresql+psycopg://cinefarm:{password}@{host}:{port}/postgres?{options}"


def test_a_ledger_is_opened_over_a_verified_connection(server: PostgresServer, port: int, ca: Authority) -> None:
    ledger = open_ledger(url(port, ca.certificate))
    with ledger() as session:
        encrypted = session.scalar(text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))
        assert session.scalar(text("SELECT count(*) FROM audit")) == 0  # the schema is there
    ledger.kw["bind"].dispose()
    assert encrypted is True


def test_a_server_that_another_authority_signed_is_not_believed(
    server: PostgresServer, port: int, tmp_path: Path
) -> None:
    other = authority(tmp_path, "other")
    with pytest.raises(LedgerAway, match="certificate verify failed"):
        open_ledger(url(port, other.certificate))


def test_a_server_by_another_name_is_not_believed(server: PostgresServer, port: int, ca: Authority) -> None:
    with pytest.raises(LedgerAway, match="does not match host name"):
        open_ledger(url(port, ca.certificate, host="localhost"))


def test_a_wrong_password_is_refused_and_not_repeated(server: PostgresServer, port: int, ca: Authority) -> None:
    with pytest.raises(LedgerAway, match="password authentication failed") as caught:
        open_ledger(url(port, ca.certificate, password="wrong-one"))
    assert "wrong-one" not in str(caught.value)


def test_a_service_says_why_it_cannot_open_its_ledger(
    server: PostgresServer, port: int, ca: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "LEDGER_PATIENCE_SECONDS", 0.0)
    settings = Settings(ledger_url=url(port, ca.certificate, password="wrong-one"), broker_url="redis://127.0.0.1:1/0")
    with pytest.raises(EnvironmentFault, match="password authentication failed") as caught, service.service(settings):
        pass
    assert "wrong-one" not in caught.value.message + caught.value.hint
