"""When a long video is cut, and its chunks' way through the ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from support.core import Farm, made

from common.errors import Actor
from common.media import Description
from common.orders import (
    AssembleOrder,
    ChunkDone,
    ChunkOrder,
    Failure,
    Part,
    Path,
    Plan,
    SplitDone,
    SplitOrder,
    Verdict,
)
from common.recipes import ARCHIVE, REVIEW
from common.stages import State
from orchestrator import work
from orchestrator.chunk_policy import REACH, Policy, chunks_for, finer_rung, narrowed, next_recipe
from orchestrator.dispatcher import dispatch
from orchestrator.ledger.schema import Attempt, Chunk
from orchestrator.planner import plan as planned
from orchestrator.reconciler import delete_orphans, recover_attempts

POLICY = Policy(after_seconds=1, chunk_seconds=0.1)
FRAMES = 1000


def long_plan(**changes: Any) -> Plan:
    recipe = ARCHIVE.ladder[0]
    values: dict[str, Any] = {
        "path": Path.ENCODE,
        "reason": "a test",
        "sop_class_uid": "1.5",
        "transfer_syntax_uid": recipe.transfer_syntax_uid,
        "recipe": recipe,
        "gate": ARCHIVE.gate,
        "rungs": 4,
        "estimated_seconds": 1200.0,
    }
    return Plan(**(values | changes))


@pytest.mark.parametrize(
    ("changes", "frames", "idle", "policy", "expected"),
    [
        ({}, 100_000, 2, Policy(), 4),  # two chunks a slot
        ({}, 100_000, 100, Policy(), 20),  # none shorter than a minute of work
        ({}, 350, 8, Policy(), 3),  # none shorter than a hundred frames
        ({}, 100_000, 1, Policy(), 0),  # nobody is idle
        ({"estimated_seconds": 299.0}, 100_000, 8, Policy(), 0),  # too short to pay
        ({}, 100_000, 8, Policy(after_seconds=0), 0),  # switched off
        ({"path": Path.REWRAP, "recipe": None}, 100_000, 8, Policy(), 0),
        ({"recipe": ARCHIVE.ladder[0].model_copy(update={"encoder": "libx265"})}, 100_000, 8, Policy(), 0),
    ],
)
def test_a_video_is_cut_where_idle_slots_make_it_pay(
    changes: dict[str, Any], frames: int, idle: int, policy: Policy, expected: int
) -> None:
    assert chunks_for(long_plan(**changes), frames, idle, policy) == expected


def test_a_chunk_climbs_to_its_own_encoder_s_next_rung_and_stops_at_the_top() -> None:
    recipes = [next_recipe(ARCHIVE, ARCHIVE.ladder[0], rung) for rung in range(5)]
    assert [recipe and recipe.crf for recipe in recipes] == [18, 13, 8, 3, None]


def test_cuts_change_the_address_and_the_uid_and_nothing_else_does(description: Description) -> None:
    plan = long_plan()
    whole, cut, again = (work.work_digest(plan, cuts) for cuts in ((), (0, 500), (0, 500)))
    assert whole == work.work_digest(plan) != cut == again
    uids = {work.instance_uid(description, "h", plan, cuts) for cuts in ((), (0, 500), (0, 400))}
    assert len(uids) == 3


def test_a_chunk_is_addressed_by_source_range_and_recipe() -> None:
    plan, better = long_plan(), long_plan(recipe=ARCHIVE.ladder[1])
    parts = [Part(first=first, last=500, total=1000) for first in (0, 100)]
    keys = {work.chunk_prefix("ab" * 32, one, part) for one in (plan, better) for part in parts}
    assert len(keys) == 4
    assert all(key.startswith(f"chunks/ab/{'ab' * 32}/") for key in keys)


class Long:
    """One long video in the ledger, and a worker's answers."""

    def __init__(self, farm: Farm, add_item: Callable[..., str], description: Description) -> None:
        self.farm = farm
        video = description.video.model_copy(update={"frame_count": FRAMES, "duration_ms": 40_000})
        self.description = description.model_copy(update={"video": video, "container": "matroska"})
        made_plan = planned(self.description, ARCHIVE, modality="ES")
        self.item = add_item(
            state=State.PLANNED,
            digest=self.description.digest,
            description=self.description.model_dump(mode="json"),
            plan=made_plan.model_dump(mode="json"),
        )

    def send(self, policy: Policy = POLICY) -> list[Any]:
        """One turn; the orders that went out."""
        before = len(self.farm.broker.sent)
        dispatch(self.farm.ledger, self.farm.broker, self.farm.store, chunks=policy)
        return list(self.farm.broker.sent[before:])

    def split(self, *firsts: int, quality: int | None = None) -> None:
        """Up to the chunks: the cuts are found, and the item is laid out."""
        (order,) = self.send()
        assert isinstance(order, SplitOrder)
        ends = (*firsts[1:], FRAMES)
        parts = tuple(Part(first=a, last=b, total=FRAMES) for a, b in zip(firsts, ends, strict=True))
        self.farm.answer(order, SplitDone(parts=parts, quality=quality))
        assert self.send() == []

    def done(self, order: ChunkOrder, *, passed: bool = True) -> None:
        self.farm.store.put(f"{order.output_prefix}/stream.nut", b"x")
        answer = ChunkDone(
            output_prefix=order.output_prefix, frames=order.part.frames, stream_bytes=1, stream_digest="d",
            verdict=Verdict(passed=passed), scores={},
        )  # fmt: skip
        self.farm.answer(order, answer)

    def assembly(self) -> AssembleOrder:
        (order,) = self.send()
        assert isinstance(order, AssembleOrder)
        return order

    def chunks(self) -> list[Chunk]:
        with self.farm.ledger.begin() as session:
            return list(session.scalars(select(Chunk).order_by(Chunk.first)))

    @property
    def state(self) -> State:
        return self.farm.item(self.item).state


