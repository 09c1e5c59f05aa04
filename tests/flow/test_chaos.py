"""Parts of a working farm are killed at random, again and again: nothing is lost, nothing is stored twice."""

from __future__ import annotations

import contextlib
import random
import subprocess
import time

import psutil
import pydicom
import pytest
from support.desk import Desk, family

pytestmark = [pytest.mark.farm, pytest.mark.timeout(600)]

TAPES, CLIPS = 5, 4
KILLS = 12


def kill_one(process: subprocess.Popen[str], chance: random.Random) -> None:
    """SIGKILL a random part: a worker or one of its pool, the broker, an encoder, now and then the command itself."""
    parts = family(process)
    kind = chance.choice(["worker", "worker", "ffmpeg", "ffmpeg", "broker", "command"])
    victims = [psutil.Process(process.pid)] if kind == "command" else parts[kind]
    if victims:
        with contextlib.suppress(psutil.NoSuchProcess):
            chance.choice(victims).kill()


def test_every_item_survives_random_kills(desk: Desk) -> None:
    chance = random.Random(4711)
    for number in range(TAPES):
        desk.capture(f"tapes/{number}.mpg", seconds=3, seed=50 * number, size="640x480")
    for number in range(CLIPS):
        desk.camera(f"clips/{number}.mp4", seed=50 * number)
    options = ("--map", str(desk.mapping()))
    process = desk.start(*options)
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.5, 2.5))
        with contextlib.suppress(psutil.NoSuchProcess):
            kill_one(process, chance)
        if process.poll() is not None:
            process.communicate()
            process = desk.start(*options)
    desk.finish(process)
    run = desk.migrate(*options)  # what was set aside by four kills in a row is tried again
    assert run.code == 0, run.stderr
    assert {item["state"] for item in run.items.values()} == {"done"}
    assert len(run.items) == TAPES + CLIPS
    uids = [pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in desk.results()]
    assert len(uids) == len(set(uids)) == TAPES + CLIPS
    assert desk.leftovers() == []
