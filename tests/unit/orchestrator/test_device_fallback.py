"""What a device could not do goes to the CPU: once, with the reason, and never back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from common.errors import HardwareFailed, UnreadableSource
from common.media import Description
from common.orders import DescribeDone, Failure, Plan, TranscodeDone, Verdict, WorkResult
from common.recipes import REVIEW
from common.stages import State
from common.store.folder import FolderStore
from orchestrator.devices import DeviceWatch
from orchestrator.dispatcher import dispatch
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import Attempt, Item, Job
from orchestrator.recorder import Recorder
from orchestrator.watcher import give_out_again

GPU = "gpu.nvenc"


class Farm:
    """Orchestrator parts with a GPU worker, and a job whose profile allows devices."""

    def __init__(self, ledger: Sessions, broker: Any, store: FolderStore) -> None:
        self.ledger, self.broker, self.store = ledger, broker, store
        broker.offered = {"describe": 2, "cpu": 2, "deliver": 2, GPU: 2}
        self.recorder = Recorder(ledger, store, max_attempts=3, queues=broker.slots)
        with ledger.begin() as session:
            session.get_one(Job, "job").profile = REVIEW.model_dump(mode="json")

    def dispatch(self) -> Any:
        dispatch(self.ledger, self.broker, self.store)
        return self.broker.sent[-1]

    def answer(self, order: Any, done: Any = None, failure: Failure | None = None) -> None:
        self.recorder.record(
            WorkResult(
                order_id=order.order_id,
                item_id=order.item_id,
                attempt=order.attempt,
                worker="w",
                seconds=1.0,
                done=done,
                failure=failure,
            )
        )

    def described(self, description: Description) -> None:
        self.answer(self.dispatch(), DescribeDone(description=description))

    def item(self, item_id: str) -> Item:
        with self.ledger.begin() as session:
            return session.get_one(Item, item_id)

    def plan(self, item_id: str) -> Plan:
        return Plan.model_validate(self.item(item_id).plan)


@pytest.fixture
def farm(ledger: Sessions, job: str, broker: Any, store: FolderStore) -> Farm:
    return Farm(ledger, broker, store)


@pytest.fixture
def item(farm: Farm, add_item: Callable[..., str], description: Description) -> str:
    made = add_item()
    farm.described(description)
    return made


BROKEN = Failure.of(HardwareFailed("h264_nvenc failed on this worker", stderr_tail="Cannot load libcuda.so.1"))
MISSED = TranscodeDone(verdict=Verdict(passed=False, misses=("vmaf mean 80 < 88",)))


def test_a_served_device_gets_the_order(farm: Farm, item: str) -> None:
    order = farm.dispatch()
    assert (farm.plan(item).queue, order.plan.recipe.encoder) == (GPU, "h264_nvenc")


def test_a_device_failure_sends_the_item_to_the_cpu_on_the_same_rung_at_once(farm: Farm, item: str) -> None:
    farm.answer(farm.dispatch(), failure=BROKEN)
    plan = farm.plan(item)
    assert (farm.item(item).state, plan.queue, plan.rung) == (State.PLANNED, "cpu", 0)
    assert plan.recipe == REVIEW.ladder[0]
    assert plan.fallback == "h264_nvenc failed on this worker"
    assert "h264_nvenc failed on this worker" in farm.item(item).reason
    assert farm.dispatch().plan.queue == "cpu"


def test_the_attempt_keeps_the_devices_last_words(farm: Farm, item: str) -> None:
    order = farm.dispatch()
    farm.answer(order, failure=BROKEN)
    with farm.ledger() as session:
        failure = session.get_one(Attempt, order.order_id).failure or {}
    assert (failure["code"], failure["detail"]) == ("HardwareFailed", "Cannot load libcuda.so.1")


def test_a_missed_gate_after_a_fallback_climbs_the_cpus_ladder(farm: Farm, item: str) -> None:
    farm.answer(farm.dispatch(), failure=BROKEN)
    farm.answer(farm.dispatch(), MISSED)
    plan = farm.plan(item)
    assert (plan.queue, plan.rung, plan.fallback) == ("cpu", 1, "h264_nvenc failed on this worker")
    assert plan.recipe == REVIEW.ladder[1]


def test_a_missed_gate_is_no_device_failure(farm: Farm, item: str) -> None:
    farm.answer(farm.dispatch(), MISSED)
    plan = farm.plan(item)
    assert (plan.queue, plan.rung, plan.fallback) == (GPU, 1, "")
    farm.answer(farm.dispatch(), MISSED)
    assert (farm.plan(item).queue, farm.plan(item).rung) == ("cpu", 2)  # the last rung is the CPU's


def test_the_source_is_judged_by_the_cpu_after_a_fallback(farm: Farm, item: str) -> None:
    farm.answer(farm.dispatch(), failure=BROKEN)
    farm.answer(farm.dispatch(), failure=Failure.of(UnreadableSource("no video")))
    assert (farm.item(item).state, farm.item(item).reason) == (State.FAILED, "no video")


def test_items_of_a_device_that_has_gone_are_brought_back_after_the_grace(farm: Farm, item: str) -> None:
    sent = farm.dispatch()
    del farm.broker.offered[GPU]
    patient = DeviceWatch(farm.ledger, farm.broker, farm.recorder, grace_seconds=3600)
    patient.sweep()
    patient.sweep()
    assert farm.plan(item).queue == GPU
    DeviceWatch(farm.ledger, farm.broker, farm.recorder, grace_seconds=0).sweep()
    assert farm.plan(item).queue == "cpu"
    assert "no worker serves gpu.nvenc any more" in farm.item(item).reason
    assert sent.order_id in farm.broker.revoked
    assert farm.dispatch().plan.queue == "cpu"


def test_the_order_that_was_taken_back_gives_no_second_result(farm: Farm, item: str) -> None:
    sent = farm.dispatch()
    farm.broker.offered[GPU] = 0  # out of service: it is there, and takes nothing
    DeviceWatch(farm.ledger, farm.broker, farm.recorder, grace_seconds=0).sweep()
    farm.answer(sent, MISSED)
    assert (farm.plan(item).queue, farm.plan(item).rung) == ("cpu", 0)


def test_what_a_worker_of_the_device_works_on_is_left_alone(farm: Farm, item: str) -> None:
    sent = farm.dispatch()
    with farm.ledger.begin() as session:
        session.get_one(Attempt, sent.order_id).state = "running"
        session.get_one(Item, item).state = State.RUNNING
    del farm.broker.offered[GPU]
    DeviceWatch(farm.ledger, farm.broker, farm.recorder, grace_seconds=0).sweep()
    assert (farm.item(item).state, farm.plan(item).queue) == (State.RUNNING, GPU)


def test_a_served_queue_and_a_farm_without_devices_are_left_alone(
    farm: Farm, item: str, add_item: Callable[..., str]
) -> None:
    DeviceWatch(farm.ledger, farm.broker, farm.recorder, grace_seconds=0).sweep()
    assert farm.plan(item).queue == GPU
    with farm.ledger() as session:
        assert [one.queue for one in session.scalars(select(Item))] == [GPU]


def test_what_a_worker_died_over_is_not_given_to_a_device_again(farm: Farm, item: str) -> None:
    sent = farm.dispatch()
    with farm.ledger.begin() as session:
        give_out_again(session, session.get_one(Attempt, sent.order_id), 3)
    DeviceWatch(farm.ledger, farm.broker, farm.recorder).sweep()
    assert farm.plan(item).queue == "cpu"
    assert "a worker of gpu.nvenc died over it" in farm.item(item).reason


def test_what_a_worker_handed_back_may_go_to_a_device_again(farm: Farm, item: str) -> None:
    sent = farm.dispatch()
    with farm.ledger.begin() as session:
        give_out_again(session, session.get_one(Attempt, sent.order_id), None)
    DeviceWatch(farm.ledger, farm.broker, farm.recorder).sweep()
    assert farm.plan(item).queue == GPU
