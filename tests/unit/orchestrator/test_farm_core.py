"""Dispatcher, recorder and watcher against a real ledger: nothing lost, nothing twice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from common.errors import ProgramFailed, UnreadableSource
from common.leases import Lease
from common.media import Description
from common.orders import DeliverDone, DescribeDone, Done, Failure, TranscodeDone, Verdict, WorkResult
from common.stages import State
from common.store.folder import FolderStore
from orchestrator.dispatcher import WINDOW_PER_SLOT, dispatch
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import Attempt, Delivery, Item, now
from orchestrator.recorder import Recorder
from orchestrator.watcher import Watcher

GRACE_SECONDS = 5.0


class Farm:
    """The orchestrator's parts, and shortcuts to act as a worker."""

    def __init__(self, ledger: Sessions, broker: Any, store: FolderStore) -> None:
        self.ledger, self.broker, self.store = ledger, broker, store
        self.recorder = Recorder(ledger, store, max_attempts=3)
        self.watcher = Watcher(ledger, broker, grace_seconds=GRACE_SECONDS, max_attempts=3)

    def dispatch(self) -> int:
        return dispatch(self.ledger, self.broker, self.store)

    def answer(self, order: Any, done: Done | None = None, failure: Failure | None = None) -> None:
        self.recorder.record(
            WorkResult(
                order_id=order.order_id, item_id=order.item_id, attempt=order.attempt, worker="w", seconds=1.0,
                done=done, failure=failure,
            )
        )  # fmt: skip

    def item(self, item_id: str) -> Item:
        with self.ledger.begin() as session:
            return session.get_one(Item, item_id)

    def age(self, order_id: str, seconds: float) -> None:
        """Make an attempt look as old as that."""
        with self.ledger.begin() as session:
            attempt = session.get_one(Attempt, order_id)
            attempt.sent_at = now() - timedelta(seconds=seconds)
            if attempt.seen_at:
                attempt.seen_at = now() - timedelta(seconds=seconds)


@pytest.fixture
def farm(ledger: Sessions, broker: Any, store: FolderStore) -> Farm:
    return Farm(ledger, broker, store)


def made(passed: bool = True, misses: tuple[str, ...] = ()) -> TranscodeDone:
    return TranscodeDone(
        instance_key="results/aa/x/instance.dcm", instance_digest="d", instance_bytes=1, study_uid="1.2", series_uid="1.3",
        sop_instance_uid="1.4", sop_class_uid="1.5", transfer_syntax_uid="1.6", verdict=Verdict(passed=passed, misses=misses),
    )  # fmt: skip


def test_the_window_holds_two_orders_a_slot_and_the_rest_stays_in_the_ledger(
    farm: Farm, add_item: Callable[..., str]
) -> None:
    for _ in range(20):
        add_item()
    assert farm.dispatch() == WINDOW_PER_SLOT * 2
    assert farm.dispatch() == 0


def test_a_queue_without_workers_gets_nothing(farm: Farm, add_item: Callable[..., str]) -> None:
    add_item()
    farm.broker.offered = {}
    assert farm.dispatch() == 0


def test_an_item_goes_the_whole_way(farm: Farm, add_item: Callable[..., str], description: Description) -> None:
    item = add_item()
    farm.dispatch()
    farm.answer(farm.broker.sent[-1], DescribeDone(description=description))
    assert farm.item(item).state is State.PLANNED
    farm.dispatch()
    farm.answer(farm.broker.sent[-1], made())
    assert farm.item(item).state is State.PRODUCED
    farm.dispatch()
    farm.answer(farm.broker.sent[-1], DeliverDone(location="a", proof="sha256"))
    assert farm.item(item).state is State.DONE


def test_an_order_is_retried_under_a_new_id_and_the_late_result_is_dropped(
    farm: Farm, add_item: Callable[..., str], description: Description
) -> None:
    item = add_item()
    farm.dispatch()
    first = farm.broker.sent[-1]
    farm.broker.take(first.order_id)
    farm.watcher.sweep()
    del farm.broker.leases[first.order_id]
    farm.age(first.order_id, GRACE_SECONDS + 1)
    farm.watcher.sweep()
    farm.dispatch()
    second = farm.broker.sent[-1]
    assert second.order_id != first.order_id
    assert first.order_id in farm.broker.revoked
    farm.answer(first, failure=Failure.of(UnreadableSource("late")))
    assert farm.item(item).state is State.FOUND
    farm.answer(second, DescribeDone(description=description))
    assert farm.item(item).state is State.PLANNED


def test_a_fresh_lease_lapse_is_given_grace_for_the_result_on_its_way(farm: Farm, add_item: Callable[..., str]) -> None:
    add_item()
    farm.dispatch()
    order = farm.broker.sent[-1]
    farm.broker.take(order.order_id)
    farm.watcher.sweep()
    del farm.broker.leases[order.order_id]
    farm.watcher.sweep()
    assert order.order_id not in farm.broker.revoked


def test_a_flushed_broker_gets_its_queued_orders_again_under_the_same_id(
    farm: Farm, add_item: Callable[..., str]
) -> None:
    add_item()
    farm.dispatch()
    order = farm.broker.sent[-1]
    farm.broker.flush()
    farm.age(order.order_id, GRACE_SECONDS + 1)
    farm.watcher.sweep()
    assert [sent.order_id for sent in farm.broker.sent] == [order.order_id] * 2


