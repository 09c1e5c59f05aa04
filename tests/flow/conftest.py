"""The desk that a flow test works on; what it started is stopped with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    desk.sources.mkdir()
    yield desk
    for process in desk.running:
        if process.poll() is None:
            process.kill()
            process.communicate()
