"""Both ledgers: SQLite in a temporary folder, and a fresh database of a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.core import add_item, broker, description, farm, job, store  # noqa: F401 fixtures
from support.postgres import PostgresServer, postgres  # noqa: F401 a fixture

from orchestrator.ledger.database import Sessions, open_ledger

LEDGERS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.peer("postgres"))]


@pytest.fixture(params=LEDGERS)
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_schema()


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Sessions]:
    sessions = open_ledger(ledger_url)
    yield sessions
    sessions.kw["bind"].dispose()
