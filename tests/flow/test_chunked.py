"""One long video, many workers: cut, encoded beside each other, joined; killed in the middle, and nothing is lost."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from pathlib import Path
from typing import Any

import psutil
import pydicom
import pytest
from support.desk import Desk, family

pytestmark = [pytest.mark.farm, pytest.mark.timeout(300)]

SECONDS = 16


@pytest.fixture
def long_tape(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A capture that counts as long, so that two idle slots share it."""
    monkeypatch.setenv("CINEFARM_CHUNK_AFTER_SECONDS", "1")
    monkeypatch.setenv("CINEFARM_CHUNK_SECONDS", "0.5")
    desk.capture("tape.mpg", seconds=SECONDS, size="720x576")
    desk.mapping()
    return desk


def evidence(desk: Desk) -> dict[str, Any]:
    (path,) = desk.out.rglob("*evidence.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def query(desk: Desk, statement: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(desk.state / "ledger.sqlite")) as ledger:
        return ledger.execute(statement).fetchall()


def chunk_objects(desk: Desk) -> list[Path]:
    return [path for path in (desk.state / "objects" / "chunks").rglob("*") if path.is_file()]


def assert_whole(desk: Desk) -> None:
    (made,) = desk.results()
    told = evidence(desk)
    assert pydicom.dcmread(made, stop_before_pixels=True).NumberOfFrames == 25 * SECONDS
    assert len(told["chunks"]) >= 2
    assert sum(chunk["frames"] for chunk in told["chunks"]) == 25 * SECONDS
    assert query(desk, "select count(*) from chunks") == [(0,)]
    assert chunk_objects(desk) == []
    assert desk.leftovers() == []


def test_a_long_video_is_encoded_by_several_workers(long_tape: Desk) -> None:
    run = long_tape.migrate("--map", str(long_tape.folder / "map.csv"))
    assert run.code == 0, run.stderr
    assert_whole(long_tape)
    workers = {worker for (worker,) in query(long_tape, "select worker from attempts where kind = 'chunk'")}
    assert len(workers) == 2
    assert query(long_tape, "select count(*) from attempts where kind = 'assemble'") == [(1,)]


def test_chunks_of_killed_workers_are_made_again_and_no_others(long_tape: Desk) -> None:
    process = long_tape.start("--map", str(long_tape.folder / "map.csv"))
    end = time.monotonic() + 120
    victims: list[psutil.Process] = []
    while process.poll() is None and not victims and time.monotonic() < end:
        with contextlib.suppress(psutil.NoSuchProcess, sqlite3.OperationalError):
            if query(long_tape, "select 1 from attempts where kind = 'chunk' and state = 'running'"):
                victims = family(process)["ffmpeg"]
        time.sleep(0.05)
    assert victims, "no chunk was ever encoded"
    for victim in victims:
        with contextlib.suppress(psutil.NoSuchProcess):
            pool = psutil.Process(victim.ppid())
            pool.kill()  # the worker process that waits for the encoder: both die, and its lease lapses
    run = long_tape.finish(process)
    assert run.code == 0, run.stderr
    long_tape.migrate("--map", str(long_tape.folder / "map.csv"))  # clears the scratch folders of the killed
    assert_whole(long_tape)
    lost = query(long_tape, "select chunk_id from attempts where kind = 'chunk' and state = 'lost'")
    made = query(
        long_tape, "select chunk_id, count(*) from attempts where kind = 'chunk' and state = 'done' group by 1"
    )
    assert lost
    assert {count for _, count in made} == {1}


def test_a_short_video_stays_whole(desk: Desk) -> None:
    desk.capture("tape.mpg", seconds=2)
    run = desk.migrate("--map", str(desk.mapping()))
    assert run.code == 0, run.stderr
    assert "chunks" not in evidence(desk)
    assert query(desk, "select distinct kind from attempts order by 1") == [("deliver",), ("describe",), ("transcode",)]