@pytest.fixture
def long(farm: Farm, add_item: Callable[..., str], description: Description) -> Long:
    return Long(farm, add_item, description)


def failure(code: str = "ProgramFailed", actor: Actor = Actor.ENVIRONMENT, *, retryable: bool = True) -> Failure:
    return Failure(code=code, actor=actor, retryable=retryable, message="it broke")


def test_the_longest_chunk_goes_out_first_and_one_assembly_ends_it(long: Long) -> None:
    long.split(0, 200, 700)
    orders = long.send()
    assert [order.part.frames for order in orders] == [500, 300, 200]
    for order in orders:
        assert order.plan.recipe.threads == 1
        long.done(order)
    order = long.assembly()
    assert [ref.part.first for ref in order.chunks] == [0, 200, 700]
    assert order.transcode.output_prefix.startswith("results/")
    assert long.send() == []
    long.farm.answer(order, made())
    assert long.state is State.PRODUCED
    assert long.chunks() == []
    assert list(long.farm.store.keys("chunks/")) == []


def test_chunks_look_for_their_number_near_the_whole_video_s_and_so_near_each_other(long: Long) -> None:
    long.split(0, 200, 700, quality=24)
    orders = long.send()
    searches = {order.plan.recipe.search for order in orders}
    assert len(searches) == 1  # whichever is done first: same cuts, same bytes
    (search,) = searches
    assert (search.finest, search.start, search.coarsest) == (24 - REACH, 24, 24 + REACH)
    for order in orders:
        long.done(order)
    assert long.assembly().transcode.plan.recipe == orders[0].plan.recipe


def test_without_a_number_of_the_whole_chunks_take_their_rung_s(long: Long) -> None:
    long.split(0, 500)
    assert [(order.plan.recipe.search, order.plan.recipe.crf) for order in long.send()] == [(None, 18)] * 2


@given(st.integers(10, 36))
def test_a_chunk_never_leaves_the_bounds_of_its_recipe(number: int) -> None:
    search = ARCHIVE.ladder[0].search
    near = narrowed(search, number)
    assert search is not None
    assert near is not None
    assert search.finest <= near.finest <= near.start <= near.coarsest <= search.coarsest
    assert near.coarsest - near.finest <= 2 * REACH


def test_a_video_stays_whole_while_others_want_the_slots(
    farm: Farm, add_item: Callable[..., str], description: Description
) -> None:
    first = Long(farm, add_item, description)
    Long(farm, add_item, description)
    assert [order.kind for order in first.send()] == ["transcode", "transcode"]


def test_a_video_that_cannot_be_cut_is_encoded_whole_and_not_asked_again(long: Long) -> None:
    (order,) = long.send()
    long.farm.answer(order, SplitDone(reason="no key frame to cut at"))
    assert [order.kind for order in long.send()] == ["transcode"]


def test_a_split_that_fails_for_good_leaves_the_video_whole(long: Long) -> None:
    (order,) = long.send()
    long.farm.answer(order, failure=failure("UnreadableSource", Actor.INPUT, retryable=False))
    assert [order.kind for order in long.send()] == ["transcode"]


def test_only_the_chunk_that_missed_the_gate_climbs(long: Long) -> None:
    long.split(0, 500)
    first, second = long.send()
    long.done(first, passed=False)
    long.done(second)
    (again,) = long.send()
    assert (again.part, again.plan.rung, again.plan.recipe.crf) == (first.part, 1, 13)
    assert again.output_prefix != first.output_prefix
    long.done(again)
    assert sorted(ref.rung for ref in long.assembly().chunks) == [0, 1]


def test_at_the_top_of_the_ladder_the_whole_is_judged(long: Long) -> None:
    long.split(0, 500)
    first, second = long.send()
    long.done(second)
    for _ in range(3):
        long.done(first, passed=False)
        (first,) = long.send()
    long.done(first, passed=False)
    order = long.assembly()
    long.farm.answer(order, made(passed=False, misses=("vmaf p1",)))
    assert long.state is State.PLANNED


