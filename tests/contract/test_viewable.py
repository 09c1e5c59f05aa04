"""Which instances can be looked at: a row comes with the result, stays while its bytes do, and goes with them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from support.core import Farm, made

from common.dicom.companion import companion_key
from common.media import Description
from common.orders import DeliverDone, DescribeDone, InstancePart
from common.stages import State
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import Item, StoredInstance, now
from orchestrator.reconciler import delete_orphans
from orchestrator.recorder import Recorder
from orchestrator.viewable import Keeping

KEY = "results/aa/x/instance.dcm"


def rows(ledger: Sessions) -> list[tuple[str, str]]:
    with ledger() as session:
        found = session.execute(select(StoredInstance.key, StoredInstance.item_id).order_by(StoredInstance.key))
        return [(key, item) for key, item in found]


def sent(farm: Farm, item: str, kind: str) -> Any:
    return next(order for order in farm.broker.sent if order.item_id == item and order.kind == kind)


Produce = Callable[..., str]


@pytest.fixture
def produce(farm: Farm, add_item: Callable[..., str], description: Description) -> Produce:
    """An item that has become an instance; of several, all have become the same one."""

    def act(digest: str = "x", **result: Any) -> str:
        item = add_item()
        farm.dispatch()
        farm.answer(
            sent(farm, item, "describe"), DescribeDone(description=description.model_copy(update={"digest": digest}))
        )
        farm.dispatch()
        farm.answer(sent(farm, item, "transcode"), made().model_copy(update=result))
        farm.store.put(KEY, b"x")
        farm.store.put(companion_key(KEY), b"{}")
        return item

    return act


def deliver(farm: Farm, item: str) -> None:
    farm.dispatch()
    farm.answer(sent(farm, item, "deliver"), DeliverDone(location="instance.dcm", proof="sha256"))
    assert farm.item(item).state is State.DONE


def test_a_result_is_listed_until_its_bytes_are_deleted(farm: Farm, ledger: Sessions, produce: Produce) -> None:
    item = produce()
    assert rows(ledger) == [(KEY, item)]
    deliver(farm, item)
    assert rows(ledger) == []
    assert list(farm.store.keys("results/")) == []


def test_a_second_item_of_the_same_object_takes_its_row_over(farm: Farm, ledger: Sessions, produce: Produce) -> None:
    produce()
    second = produce(digest="y")
    assert rows(ledger) == [(KEY, second)]


def test_every_part_of_a_split_result_is_listed(farm: Farm, ledger: Sessions, produce: Produce) -> None:
    keys = [f"results/aa/x/instance-{number}.dcm" for number in (1, 2)]
    parts = tuple(
        InstancePart(instance_key=key, instance_digest="d", instance_bytes=1, sop_instance_uid=f"1.4.{number}")
        for number, key in enumerate(keys)
    )
    produce(parts=parts)
    assert [key for key, _ in rows(ledger)] == keys


@pytest.mark.parametrize(("hours_ago", "kept"), [(23, True), (25, False)])
def test_results_that_are_kept_go_when_their_time_is_over(
    farm: Farm, ledger: Sessions, produce: Produce, hours_ago: int, kept: bool
) -> None:
    farm.recorder = Recorder(ledger, farm.store, max_attempts=3, keeping=Keeping(24))
    item = produce()
    deliver(farm, item)
    with ledger.begin() as session:
        session.execute(update(Item).values(updated_at=now() - timedelta(hours=hours_ago)))
    delete_orphans(ledger, farm.store, keeping=Keeping(24))
    assert bool(rows(ledger)) is kept
    assert bool(list(farm.store.keys("results/"))) is kept


def test_a_store_that_is_short_of_room_keeps_nothing(farm: Farm, ledger: Sessions, produce: Produce) -> None:
    farm.recorder = Recorder(ledger, farm.store, max_attempts=3, keeping=Keeping(24, least_free_bytes=1 << 62))
    deliver(farm, produce())
    assert (rows(ledger), list(farm.store.keys("results/"))) == ([], [])
