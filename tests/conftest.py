"""Shared fixtures: peers are skipped by name on a laptop and demanded in CI."""

from __future__ import annotations

import os
import shutil

import pytest


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose peer program is absent; in CI its absence is a failure."""
    for marker in item.iter_markers("peer"):
        for name in marker.args:
            if shutil.which(name):
                continue
            if os.environ.get("CI") == "true":
                pytest.fail(f"peer program {name} is not installed, and CI must have it", pytrace=False)
            pytest.skip(f"peer program {name} is not installed")
