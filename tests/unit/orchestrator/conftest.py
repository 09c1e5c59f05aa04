"""A real ledger (SQLite in a temporary folder) and a broker in memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.core import add_item, broker, description, farm, job, store  # noqa: F401 fixtures

from orchestrator.ledger.database import Sessions, open_ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Sessions:
    return open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
