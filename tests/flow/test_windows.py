"""A whole farm under a time window, a limit, and an archive that comes back."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.desk import Desk

pytestmark = pytest.mark.farm


def window(start: datetime, end: datetime) -> str:
    """A window from one minute to another of today (it may go over midnight)."""
    return f"Mon-Sun {start:%H:%M}-{end:%H:%M} UTC"


def limits(desk: Desk, *words: str) -> list[dict[str, Any]]:
    command = [str(Path(sys.executable).with_name("cinefarm")), "limit", *words, "--state", str(desk.state), "--json"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in answer.stdout.splitlines()]


def closed_now() -> str:
    """A window that opens in three hours."""
    return window(datetime.now(UTC) + timedelta(hours=3), datetime.now(UTC) + timedelta(hours=4))


def states(desk: Desk) -> list[str]:
    """Where the items and the deliveries of the ledger stand."""
    with contextlib.closing(sqlite3.connect(desk.state / "ledger.sqlite")) as ledger:
        return [row[0] for row in ledger.execute("select state from items union all select state from deliveries")]


def wait_for(desk: Desk, wanted: list[str]) -> None:
    for _ in range(600):
        with contextlib.suppress(sqlite3.Error):
            if states(desk) == wanted:
                return
        time.sleep(0.1)
    pytest.fail(f"the items did not come to {wanted}: {states(desk)}")


def test_a_job_waits_for_its_window_and_the_same_command_without_one_goes_on(desk: Desk) -> None:
    desk.camera("clip.mp4")
    mapping = str(desk.mapping())
    process = desk.start("--map", mapping, "--window", closed_now())
    wait_for(desk, ["found"])
    time.sleep(4)  # workers are there after two seconds; the rest would be time enough to describe and deliver
    assert states(desk) == ["found"]
    process.send_signal(signal.SIGINT)
    desk.finish(process)
    run = desk.migrate("--map", mapping)
    assert run.code == 0, run.stderr
    assert len(desk.results()) == 1


def test_a_destination_that_is_closed_gets_its_object_when_a_running_farm_is_told_to_open_it(desk: Desk) -> None:
    desk.camera("clip.mp4")
    process = desk.start("--map", str(desk.mapping()), "--limit", f"{desk.out} window={closed_now()}")
    wait_for(desk, ["produced", "pending"])
    time.sleep(3)
    assert states(desk) == ["produced", "pending"]
    assert not desk.results()
    limits(desk, str(desk.out), "--lift")
    run = desk.finish(process)
    assert run.code == 0, run.stderr
    assert len(desk.results()) == 1


def test_a_limit_given_to_migrate_is_kept_and_can_be_lifted(desk: Desk) -> None:
    desk.camera("clip.mp4")
    run = desk.migrate("--map", str(desk.mapping()), "--limit", f"{desk.out} concurrent=1 rate=1GB/s")
    assert run.code == 0, run.stderr
    (kept,) = limits(desk)
    assert (kept["destination"], kept["concurrent"], kept["bytes_per_second"]) == (str(desk.out), 1, 10**9)
    (lifted,) = limits(desk, str(desk.out), "--lift")
    assert (lifted["concurrent"], lifted["bytes_per_second"]) == (None, None)


def test_a_window_that_is_not_understood_stops_the_command_before_anything_starts(desk: Desk) -> None:
    desk.camera("clip.mp4")
    run = desk.migrate("--map", str(desk.mapping()), "--window", "at night")
    assert run.code == 2
    assert "Europe/Berlin" in run.stderr
    assert not os.path.lexists(desk.out)
