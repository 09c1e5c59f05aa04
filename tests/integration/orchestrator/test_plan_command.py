"""``cinefarm plan`` on real files: what it says, and what it leaves alone."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.desk import Desk

from common.media import Description
from common.orders import Failure
from common.settings import Settings
from orchestrator.describing import Describer, describe_all
from orchestrator.ingest.folder import Found, find


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    desk = Desk(tmp_path_factory.mktemp("plan"))
    desk.sources.mkdir()
    desk.camera("a/clip.mp4")
    desk.capture("b/tape.mpg")
    desk.ultrasound("c/loop.dcm")
    desk.file("notes.txt").write_text("no video")
    desk.file("cut.mp4").write_bytes((desk.sources / "a" / "clip.mp4").read_bytes()[:3000])
    shutil.copyfile(desk.sources / "a" / "clip.mp4", desk.file("z copy.mp4"))
    desk.mapping()
    return desk


def plan(desk: Desk, *options: str, to: str | None = None) -> tuple[int, list[dict[str, Any]], str]:
    program = Path(sys.executable).with_name("cinefarm")
    command = [program, "plan", desk.sources, "--to", to or desk.out, "--map", desk.folder / "map.csv", *options]
    environment = os.environ | {"CINEFARM_STATE_DIR": str(desk.state)}
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    lines = [json.loads(line) for line in ran.stdout.splitlines()] if "--json" in options else []
    return ran.returncode, lines, ran.stdout + ran.stderr


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(folder.rglob("*"))}


def test_each_file_is_planned_in_the_order_of_finding_and_nothing_is_written(desk: Desk) -> None:
    before = tree(desk.folder)
    code, lines, _ = plan(desk, "--json")
    assert tree(desk.folder) == before
    assert code == 1  # one file is cut short
    items = {line["name"]: (line["state"], line["path"]) for line in lines[:-1]}
    assert items == {
        "cut.mp4": ("failed", None),
        "notes.txt": ("skipped", None),
        "z copy.mp4": ("planned", "rewrap"),
        "a/clip.mp4": ("planned", "rewrap"),
        "b/tape.mpg": ("planned", "encode"),
        "c/loop.dcm": ("planned", "encode"),
    }
    assert [line["number"] for line in lines[:-1]] == list(range(1, 7))
    assert lines[-1]["type"] == "summary"
    assert lines[-1]["estimate"]["paths"]["encode"]["items"] == 2


def test_reading_all_finds_equal_files(desk: Desk) -> None:
    _, lines, _ = plan(desk, "--json", "--full")
    reasons = {line["name"]: line["reason"] for line in lines[:-1]}
    assert reasons["a/clip.mp4"] == "the same bytes as z copy.mp4"


def test_people_see_the_same(desk: Desk) -> None:
    _, _, text = plan(desk)
    assert "rewrap" in text
    assert "Nothing was moved" in text


def test_what_a_destination_takes_changes_the_path(desk: Desk) -> None:
    pacs = "dicom://PACS@127.0.0.1:1"  # nobody is asked
    _, lines, _ = plan(desk, "--json", "--accepts", f"{pacs} syntaxes=.107", to=pacs)
    clip = next(line for line in lines if line.get("name") == "a/clip.mp4")
    assert (clip["path"], clip["transfer_syntax_uid"][-4:]) == ("encode", ".107")
    assert clip["plan"]["forced_by"][-1]["rule"] == "destination.syntax"


@pytest.fixture
def describer() -> Iterator[Describer]:
    with Describer(Settings(), quick=True) as made:
        yield made


def found(desk: Desk, name: str) -> Found:
    return next(find(desk.sources / name))


def readers() -> list[psutil.Process]:
    """Those of this process that live; one that has ended and waits for its parent is none."""
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):  # a zombie's too
            if "describe-each" in child.cmdline():
                found.append(child)
    return found


def test_a_reader_that_dies_costs_its_source_and_no_other(desk: Desk, describer: Describer) -> None:
    clip = found(desk, "a/clip.mp4")
    assert isinstance(describer.ask(clip), Description)
    (child,) = readers()
    child.send_signal(signal.SIGKILL)
    child.wait()
    lost = describer.ask(clip)
    assert isinstance(lost, Failure)
    assert lost.code == "UnreadableSource"
    assert isinstance(describer.ask(clip), Description)


def test_a_source_that_stalls_its_reader_is_given_up(desk: Desk) -> None:
    with Describer(Settings(describe_seconds=0.001), quick=True) as hasty:
        answer = hasty.ask(found(desk, "a/clip.mp4"))
    assert isinstance(answer, Failure)
    assert answer.code == "ResourceLimit"


def test_no_reader_outlives_a_plan_that_is_broken_off(desk: Desk) -> None:
    described = describe_all(find(desk.sources), Settings(), quick=True, at_a_time=2)
    next(described)
    described.close()
    deadline = time.monotonic() + 10
    while readers() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert readers() == []
