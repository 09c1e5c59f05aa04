"""Parts of a working farm are killed, frozen, flushed and filled at random: nothing is lost, nothing is stored twice.

``make chaos`` takes 200 items; the short form is part of every test run. The seed is printed; repeat it by
CINEFARM_CHAOS_SEED=… CINEFARM_CHAOS_ITEMS=….
"""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from support.chaos import Chaos, small_disk
from support.desk import Desk, Run

ITEMS = int(os.environ.get("CINEFARM_CHAOS_ITEMS", "12"))
SEED = int(os.environ.get("CINEFARM_CHAOS_SEED") or random.SystemRandom().randrange(10_000))
ENCODED_OF = 3
"""Every third item has to be encoded, the others are rewrapped: short orders and longer ones."""

STRIKES_PER_ITEM = 0.75
PAUSE = (0.2, 2.0)
MENDING_RUNS = 3
"""Four kills in a row set an item aside, with reason; the same command tries it again."""

pytestmark = [pytest.mark.farm, pytest.mark.timeout(600 + 30 * ITEMS)]


@pytest.fixture
def second(tmp_path: Path) -> Path:
    return tmp_path / "second"


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path | None]:
    with small_disk(tmp_path / "scratch") as disk:
        if disk is not None:
            monkeypatch.setenv("CINEFARM_SCRATCH_DIR", str(disk))
        yield disk


def fill(desk: Desk) -> None:
    """Items of three kinds, no two alike."""
    for number in range(ITEMS):
        if number % ENCODED_OF:
            desk.camera(f"clips/{number}.mp4", seed=number)
        else:
            desk.capture(f"tapes/{number}.mpg", seconds=3, seed=number, size="640x480")


def endure(desk: Desk, options: tuple[str, ...], scratch: Path | None) -> Counter[str]:
    """Run the job while things happen; started again whenever the command itself died."""
    chance = random.Random(SEED)
    happened: Counter[str] = Counter()
    chaos = Chaos(desk, desk.start(*options), chance, scratch, happened)
    kinds = sorted(chaos.kinds)
    chance.shuffle(kinds)  # each kind at least once, as far as the strikes go, then as chance has it
    strikes = [*kinds, *chance.choices(kinds, k=max(0, int(ITEMS * STRIKES_PER_ITEM) - len(kinds)))]
    for kind in strikes:
        time.sleep(chance.uniform(*PAUSE))
        chaos.strike(kind)
        if chaos.process.poll() is not None:
            chaos.process.communicate()
            chaos = Chaos(desk, desk.start(*options), chance, scratch, happened, chaos.pauses)
    chaos.settle()
    desk.finish(chaos.process)
    return happened


def mend(desk: Desk, options: tuple[str, ...]) -> Run:
    """The same command, until nothing is set aside."""
    for _ in range(MENDING_RUNS):
        run = desk.migrate(*options)
        if run.code == 0:
            break
    return run


def ledger_counts(desk: Desk, question: str) -> dict[str, int]:
    with contextlib.closing(sqlite3.connect(desk.state / "ledger.sqlite")) as ledger:
        return dict(ledger.execute(question).fetchall())


def test_every_item_is_done_exactly_once_whatever_dies(desk: Desk, second: Path, scratch: Path | None) -> None:
    print(f"CINEFARM_CHAOS_SEED={SEED} CINEFARM_CHAOS_ITEMS={ITEMS}")  # noqa: T201 to repeat it
    fill(desk)
    options = ("--map", str(desk.mapping()), "--to", str(second), "--profile", "review")
    happened = endure(desk, options, scratch)
    print(dict(happened))  # noqa: T201
    run = mend(desk, options)

    assert sum(happened.values()) >= 3, "hardly anything happened: this run proves nothing"
    assert run.code == 0, run.stderr
    assert len(run.items) == ITEMS
    assert {item["state"] for item in run.items.values()} == {"done"}
    for place in (desk.out, second):
        uids = [pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in place.rglob("*.dcm")]
        assert len(uids) == len(set(uids)) == ITEMS, place
    states = ledger_counts(desk, "SELECT state, count(*) FROM attempts GROUP BY state")
    assert not {"queued", "running"} & set(states), states
    assert_store_is_clean(desk)
    hidden = [path for path in second.rglob("*") if path.name.startswith(".")]
    left_in_scratch = [path for path in scratch.rglob("*") if path.is_file()] if scratch else []
    assert desk.leftovers() + hidden + left_in_scratch == []


def assert_store_is_clean(desk: Desk) -> None:
    """Below results there is the evidence of done items, and nothing else."""
    results = desk.state / "objects" / "results"
    stored = [path.relative_to(results) for path in results.rglob("*") if path.is_file()]
    assert [path for path in stored if path.name == "instance.dcm"] == []
    done = ledger_counts(desk, "SELECT digest, 1 FROM items WHERE state = 'done'")
    assert {path.parts[1] for path in stored} == set(done)
