"""What the gate does with what is hard to encode: the next better rung is tried, and after the last it is set aside."""

from __future__ import annotations

import json

import pytest
from support.desk import Desk

pytestmark = pytest.mark.farm


def test_a_rung_that_misses_the_gate_is_followed_by_a_better_one(desk: Desk) -> None:
    desk.noise("speckle.avi", size="320x240", strength=40)
    item = desk.migrate("--map", str(desk.mapping()), "--profile", "archive-fixed").items["speckle.avi"]
    assert item["state"] == "done"
    assert item["plan"]["rung"] > 0
    assert "missed the gate" in item["reason"]
    assert item["verdict"]["passed"]


def test_what_no_rung_can_carry_is_quarantined_with_its_evidence_and_not_delivered(desk: Desk) -> None:
    desk.noise("storm.avi", size="1280x720", strength=100)
    desk.camera("clip.mp4")
    run = desk.migrate("--map", str(desk.mapping()))
    item = run.items["storm.avi"]
    assert run.code == 1
    assert item["state"] == "quarantined"
    assert item["plan"]["rung"] == item["plan"]["rungs"] - 1
    assert item["verdict"]["misses"]
    evidence = json.loads((desk.state / "objects" / item["evidence"][0]).read_text())
    assert evidence["verdict"]["passed"] is False
    assert len(desk.results()) == 1
    assert "storm.avi" in run.stderr


def test_a_quarantined_item_is_not_encoded_again_by_the_next_run(desk: Desk) -> None:
    desk.noise("storm.avi", size="1280x720", strength=100, frames=4)
    first = desk.migrate("--map", str(desk.mapping())).items["storm.avi"]
    second = desk.migrate("--map", str(desk.mapping())).items["storm.avi"]
    assert (second["state"], second["attempts"]) == ("quarantined", first["attempts"])
