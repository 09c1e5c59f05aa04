"""What the orchestrator promises, on both ledgers: nothing lost, nothing twice, and steering takes effect at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, insert, select, text
from support.core import GRACE_SECONDS, Farm, made
from support.postgres import PostgresServer

from common.errors import PolicyError, ProgramFailed, StoreFault, UnreadableSource
from common.leases import Lease
from common.media import Description
from common.orders import DeliverDone, DescribeDone, Failure
from common.stages import State
from orchestrator import control
from orchestrator.ledger.database import MIGRATIONS, Sessions, make_engine, open_ledger
from orchestrator.ledger.schema import Attempt, Base, Delivery, Item, Job, now
from orchestrator.window import PER_SLOT


def test_the_window_holds_two_orders_a_slot_and_the_rest_stays_in_the_ledger(
    farm: Farm, add_item: Callable[..., str]
) -> None:
    for _ in range(20):
        add_item()
    assert farm.dispatch() == PER_SLOT * 2
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


def kill_worker(farm: Farm, order: Any) -> None:
    """Its lease lapses, and the watcher notices."""
    farm.broker.take(order.order_id)
    farm.watcher.sweep()
    del farm.broker.leases[order.order_id]
    farm.age(order.order_id, GRACE_SECONDS + 1)
    farm.watcher.sweep()


def test_redelivered_messages_count_as_the_one_attempt_that_they_are(farm: Farm, add_item: Callable[..., str]) -> None:
    item = add_item()
    farm.dispatch()
    for _ in range(5):  # the broker loses its queue again and again
        farm.broker.flush()
        farm.age(farm.broker.sent[-1].order_id, GRACE_SECONDS + 1)
        farm.watcher.sweep()
    assert len(farm.broker.sent) == 6
    assert farm.item(item).attempts == 1
    for _ in range(3):
        kill_worker(farm, farm.broker.sent[-1])
        farm.dispatch()
    assert farm.item(item).state is State.FAILED
    assert [order.attempt for order in farm.broker.sent[-3:]] == [1, 2, 3]


def test_a_set_aside_delivery_lets_the_other_destinations_finish(
    farm: Farm, add_item: Callable[..., str], description: Description
) -> None:
    with farm.ledger.begin() as session:
        session.get_one(Job, "job").destinations = ["/a", "/b"]
    item = add_item()
    farm.answer(planned(farm, description), made())
    farm.dispatch()
    good, *_ = [order for order in farm.broker.sent if order.kind == "deliver"]
    for _ in range(3):
        bad = next(o for o in reversed(farm.broker.sent) if o.kind == "deliver" and o.destination != good.destination)
        kill_worker(farm, bad)
        farm.broker.leases[good.order_id] = Lease(worker="w", fraction=None)
        farm.dispatch()
    assert farm.item(item).state is State.PRODUCED
    farm.answer(good, DeliverDone(location="x", proof="sha256"))
    assert farm.item(item).state is State.FAILED


def test_a_more_urgent_job_goes_first_from_the_next_order_on(farm: Farm, add_item: Callable[..., str]) -> None:
    add_item()
    with farm.ledger.begin() as session:
        first = session.get_one(Job, "job")
        fields = {"sources": [], "destinations": [], "profile": first.profile, "audio": "strip"}
        session.add(Job(id="urgent", key="k2", **fields))
    urgent = add_item(job_id="urgent")
    control.set_priority(farm.ledger, "urgent", 5)
    farm.broker.offered = {"describe": 1}
    farm.dispatch()
    assert farm.broker.sent[0].item_id == urgent


def test_a_paused_job_sends_nothing_and_takes_back_what_no_worker_has_begun(
    farm: Farm, add_item: Callable[..., str]
) -> None:
    begun, waiting, backlog = add_item(), add_item(), add_item()
    farm.broker.offered = {"describe": 1}
    farm.dispatch()
    running, queued = farm.broker.sent
    assert {running.item_id, queued.item_id} == {begun, waiting}
    farm.broker.take(running.order_id)
    control.pause(farm.ledger, "job")
    farm.watcher.sweep()
    assert farm.broker.revoked == {queued.order_id}
    assert farm.dispatch() == 0
    assert [farm.item(item).attempts for item in (begun, waiting, backlog)] == [1, 0, 0]
    control.resume(farm.ledger, "job")
    farm.watcher.sweep()
    farm.dispatch()
    assert farm.broker.sent[-1].item_id == waiting


def test_a_job_paused_at_once_stops_what_runs_and_blames_nobody(
    farm: Farm, add_item: Callable[..., str], description: Description
) -> None:
    item = add_item()
    order = planned(farm, description)
    farm.broker.take(order.order_id)
    farm.watcher.sweep()
    assert farm.item(item).state is State.RUNNING
    control.pause(farm.ledger, "job", stop_running=True)
    farm.watcher.sweep()
    assert order.order_id in farm.broker.revoked
    assert (farm.item(item).state, farm.item(item).attempts) == (State.PLANNED, 0)
    farm.answer(order, made())  # it ended in this very moment: nobody waits for it any more
    assert farm.item(item).state is State.PLANNED


def test_a_cancelled_job_ends_and_what_runs_is_stopped(
    farm: Farm, add_item: Callable[..., str], description: Description
) -> None:
    running, waiting = add_item(), add_item()
    done = add_item(state=State.DONE)
    farm.broker.offered = {"describe": 1, "cpu": 1}
    order = planned(farm, description)
    farm.broker.take(order.order_id)
    assert control.cancel(farm.ledger, "job") == 2
    farm.watcher.sweep()
    assert order.order_id in farm.broker.revoked
    assert farm.dispatch() == 0
    farm.answer(order, made())
    assert [farm.item(item).state for item in (running, waiting)] == [State.CANCELLED] * 2
    assert farm.item(done).state is State.DONE


def test_a_stopped_attempt_is_told_again_after_a_flush_until_its_lease_is_gone(
    farm: Farm, add_item: Callable[..., str]
) -> None:
    add_item()
    farm.dispatch()
    order = farm.broker.sent[-1]
    farm.broker.take(order.order_id)
    control.cancel(farm.ledger, "job")
    farm.watcher.sweep()
    farm.broker.revoked.clear()  # FLUSHALL; the worker writes its lease anew
    farm.watcher.sweep()
    assert order.order_id in farm.broker.revoked
    farm.broker.leases.clear()
    with farm.ledger.begin() as session:
        session.get_one(Attempt, order.order_id).ended_at = now() - timedelta(hours=1)
    farm.watcher.sweep()
    with farm.ledger() as session:
        assert session.get_one(Attempt, order.order_id).state == "stopped"


def test_retry_starts_failed_and_cancelled_items_again_and_quarantined_ones_only_when_asked(
    farm: Farm, add_item: Callable[..., str]
) -> None:
    ends = [State.FAILED, State.CANCELLED, State.QUARANTINED, State.DONE]
    items = [add_item(state=state, plan={"queue": "cpu"}, attempts=3) for state in ends]
    control.cancel(farm.ledger, "job")
    assert control.retry(farm.ledger, "job") == 2
    assert [farm.item(item).state for item in items] == [State.FOUND, State.FOUND, *ends[2:]]
    assert control.retry(farm.ledger, "job", quarantined=True) == 1
    assert farm.dispatch() == 3
    assert {farm.item(item).plan for item in items[:3]} == {None}


def test_jobs_are_found_by_id_its_beginning_and_their_name(ledger: Sessions, job: str) -> None:
    with ledger.begin() as session:
        session.get_one(Job, job).name = "endoscopy"
    with ledger() as session:
        assert {control.find_job(session, text).id for text in ("job", "jo", "endoscopy")} == {"job"}
        for unknown in ("", "%", "x"):
            with pytest.raises(PolicyError, match="no such job"):
                control.find_job(session, unknown)


def test_a_result_that_breaks_a_rule_fails_its_item_and_not_the_orchestrator(
    farm: Farm, add_item: Callable[..., str], description: Description
) -> None:
    item = add_item()
    order = planned(farm, description)
    with farm.ledger.begin() as session:
        session.get_one(Item, item).plan = {"queue": "cpu"}  # not a plan
    farm.answer(order, made())
    assert farm.item(item).state is State.FAILED
    assert "recording a result broke" in farm.item(item).reason


def test_an_instance_that_the_store_lost_before_delivery_is_made_again(
    farm: Farm, add_item: Callable[..., str], description: Description
) -> None:
    item = add_item()
    farm.answer(planned(farm, description), made())
    farm.dispatch()
    lost = farm.broker.sent[-1]
    assert lost.kind == "deliver"
    farm.answer(lost, failure=Failure.of(StoreFault("no such object")))
    assert farm.item(item).state is State.PLANNED
    farm.dispatch()
    farm.answer(farm.broker.sent[-1], made())
    farm.dispatch()
    farm.answer(farm.broker.sent[-1], DeliverDone(location="x", proof="sha256"))
    assert farm.item(item).state is State.DONE


def test_text_that_a_database_cannot_hold_is_made_storable(farm: Farm, add_item: Callable[..., str]) -> None:
    item = add_item()
    farm.dispatch()
    farm.answer(farm.broker.sent[-1], failure=Failure.of(UnreadableSource("words \0 of a broken file")))
    assert farm.item(item).reason == "words \N{REPLACEMENT CHARACTER} of a broken file"


def test_times_come_back_as_they_went_in(farm: Farm, add_item: Callable[..., str]) -> None:
    moment = datetime(2026, 3, 29, 2, 30, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    item = add_item(not_before=moment)
    assert farm.item(item).not_before == moment
    assert farm.item(item).not_before.tzinfo is UTC


def test_the_migrated_schema_is_the_one_that_the_code_knows(ledger: Sessions) -> None:
    with ledger.kw["bind"].connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


@pytest.mark.peer("postgres")
def test_postgresql_vacuums_the_tables_of_a_large_job_early(postgres: PostgresServer) -> None:
    early = "SELECT relname FROM pg_class WHERE 'autovacuum_vacuum_scale_factor=0.02' = ANY (reloptions)"
    with open_ledger(postgres.new_schema())() as session:
        assert set(session.scalars(text(early))) == {"items", "attempts", "deliveries"}


def test_a_ledger_of_the_first_release_keeps_its_items_and_finds_their_queues(ledger_url: str) -> None:
    engine = make_engine(ledger_url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        old = MetaData()
        old.reflect(connection)
        moment = now()
        job = {"id": "j", "key": "k", "created_at": moment, "audio": "strip", "priority": 0, "paused": False}
        connection.execute(insert(old.tables["jobs"]), job | {"sources": [], "destinations": [], "profile": {}})
        times = {"not_before": moment, "updated_at": moment}
        item = {"job_id": "j", "number": 1, "name": "n", "size_bytes": 1, "mtime_ns": 1, "reason": "", "attempts": 0}
        rows = [("a", "found", None), ("b", "planned", {"queue": "cpu"})]
        for name, state, found in rows:
            values = item | times | {"id": name, "source": name, "state": state, "plan": found, "work_seconds": 0.0}
            connection.execute(insert(old.tables["items"]), values)
    engine.dispose()
    with open_ledger(ledger_url)() as session:
        assert {item.id: item.queue for item in session.scalars(select(Item))} == {"a": "describe", "b": "cpu"}
        assert session.get_one(Job, "j").listing == "listed"
