"""Rules that look at descriptions in a header: of a DICOM loop the worker's answer counts, of plain video the mapping's row."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pydicom
import pytest
from support.desk import Desk

RULES = """
[[rules]]
name = "elsewhere"
modality = ["XA"]

[[rules]]
name = "loops"
series_description = ["*four chamber*"]
only = true
thresholds = ["ssim min >= 0.5"]

[[rules]]
name = "colon"
study_description = ["colo*"]
only = true
thresholds = ["ssim min >= 0.4"]
"""
CHOSEN = {"loop.dcm": "loops", "still.dcm": "", "tape.mpg": "colon"}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    for name, text in (("loop.dcm", "Doe Jane FOUR Chamber"), ("still.dcm", "Doe Jane apex")):
        loop = pydicom.dcmread(desk.ultrasound(name))
        loop.SeriesDescription = text
        loop.SOPInstanceUID += str(len(text))
        loop.file_meta.MediaStorageSOPInstanceUID = loop.SOPInstanceUID
        loop.save_as(desk.sources / name)
    desk.capture("tape.mpg")
    header = "file,PatientID,PatientName,StudyDate,Modality,StudyDescription"
    (tmp_path / "map.csv").write_text(f"{header}\n**/*,P-1,Doe^Jane,20240229,ES,Coloscopy of Doe\n")
    (tmp_path / "rules.toml").write_text(RULES)
    return desk


def rule(item: dict[str, Any]) -> str:
    """The rule that the reason names."""
    found = re.search(r"\(rule (\w+): profile archive\)", item["reason"])
    return found[1] if found else ""


def test_a_plan_and_a_migration_choose_the_same_rule_and_no_text_of_a_header_is_kept(desk: Desk) -> None:
    options = ["--map", str(desk.folder / "map.csv"), "--rules", str(desk.folder / "rules.toml")]
    command = [str(Path(sys.executable).with_name("cinefarm")), "plan", str(desk.sources), "--to", str(desk.out)]
    environment = os.environ | {"CINEFARM_STATE_DIR": str(desk.folder / "unused")}
    said = subprocess.run([*command, "--json", *options], capture_output=True, text=True, check=True, env=environment)
    planned = {each["name"]: each for each in map(json.loads, said.stdout.splitlines()) if each["type"] == "item"}
    assert {name: rule(each) for name, each in planned.items()} == CHOSEN

    done = desk.migrate(*options)
    assert {name: rule(each) for name, each in done.items.items()} == CHOSEN
    assert [each["state"] for each in done.items.values()] == ["done"] * 3
    with contextlib.closing(sqlite3.connect(desk.state / "ledger.sqlite")) as ledger:
        rows = ledger.execute("select description, supplied from items order by name").fetchall()
    assert [json.loads(row[0])["header_rules"] for row in rows] == [[1], [], [2]]
    kept = json.dumps(rows)
    assert not {"doe", "jane", "apex"} & set(kept.lower().replace('"', " ").split())
