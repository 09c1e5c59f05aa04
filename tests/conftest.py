"""Shared fixtures: peers are skipped by name on a laptop and demanded in CI."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from support.s3 import S3Server, s3_server

settings.register_profile("cinefarm", deadline=None)  # a busy machine is no failure
settings.load_profile("cinefarm")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose peer program is absent; in CI its absence is a failure."""
    for marker in item.iter_markers("peer"):
        for name in marker.args:
            if shutil.which(name) or list(Path("/usr/lib/postgresql").glob(f"*/bin/{name}")):  # Debian: not in PATH
                continue
            if os.environ.get("CI") == "true":
                pytest.fail(f"peer program {name} is not installed, and CI must have it", pytrace=False)
            pytest.skip(f"peer program {name} is not installed")


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server, started with the first test that asks for it."""
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server