def test_an_order_that_waits_in_its_queue_is_not_sent_again(farm: Farm, add_item: Callable[..., str]) -> None:
    add_item()
    farm.dispatch()
    farm.age(farm.broker.sent[-1].order_id, 1000)
    farm.watcher.sweep()
    assert len(farm.broker.sent) == 1


def test_a_source_that_kills_workers_is_set_aside_after_the_last_attempt(
    farm: Farm, add_item: Callable[..., str]
) -> None:
    item = add_item()
    for _ in range(3):
        farm.dispatch()
        order = farm.broker.sent[-1]
        farm.broker.take(order.order_id)
        farm.watcher.sweep()
        del farm.broker.leases[order.order_id]
        farm.age(order.order_id, GRACE_SECONDS + 1)
        farm.watcher.sweep()
    assert farm.item(item).state is State.FAILED
    assert "died 3 times" in farm.item(item).reason


def test_an_ended_attempt_whose_result_never_came_is_given_out_again(farm: Farm, add_item: Callable[..., str]) -> None:
    add_item()
    farm.dispatch()
    order = farm.broker.sent[-1]
    farm.broker.take(order.order_id)
    farm.broker.leases[order.order_id] = Lease(worker="", fraction=None, ended=True)
    farm.watcher.sweep()
    farm.age(order.order_id, 60)
    farm.watcher.sweep()
    assert farm.dispatch() == 1


def test_an_input_error_is_final(farm: Farm, add_item: Callable[..., str]) -> None:
    item = add_item()
    farm.dispatch()
    farm.answer(farm.broker.sent[-1], failure=Failure.of(UnreadableSource("the file is empty (0 bytes)")))
    assert farm.item(item).state is State.FAILED
    assert farm.item(item).reason == "the file is empty (0 bytes)"


def test_an_environment_fault_waits_and_is_tried_again(farm: Farm, add_item: Callable[..., str]) -> None:
    item = add_item()
    farm.dispatch()
    farm.answer(farm.broker.sent[-1], failure=Failure.of(ProgramFailed("ffmpeg", [], 1, "no space")))
    assert farm.item(item).state is State.FOUND
    assert farm.item(item).not_before > now()
    assert farm.dispatch() == 0


def planned(farm: Farm, description: Description) -> Any:
    farm.dispatch()
    farm.answer(farm.broker.sent[-1], DescribeDone(description=description))
    farm.dispatch()
    return farm.broker.sent[-1]


def test_a_missed_gate_tries_the_next_better_rung(
    farm: Farm, add_item: Callable[..., str], description: Description
) -> None:
    item = add_item()
    order = planned(farm, description)
    farm.answer(order, made(passed=False, misses=("ssim mean 0.9 < 0.97",)))
    assert farm.item(item).state is State.PLANNED
    farm.dispatch()
    better = farm.broker.sent[-1]
    assert better.plan.recipe.crf < order.plan.recipe.crf
    assert better.sop_instance_uid != order.sop_instance_uid


def test_after_the_last_rung_the_item_is_quarantined_with_the_misses(
    farm: Farm, add_item: Callable[..., str], description: Description
) -> None:
    item = add_item()
    order = planned(farm, description)
    for _ in range(order.plan.rungs):
        farm.answer(farm.broker.sent[-1], made(passed=False, misses=("ssim mean 0.9 < 0.97",)))
        farm.dispatch()
    assert farm.item(item).state is State.QUARANTINED
    assert "ssim mean 0.9 < 0.97" in farm.item(item).reason


def test_the_same_bytes_twice_make_one_instance(
    farm: Farm, add_item: Callable[..., str], description: Description
) -> None:
    add_item()
    twin = add_item()
    farm.dispatch()
    for order in list(farm.broker.sent):
        farm.answer(order, DescribeDone(description=description))
    assert farm.item(twin).state is State.SKIPPED
    assert "clip1.mp4" in farm.item(twin).reason


def test_plain_video_without_a_mapping_row_fails_with_what_to_add(
    farm: Farm, add_item: Callable[..., str], description: Description
) -> None:
    item = add_item(header_key=None)
    farm.dispatch()
    farm.answer(farm.broker.sent[-1], DescribeDone(description=description))
    failed = farm.item(item)
    assert failed.state is State.FAILED
    assert failed.failure is not None
    assert "--map" in failed.failure["hint"]


def test_one_delivery_for_each_destination_however_often_it_is_produced(
    farm: Farm, add_item: Callable[..., str], description: Description
) -> None:
    item = add_item()
    farm.answer(planned(farm, description), made())
    with farm.ledger.begin() as session:
        session.get_one(Item, item).state = State.PLANNED
    farm.dispatch()
    farm.answer(farm.broker.sent[-1], made())
    with farm.ledger.begin() as session:
        assert len(session.scalars(select(Delivery)).all()) == 1


def test_orders_carry_neither_a_path_nor_a_name_of_the_source(
    farm: Farm, add_item: Callable[..., str], description: Description, tmp_path: Any
) -> None:
    add_item(name="Doe^Jane/hernia.mp4")
    planned(farm, description)
    for order in farm.broker.sent:
        text = order.model_dump_json()
        assert "Doe" not in text
        assert "hernia" not in text