def test_a_whole_that_misses_the_gate_lifts_the_chunks_that_are_below_its_next_rung(long: Long) -> None:
    long.split(0, 500)
    first, second = long.send()
    long.done(first, passed=False)
    long.done(second)
    (again,) = long.send()
    long.done(again)
    long.farm.answer(long.assembly(), made(passed=False, misses=("vmaf p1",)))
    assert long.send() == []  # laid out again
    (lifted,) = long.send()
    assert (lifted.part, lifted.plan.rung) == (second.part, 1)


def test_a_dead_worker_s_chunk_goes_out_again_alone(long: Long) -> None:
    long.split(0, 500)
    first, second = long.send()
    for order in (first, second):
        long.farm.broker.take(order.order_id)
    long.farm.watcher.sweep()
    del long.farm.broker.leases[first.order_id]
    long.farm.age(first.order_id, 60)
    long.farm.watcher.sweep()
    assert long.state is State.RUNNING
    (again,) = long.send()
    assert (again.part, again.attempt) == (first.part, 2)


def test_a_late_answer_of_a_lost_chunk_changes_nothing(long: Long) -> None:
    long.split(0, 500)
    first, _ = long.send()
    long.farm.broker.take(first.order_id)
    long.farm.watcher.sweep()
    long.farm.broker.flush()
    long.farm.age(first.order_id, 60)
    long.farm.watcher.sweep()
    long.done(first)
    assert [chunk.state for chunk in long.chunks()] == ["ready", "out"]


def test_a_chunk_whose_workers_die_again_and_again_sets_the_item_aside(long: Long) -> None:
    long.split(0, 500)
    orders = long.send()
    for _ in range(3):
        order = next(order for order in orders if order.part.first == 0)
        long.farm.broker.take(order.order_id)
        long.farm.watcher.sweep()
        del long.farm.broker.leases[order.order_id]
        long.farm.age(order.order_id, 60)
        long.farm.watcher.sweep()
        orders = long.send()
    assert long.state is State.FAILED


def test_a_chunk_that_fails_is_tried_again_and_the_others_go_on(long: Long) -> None:
    long.split(0, 500)
    first, second = long.send()
    long.farm.answer(first, failure=failure())
    long.done(second)
    assert [chunk.state for chunk in long.chunks()] == ["ready", "done"]
    assert long.state is State.QUEUED


def test_a_source_that_is_not_what_its_index_says_is_encoded_whole(long: Long) -> None:
    long.split(0, 500)
    first, second = long.send()
    long.farm.answer(first, failure=failure("UnreadableSource", Actor.INPUT, retryable=False))
    assert long.chunks() == []
    with long.farm.ledger.begin() as session:
        assert session.get_one(Attempt, second.order_id).state == "stopping"
    assert [order.kind for order in long.send()] == ["transcode"]


def test_chunks_that_do_not_fit_together_are_dropped_for_a_whole_encode(long: Long) -> None:
    long.split(0, 500)
    for order in long.send():
        long.done(order)
    long.farm.answer(long.assembly(), failure=failure("ConformanceBroken", Actor.US, retryable=False))
    assert list(long.farm.store.keys("chunks/")) == []
    assert [order.kind for order in long.send()] == ["transcode"]


def test_a_chunk_that_the_store_lost_is_made_again(long: Long) -> None:
    long.split(0, 500)
    orders = long.send()
    for order in orders:
        long.done(order)
    assembly = long.assembly()
    long.farm.store.delete(f"{orders[0].output_prefix}/stream.nut")
    long.farm.answer(assembly, failure=failure("StoreFault"))
    assert sorted(chunk.state for chunk in long.chunks()) == ["done", "ready"]


def test_a_farm_that_was_stopped_goes_on_with_the_chunks_that_are_missing(long: Long) -> None:
    long.split(0, 500)
    first, second = long.send()
    long.done(first)
    recover_attempts(long.farm.ledger)
    again = [order for _ in range(2) for order in long.send()]
    assert [(order.part, order.attempt) for order in again] == [(second.part, 1)]


def test_chunks_of_a_cancelled_item_are_orphans(long: Long) -> None:
    long.split(0, 500)
    long.done(long.send()[0])
    with long.farm.ledger.begin() as session:
        from orchestrator.ledger.schema import Item

        session.get_one(Item, long.item).state = State.CANCELLED
    assert delete_orphans(long.farm.ledger, long.farm.store) == 1
    assert list(long.farm.store.keys("chunks/")) == []


def test_switched_off_nothing_is_cut(long: Long) -> None:
    assert [order.kind for order in long.send(replace(POLICY, after_seconds=0))] == ["transcode"]


@pytest.mark.parametrize(("missed", "rung"), [(None, 1), (24, 1), (20, 1), (18, 2), (12, 2)])
def test_after_a_number_that_missed_no_coarser_one_is_tried(missed: int | None, rung: int) -> None:
    """The review profile's rungs are 23, 19 and 15; the last is always tried."""
    given = long_plan(recipe=REVIEW.ladder[0], rungs=len(REVIEW.ladder))
    assert finer_rung(REVIEW, given, missed) == rung
