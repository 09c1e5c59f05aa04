"""What a farm has delivered, verified by the command that a person gives."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.desk import Desk

pytestmark = pytest.mark.farm


def test_a_migration_agrees_with_its_folder_until_something_is_lost(desk: Desk) -> None:
    desk.camera("clip.mp4")
    desk.ultrasound("loop.dcm")
    run = desk.migrate("--map", str(desk.mapping()))
    assert run.code == 0, run.stderr
    code, lines = verify(desk, run.summary["job"])
    assert (code, lines[-1]["differences"]) == (0, {}), lines
    assert (lines[-1]["found"], lines[-1]["digests_same"]) == (2, 2)
    lost = desk.results()[0]
    lost.unlink()
    code, lines = verify(desk, run.summary["job"])
    assert (code, lines[-1]["differences"]) == (1, {"missing": 1})
    assert [each["sop_instance_uid"] for line in lines[:-1] for each in line["differences"]] == [lost.stem]


def verify(desk: Desk, job: str) -> tuple[int, list[dict[str, object]]]:
    program = str(Path(sys.executable).with_name("cinefarm"))
    argv = [program, "verify", job, "--source", "--json", "--state", str(desk.state)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]
