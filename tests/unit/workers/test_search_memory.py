"""Results of searches in the store: found again, bound to what made them, harmless when they are damaged."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.descriptions import clip as video

from common.media import Description
from common.orders import Path as Way
from common.orders import Plan, Pooled
from common.recipes import ARCHIVE, DIAGNOSTIC
from common.store import ObjectStore
from common.store.folder import FolderStore
from workers import search_memory
from workers.search import Curve, Probe
from workers.search_memory import StoredMemory, memory_of

NOW = datetime(2026, 3, 5, tzinfo=UTC)
NEXT_MONTH = datetime(2026, 4, 30, tzinfo=UTC)
LATER = datetime(2026, 5, 1, tzinfo=UTC)


def pooled(value: float) -> Pooled:
    return Pooled(mean=value, harmonic_mean=value, min=value, p1=value, p5=value, worst_second=value)


def probe(crf: int) -> Probe:
    return Probe(crf, {"psnr_y": pooled(60 - crf)}, 100, 1000, 1.5, 2.5, 0.25)


CURVE = Curve((probe(26), probe(20)), (probe(21), probe(20)))
PLAN = Plan(
    path=Way.ENCODE,
    reason="",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.77.1.1.1",
    transfer_syntax_uid=ARCHIVE.ladder[0].transfer_syntax_uid,
    recipe=ARCHIVE.ladder[0],
    gate=ARCHIVE.gate,
)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return FolderStore(tmp_path / "store")


def remembered(
    store: ObjectStore, plan: Plan = PLAN, description: Description | None = None, now: datetime = NOW
) -> StoredMemory:
    memory = memory_of(store, description or video(), plan, now=now)
    assert memory is not None
    return memory


def entry(store: ObjectStore) -> str:
    (key,) = store.keys("searches/")
    return key


def test_what_was_kept_is_found_by_the_same_source_and_plan(store: ObjectStore) -> None:
    assert remembered(store).recall() == Curve()
    remembered(store).keep(CURVE)
    assert remembered(store).recall() == CURVE


def test_the_number_that_is_taken_without_samples_is_no_part_of_the_address(store: ObjectStore) -> None:
    remembered(store).keep(CURVE)
    recipe = ARCHIVE.ladder[0].model_copy(update={"crf": 3})
    assert remembered(store, PLAN.model_copy(update={"recipe": recipe})).recall() == CURVE


def test_another_source_recipe_or_gate_finds_nothing(store: ObjectStore) -> None:
    remembered(store).keep(CURVE)
    other = video().model_copy(update={"digest": "9" * 64})
    assert remembered(store, description=other).recall() == Curve()
    slower = ARCHIVE.ladder[0].model_copy(update={"preset": "slow"})
    assert remembered(store, PLAN.model_copy(update={"recipe": slower})).recall() == Curve()
    assert remembered(store, PLAN.model_copy(update={"gate": DIAGNOSTIC.gate})).recall() == Curve()


def test_another_version_of_a_tool_finds_nothing(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    remembered(store).keep(CURVE)
    monkeypatch.setattr(search_memory, "tools", lambda: {"ffmpeg_sha256": "another"})
    assert remembered(store).recall() == Curve()


def test_an_entry_serves_this_month_and_the_next_and_is_old_then(store: ObjectStore) -> None:
    remembered(store).keep(CURVE)
    assert remembered(store, now=NEXT_MONTH).recall() == CURVE
    assert remembered(store, now=LATER).recall() == Curve()


DAMAGED = {
    "empty": b"",
    "cut off": b'{"version": 1, "curve": {"probes": [',
    "not ours": b"[1, 2, 3]",
    "no text": b"\xff\xfe\x00",
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_entry_is_ignored_and_said(store: ObjectStore, caplog: pytest.LogCaptureFixture, name: str) -> None:
    remembered(store).keep(CURVE)
    store.put(entry(store), DAMAGED[name])
    assert remembered(store).recall() == Curve()
    assert "search_entry_ignored" in caplog.text


FOREIGN = {
    "another version": {"version": 0},
    "another address": {"address": "0" * 64},
    "beyond the bounds": {"curve": json.loads('{"probes": [{"crf": 50}]}')},
}


@pytest.mark.parametrize("name", FOREIGN)
def test_an_entry_that_says_something_else_is_ignored(store: ObjectStore, name: str) -> None:
    remembered(store).keep(CURVE)
    key = entry(store)
    store.put(key, json.dumps(json.loads(store.get(key)) | FOREIGN[name]).encode())
    assert remembered(store).recall() == Curve()


@pytest.mark.parametrize(
    "curve",
    [
        Curve((probe(26), probe(26))),
        Curve((probe(50),)),
        Curve((), (probe(20),)),
        Curve((probe(20),), (probe(20), probe(21))),
        Curve((replace(probe(20), frames=0),)),
        Curve((replace(probe(20), pooled={"psnr_y": pooled(float("inf"))}),)),
    ],
)
def test_a_curve_that_no_search_makes_is_ignored(store: ObjectStore, curve: Curve) -> None:
    remembered(store).keep(curve)
    assert remembered(store).recall() == Curve()


def test_a_source_whose_bytes_have_no_digest_is_not_remembered(store: ObjectStore) -> None:
    assert memory_of(store, video().model_copy(update={"digest": ""}), PLAN, now=NOW) is None
