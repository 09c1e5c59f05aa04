"""What becomes of items whose source does not get to the store, on both ledgers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.core import Farm

from common.errors import CinefarmError, StoreFault, UnreadableSource
from common.media import Description
from common.orders import DescribeDone, Failure
from common.stages import State
from orchestrator.ledger.schema import Item, now
from orchestrator.reconciler import reconcile


def refuse(farm: Farm, monkeypatch: pytest.MonkeyPatch, item: str, fault: CinefarmError) -> None:
    """The store takes all sources but one."""
    adopt = farm.store.adopt

    def picky(key: str, path: Path) -> None:
        if key == f"sources/{item}":
            raise fault
        adopt(key, path)

    monkeypatch.setattr(farm.store, "adopt", picky)


def test_a_source_that_cannot_be_read_costs_its_item_only(
    farm: Farm, add_item: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, there = add_item(), add_item()
    refuse(farm, monkeypatch, gone, UnreadableSource("the file cannot be opened: No such file or directory"))
    assert farm.dispatch() == 1
    assert (farm.item(gone).state, farm.item(gone).failure["code"]) == (State.FAILED, "UnreadableSource")
    assert farm.broker.sent[-1].item_id == there


def test_a_store_that_does_not_take_a_source_is_waited_for(
    farm: Farm, add_item: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    late, there = add_item(), add_item()
    refuse(farm, monkeypatch, late, StoreFault("the store is away"))
    assert farm.dispatch() == 1
    assert farm.broker.sent[-1].item_id == there
    assert (farm.item(late).state, farm.item(late).attempts) == (State.FOUND, 0)
    assert farm.item(late).not_before > now()


def test_the_store_forgets_the_source_of_an_item_that_has_ended(farm: Farm, add_item: Callable[..., str]) -> None:
    item = add_item()
    farm.dispatch()
    assert list(farm.store.keys("sources/")) == [f"sources/{item}"]
    farm.answer(farm.broker.sent[-1], failure=Failure.of(UnreadableSource("no video")))
    assert farm.item(item).state is State.FAILED
    assert list(farm.store.keys("sources/")) == []


def test_the_store_keeps_the_source_of_an_item_that_goes_on(
    farm: Farm, add_item: Callable[..., str], description: Description
) -> None:
    item = add_item()
    farm.dispatch()
    farm.answer(farm.broker.sent[-1], DescribeDone(description=description))
    assert list(farm.store.keys("sources/")) == [f"sources/{item}"]


def test_reconciling_forgets_the_sources_of_what_has_ended(farm: Farm, add_item: Callable[..., str]) -> None:
    open_one, failed = add_item(), add_item()
    farm.dispatch()
    with farm.ledger.begin() as session:
        session.get_one(Item, failed).state = State.FAILED  # as the watcher sets aside what killed its workers
    farm.store.put("sources/nobody", b"of an item that the ledger does not know")
    reconcile(farm.ledger, farm.store)
    assert list(farm.store.keys("sources/")) == [f"sources/{open_one}"]
