"""Orders and results of every release are read by this one, and what this one sends is read by older ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from support.wire_golden import GOLDEN, fields, golden

from common import versions
from common.orders import ORDERS, AnyOrder, WorkResult
from common.versions import LATER, WIRE_VERSION, for_wire, is_readable, needed

RELEASES = sorted(int(folder.name) for folder in GOLDEN.iterdir())


def files(beginning: str, version: int | None = None) -> list[Path]:
    return sorted(GOLDEN.glob(f"{version or '*'}/{beginning}-*.json"))


def named(path: Path) -> str:
    return f"{path.parent.name}-{path.stem}"


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if two fields of today had come with versions 2 and 3."""
    table = {"Plan": {"uncut": 2}, "OrderBase": {}, "InstancePart": {"pixel_digest": 3}, "DeliverOrder": {"sharers": 2}}
    monkeypatch.setattr(versions, "LATER", table)
    versions._ways.cache_clear()
    yield
    versions._ways.cache_clear()


def test_every_version_up_to_now_has_its_golden_files() -> None:
    assert list(range(1, WIRE_VERSION + 1)) == RELEASES
    assert {len(files("order", version)) for version in RELEASES} == {8}
    assert {len(files("result", version)) for version in RELEASES} == {8}


@pytest.mark.parametrize("path", files("order"), ids=named)
def test_an_order_of_any_release_is_read_and_loses_nothing(path: Path) -> None:
    said = json.loads(path.read_text(encoding="utf-8"))
    read = ORDERS.validate_python(said).model_dump(mode="json")
    assert _subset(said, read), path.name


@pytest.mark.parametrize("path", files("result"), ids=named)
def test_a_result_of_any_release_is_read_and_loses_nothing(path: Path) -> None:
    said = json.loads(path.read_text(encoding="utf-8"))
    assert _subset(said, WorkResult.model_validate(said).model_dump(mode="json")), path.name


def _subset(said: Any, read: Any) -> bool:
    """Everything that was said is there; what came later may stand beside it."""
    if isinstance(said, dict):
        return all(name in read and _subset(value, read[name]) for name, value in said.items())
    if isinstance(said, list):
        return len(said) == len(read) and all(map(_subset, said, read))
    return bool(said == read)


def test_what_is_sent_today_is_what_the_newest_golden_files_say() -> None:
    again = (
        "A released version keeps its files: raise WIRE_VERSION. Else: python -m support.wire_golden (docs/upgrade.md)"
    )
    for name, value in golden().items():
        told = json.loads((GOLDEN / str(WIRE_VERSION) / f"{name}.json").read_text(encoding="utf-8"))
        assert told == value, f"{name}: {again}"


def test_every_field_of_an_order_that_version_1_did_not_have_is_listed_with_the_version_that_brought_it() -> None:
    first = json.loads((GOLDEN / "1" / "fields.json").read_text(encoding="utf-8"))
    today = fields(list(get_args(AnyOrder)))
    for name, known in first.items():
        assert set(known) <= set(today[name]), f"{name}: orders of version 1 carry what is gone"
        new = set(today[name]) - set(known)
        assert new <= set(_later(name)), (
            f"{name}: list {new - set(_later(name))} in common.versions.LATER (docs/upgrade.md)"
        )
    assert all(1 < version <= WIRE_VERSION for table in LATER.values() for version in table.values())


def _later(name: str) -> dict[str, int]:
    model = {kind.__name__: kind for kind in get_args(AnyOrder)}.get(name)
    return versions._later_fields(model) if model else LATER.get(name, {})


@pytest.mark.usefixtures("later")
def test_an_order_needs_the_version_of_the_latest_field_that_says_something() -> None:
    says = {name: ORDERS.validate_python(golden_order(name)) for name in ("order-deliver", "order-transcode")}
    assert needed(says["order-transcode"]) == 2
    assert needed(says["order-deliver"]) == 3
    silent = says["order-transcode"].model_copy(
        update={"plan": says["order-transcode"].plan.model_copy(update={"uncut": ""})}
    )
    assert needed(silent) == 1


@pytest.mark.usefixtures("later")
def test_a_later_field_that_says_nothing_is_left_out_so_that_older_workers_read_the_order() -> None:
    order = ORDERS.validate_python(golden_order("order-assemble"))
    plan = order.transcode.plan.model_copy(update={"uncut": ""})
    silent = order.model_copy(update={"transcode": order.transcode.model_copy(update={"plan": plan})})
    assert "uncut" not in for_wire(silent)["transcode"]["plan"]
    assert for_wire(silent)["version"] == 1
    assert for_wire(order)["transcode"]["plan"]["uncut"] == "uncut"
    assert for_wire(order)["version"] == 2


@pytest.mark.usefixtures("later")
def test_later_fields_are_found_in_each_of_many() -> None:
    order = ORDERS.validate_python(golden_order("order-deliver"))
    bare = order.parts[0].model_copy(update={"pixel_digest": ""})
    sent = for_wire(order.model_copy(update={"parts": (*order.parts, bare)}))
    assert ["pixel_digest" in part for part in sent["parts"]] == [True, False]


def test_orders_of_a_version_that_is_not_known_are_not_read() -> None:
    assert is_readable({"version": WIRE_VERSION})
    assert is_readable({})
    assert not is_readable({"version": WIRE_VERSION + 1})


def golden_order(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GOLDEN / str(WIRE_VERSION) / f"{name}.json").read_text(encoding="utf-8"))
    return found
