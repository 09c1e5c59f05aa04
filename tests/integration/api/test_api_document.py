"""docs/api.md: every command in it is run as it is written."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from support.web_server import Served

DOCUMENT = Path(__file__).parents[3] / "docs" / "api.md"


@pytest.mark.peer("curl")
def test_every_command_of_the_document_works_in_its_order(served: Served, tmp_path: Path) -> None:
    lines = [line[4:] for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("    ")]
    assert sum(line.startswith("api ") for line in lines) > 10
    environment = os.environ | {"CINEFARM_API_URL": served.url}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(lines)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-600:] + done.stderr
    assert served.client.get("/api/v1/jobs/tapes").json()["state"] == "cancelled"
    assert (tmp_path / "report.html").stat().st_size > 1000
