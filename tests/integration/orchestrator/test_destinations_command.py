"""``cinefarm destinations``: the list, and one profile with its sources."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def ask(*words: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("cinefarm")), "destinations", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_all_are_listed_each_with_what_is_known() -> None:
    lines = [json.loads(line) for line in ask("--json").stdout.splitlines()]
    assert {"orthanc", "dcm4chee-arc", "ohif", "weasis"} <= {line["name"] for line in lines}
    assert all(fact["source"] for line in lines for fact in line.values() if isinstance(fact, dict))
    assert "prefers .100, .101?" in ask().stdout


def test_one_is_shown_with_the_source_of_every_fact() -> None:
    shown = ask("weasis").stdout
    assert "one fragment: yes" in shown
    assert "DicomVideoElement" in shown


def test_an_unknown_one_is_refused_with_the_known_ones() -> None:
    refused = ask("pax")
    assert refused.returncode == 2
    assert "orthanc" in refused.stderr
