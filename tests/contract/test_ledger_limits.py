"""Both ledgers: what the dispatcher sends and the watcher takes back, under limits, windows and a destination that is away."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from common.errors import DestinationRefused, DestinationUnavailable, PolicyError, StoreFault, UnreadableSource
from common.orders import DeliverDone, Failure, TranscodeDone, WorkResult
from common.recipes import ARCHIVE
from common.stages import State
from orchestrator.breaker import AWAY_IN_A_ROW, pause_seconds
from orchestrator.dispatcher import dispatch
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import Attempt, Delivery, Destination, Item, Job, now
from orchestrator.limits import DestinationLimit, Doors, Gate, limit_destination, limit_queue
from orchestrator.recorder import Recorder
from orchestrator.watcher import Watcher

PACS, FOLDER = "dicom://PACS@archive:104", "/somewhere"
AWAY = Failure.of(DestinationUnavailable("away"))
NIGHTS = "Mon-Sun 20:00-06:00 UTC"
EVENING, NOON, DAWN = (datetime(2026, 11, 24, hour, tzinfo=UTC) for hour in (21, 12, 5))
DONE = TranscodeDone(
    instance_key="results/aa/x/instance.dcm", instance_digest="d", instance_bytes=1_000_000, study_uid="1.2", series_uid="1.3",
    sop_instance_uid="1.4", sop_class_uid="1.5", transfer_syntax_uid="1.6",
)  # fmt: skip


@dataclass
class Desk:
    """The orchestrator's parts under a clock that tests set."""

    ledger: Sessions
    broker: Any
    store: Any
    add_item: Callable[..., str]
    moment: datetime = field(default_factory=now)

    def dispatch(self, **options: Any) -> list[Any]:
        before = len(self.broker.sent)
        dispatch(self.ledger, self.broker, self.store, clock=lambda: self.moment, **options)
        return list(self.broker.sent[before:])

    def sweep(self) -> None:
        Watcher(self.ledger, self.broker, grace_seconds=5, max_attempts=3, clock=lambda: self.moment).sweep()

    def answer(self, order: Any, failure: Failure | None = None) -> None:
        done = None if failure else DeliverDone(location="a", proof="sha256")
        Recorder(self.ledger, self.store, max_attempts=3).record(
            WorkResult(
                order_id=order.order_id, item_id=order.item_id, attempt=order.attempt, worker="w", seconds=1.0,
                done=done, failure=failure,
            )
        )  # fmt: skip

    def produced(self, *destinations: str) -> str:
        """An item whose instance waits to be delivered."""
        item = self.add_item(state=State.PRODUCED, result=DONE.model_dump(mode="json"), plan=None)
        self.store.put(DONE.instance_key, b"x")
        past = datetime(2000, 1, 1, tzinfo=UTC)
        with self.ledger.begin() as session:
            session.get_one(Job, "job").destinations = [PACS, FOLDER]
            session.add_all(
                Delivery(item_id=item, job_id="job", destination=to, not_before=past) for to in destinations
            )
        return item

    def planned(self, seconds: float) -> str:
        """An item that waits to be encoded, for so many estimated seconds."""
        plan = {"queue": "cpu", "estimated_seconds": seconds, "path": "encode", "reason": "r", "sop_class_uid": "1.5"}
        plan |= {"transfer_syntax_uid": "1.6"}
        past = datetime(2000, 1, 1, tzinfo=UTC)
        return self.add_item(state=State.PLANNED, plan=plan, description=self.description, not_before=past)

    description: dict[str, Any] | None = None

    def job(self, **fields: Any) -> None:
        with self.ledger.begin() as session:
            for name, value in fields.items():
                setattr(session.get_one(Job, "job"), name, value)

    def limit(self, uri: str, **limit: Any) -> None:
        with self.ledger.begin() as session:
            limit_destination(session, uri, DestinationLimit(**limit))

    def row(self, uri: str) -> Destination:
        with self.ledger.begin() as session:
            return session.get_one(Destination, uri)

    def delivery(self, item: str) -> Delivery:
        with self.ledger.begin() as session:
            return session.scalars(select(Delivery).where(Delivery.item_id == item)).one()

    def attempt(self, order: Any) -> Attempt:
        with self.ledger.begin() as session:
            return session.get_one(Attempt, order.order_id)

    def make_due(self) -> None:
        """Every wait of an item and every pause of a destination is over now."""
        with self.ledger.begin() as session:
            for delivery in session.scalars(select(Delivery)):
                delivery.not_before = now() - timedelta(seconds=1)
            for row in session.scalars(select(Destination)):
                row.paused_until = row.paused_until and now() - timedelta(milliseconds=1)
        self.moment = now()


@pytest.fixture
def desk(ledger: Sessions, broker: Any, store: Any, add_item: Callable[..., str], description: Any) -> Desk:
    broker.offered = {"describe": 10, "cpu": 10, "deliver": 10}
    return Desk(ledger, broker, store, add_item, description=description.model_dump(mode="json"))


def destinations(orders: list[Any]) -> list[str]:
    return [order.destination for order in orders]


# ---- concurrency


def test_a_destination_gets_no_more_deliveries_at_a_time_than_it_takes(desk: Desk) -> None:
    desk.limit(PACS, concurrent=2)
    for _ in range(5):
        desk.produced(PACS)
    first = desk.dispatch()
    assert len(first) == 2
    assert desk.dispatch() == []
    desk.answer(first[0])
    assert len(desk.dispatch()) == 1


def test_a_full_destination_does_not_hold_up_the_others(desk: Desk) -> None:
    desk.limit(PACS, concurrent=1)
    for _ in range(30):
        desk.produced(PACS)
    for _ in range(5):
        desk.produced(FOLDER)
    assert sorted(destinations(desk.dispatch())) == [FOLDER] * 5 + [PACS]


def test_a_delivery_that_was_told_to_stop_holds_its_place_until_it_has(desk: Desk) -> None:
    desk.limit(PACS, concurrent=1)
    desk.produced(PACS)
    desk.produced(PACS)
    (order,) = desk.dispatch()
    desk.broker.take(order.order_id)
    desk.sweep()
    desk.job(paused=True, halted=True)
    desk.sweep()
    desk.job(paused=False, halted=False)
    assert desk.attempt(order).state == "stopping"
    assert desk.dispatch() == []


def test_a_queue_gets_no_more_orders_than_its_limit_whatever_the_slots(desk: Desk) -> None:
    for _ in range(8):
        desk.add_item(not_before=datetime(2000, 1, 1, tzinfo=UTC))
    with desk.ledger.begin() as session:
        limit_queue(session, "describe", 3)
    assert len(desk.dispatch()) == 3
    with desk.ledger.begin() as session:
        limit_queue(session, "describe", None)
    assert len(desk.dispatch()) == 5


def test_a_delivery_carries_the_rate_of_its_destination_and_who_shares_it(desk: Desk) -> None:
    desk.limit(PACS, concurrent=2, bytes_per_second=5_000_000)
    desk.produced(PACS)
    desk.produced(FOLDER)
    told = {order.destination: (order.bytes_per_second, order.sharers) for order in desk.dispatch()}
    assert told == {PACS: (5_000_000, 2), FOLDER: (None, 10)}


# ---- windows


def test_outside_its_window_a_job_sends_nothing(desk: Desk) -> None:
    desk.job(window=NIGHTS)
    desk.add_item(not_before=datetime(2000, 1, 1, tzinfo=UTC))
    desk.produced(FOLDER)
    desk.moment = NOON
    assert desk.dispatch() == []
    desk.moment = EVENING
    assert len(desk.dispatch()) == 2


def test_another_job_goes_on_meanwhile(desk: Desk) -> None:
    desk.job(window=NIGHTS)
    with desk.ledger.begin() as session:
        profile = ARCHIVE.model_dump(mode="json")
        session.add(Job(id="day", key="d", sources=[], destinations=[], profile=profile, audio="strip"))
    past = datetime(2000, 1, 1, tzinfo=UTC)
    desk.add_item(not_before=past)
    daily = desk.add_item(not_before=past, job_id="day")
    desk.moment = NOON
    assert [order.item_id for order in desk.dispatch()] == [daily]


def test_outside_a_destinations_window_its_deliveries_wait_and_others_go(desk: Desk) -> None:
    desk.limit(PACS, window=NIGHTS)
    desk.produced(PACS, FOLDER)
    desk.moment = NOON
    assert destinations(desk.dispatch()) == [FOLDER]
    desk.moment = EVENING
    assert destinations(desk.dispatch()) == [PACS]


@pytest.mark.parametrize(("policy", "stopped"), [("finish", False), ("stop", True)])
def test_what_runs_when_the_window_closes_ends_as_its_job_says(desk: Desk, policy: str, stopped: bool) -> None:
    desk.job(window=NIGHTS, window_policy=policy)
    item = desk.planned(60)
    desk.moment = DAWN
    (order,) = desk.dispatch()
    desk.broker.take(order.order_id)
    desk.sweep()
    assert desk.attempt(order).state == "running"
    desk.moment = NOON
    desk.sweep()
    assert (order.order_id in desk.broker.revoked) is stopped
    with desk.ledger.begin() as session:
        row = session.get_one(Item, item)
        assert (row.state, row.attempts) == ((State.PLANNED, 0) if stopped else (State.RUNNING, 1))


def test_an_order_that_nobody_has_begun_comes_back_when_the_window_closes(desk: Desk) -> None:
    desk.job(window=NIGHTS)
    item = desk.produced(PACS)
    desk.moment = DAWN
    (order,) = desk.dispatch()
    desk.moment = NOON
    desk.sweep()
    assert order.order_id in desk.broker.revoked
    assert (desk.delivery(item).state, desk.delivery(item).attempts) == ("pending", 0)
    desk.moment = EVENING
    assert len(desk.dispatch()) == 1


def test_an_order_that_would_pass_the_end_waits_for_the_next_window(desk: Desk) -> None:
    desk.job(window=NIGHTS)
    short, long = desk.planned(3000), desk.planned(2 * 3600)
    desk.moment = DAWN  # an hour is left
    assert [order.item_id for order in desk.dispatch()] == [short]
    desk.moment = EVENING
    assert [order.item_id for order in desk.dispatch()] == [long]


def test_an_estimate_may_pass_the_end_by_the_setting(desk: Desk) -> None:
    desk.job(window=NIGHTS)
    desk.planned(3600 + 500)
    desk.moment = DAWN
    assert desk.dispatch(overrun_seconds=400) == []
    assert len(desk.dispatch(overrun_seconds=600)) == 1


def test_work_that_is_stopped_at_the_end_may_begin_at_any_time(desk: Desk) -> None:
    desk.job(window=NIGHTS, window_policy="stop")
    desk.planned(2 * 3600)
    desk.moment = DAWN
    assert len(desk.dispatch()) == 1


def test_an_order_longer_than_every_window_begins_in_the_first_half_of_one(desk: Desk) -> None:
    desk.job(window=NIGHTS)
    desk.planned(20 * 3600)
    desk.moment = DAWN
    assert desk.dispatch() == []
    desk.moment = EVENING
    assert len(desk.dispatch()) == 1


def test_the_limit_in_bytes_per_second_tells_how_long_a_delivery_takes(desk: Desk) -> None:
    desk.limit(PACS, window=NIGHTS, bytes_per_second=200)  # 1,000,000 bytes: 5,000 s
    desk.produced(PACS)
    desk.moment = DAWN
    assert desk.dispatch() == []
    assert len(desk.dispatch(overrun_seconds=1500)) == 1


def test_a_window_that_is_not_understood_is_refused_before_it_is_stored(desk: Desk) -> None:
    with pytest.raises(PolicyError):
        desk.limit(PACS, window="at night")


# ---- patience and pauses


def test_a_patient_delivery_uses_up_no_try_while_the_archive_is_away(desk: Desk) -> None:
    desk.job(patience_seconds=86_400.0)
    item = desk.produced(PACS)
    for _ in range(10):
        desk.make_due()
        (order,) = desk.dispatch()
        desk.answer(order, AWAY)
    delivery = desk.delivery(item)
    assert (delivery.state, delivery.attempts) == ("pending", 0)
    assert delivery.waiting_since is not None
    desk.make_due()
    desk.answer(*desk.dispatch())
    assert desk.delivery(item).state == "delivered"
    assert desk.delivery(item).waiting_since is None


def test_patience_comes_to_an_end(desk: Desk) -> None:
    desk.job(patience_seconds=3600.0)
    item = desk.produced(PACS)
    desk.answer(*desk.dispatch(), AWAY)
    with desk.ledger.begin() as session:
        session.scalars(select(Delivery)).one().waiting_since = now() - timedelta(hours=2)
    desk.make_due()
    desk.answer(*desk.dispatch(), AWAY)
    assert desk.delivery(item).state == "failed"


def test_without_patience_a_delivery_fails_after_its_tries_and_no_pause_delays_it(desk: Desk) -> None:
    item = desk.produced(PACS)
    with desk.ledger.begin() as session:
        session.add(Destination(uri=PACS, away_in_a_row=9, paused_until=now() + timedelta(hours=1)))
    for _ in range(3):
        desk.moment = now() + timedelta(seconds=60)
        desk.answer(*desk.dispatch(), AWAY)
    assert desk.delivery(item).state == "failed"


def test_a_destination_away_several_times_in_a_row_is_paused_and_others_go_on(desk: Desk) -> None:
    desk.job(patience_seconds=86_400.0)
    for _ in range(AWAY_IN_A_ROW):
        desk.produced(PACS)
    for order in desk.dispatch():
        desk.answer(order, AWAY)
    desk.produced(PACS)
    desk.produced(FOLDER)
    assert destinations(desk.dispatch()) == [FOLDER]


def test_after_a_pause_one_probe_goes_out_and_its_answer_opens_the_destination(desk: Desk) -> None:
    desk.job(patience_seconds=86_400.0)
    for _ in range(AWAY_IN_A_ROW):
        desk.produced(PACS)
    for order in desk.dispatch():
        desk.answer(order, AWAY)
    desk.make_due()
    (probe,) = desk.dispatch()
    assert desk.dispatch() == []
    desk.answer(probe)
    assert len(desk.dispatch()) == AWAY_IN_A_ROW - 1


def test_a_probe_that_finds_nobody_doubles_the_pause(desk: Desk) -> None:
    desk.job(patience_seconds=86_400.0)
    for _ in range(AWAY_IN_A_ROW):
        desk.produced(PACS)
    for order in desk.dispatch():
        desk.answer(order, AWAY)
    desk.make_due()
    desk.answer(*desk.dispatch(), AWAY)
    row = desk.row(PACS)
    assert row.away_in_a_row == AWAY_IN_A_ROW + 1
    assert row.paused_until is not None
    assert row.paused_until - now() > timedelta(seconds=pause_seconds(AWAY_IN_A_ROW + 1) - 5)


def test_many_deliveries_that_were_out_together_count_as_one_pause(desk: Desk) -> None:
    desk.job(patience_seconds=86_400.0)
    for _ in range(10):
        desk.produced(PACS)
    for order in desk.dispatch():
        desk.answer(order, AWAY)
    assert desk.row(PACS).away_in_a_row == AWAY_IN_A_ROW


def test_orders_that_wait_in_the_queue_for_a_paused_destination_come_back(desk: Desk) -> None:
    desk.job(patience_seconds=86_400.0)
    for _ in range(AWAY_IN_A_ROW + 2):
        desk.produced(PACS)
    orders = desk.dispatch()
    for order in orders[:AWAY_IN_A_ROW]:
        desk.answer(order, AWAY)
    desk.moment = now()
    desk.sweep()
    assert desk.broker.revoked == {order.order_id for order in orders[AWAY_IN_A_ROW:]}


def test_an_archive_that_refuses_has_answered(desk: Desk) -> None:
    desk.job(patience_seconds=86_400.0)
    for _ in range(AWAY_IN_A_ROW):
        desk.produced(PACS)
    orders = desk.dispatch()
    for order in orders[:-1]:
        desk.answer(order, AWAY)
    desk.answer(orders[-1], Failure.of(DestinationRefused("no")))
    assert desk.row(PACS).away_in_a_row == 0


def test_an_item_waits_for_a_store_that_is_away(desk: Desk) -> None:
    desk.job(patience_seconds=86_400.0)
    item = desk.add_item()
    for _ in range(5):
        desk.moment = now() + timedelta(hours=1)
        desk.answer(*desk.dispatch(), Failure.of(StoreFault("away")))
    with desk.ledger.begin() as session:
        assert (session.get_one(Item, item).state, session.get_one(Item, item).attempts) == (State.FOUND, 0)
    desk.moment = now() + timedelta(hours=1)
    desk.answer(*desk.dispatch(), Failure.of(UnreadableSource("broken")))
    with desk.ledger.begin() as session:
        assert session.get_one(Item, item).waiting_since is None


def test_why_a_job_waits_is_said_in_words(desk: Desk) -> None:
    desk.produced(PACS)
    desk.job(window=NIGHTS, patience_seconds=86_400.0)
    desk.limit(FOLDER, window=NIGHTS)
    with desk.ledger.begin() as session:
        session.add(Destination(uri=PACS, away_in_a_row=9, paused_until=NOON + timedelta(minutes=5)))
    with desk.ledger.begin() as session:
        said = Doors(session, Gate(NOON)).waits(session.get_one(Job, "job"))
        later = Doors(session, Gate(EVENING)).waits(session.get_one(Job, "job"))
    assert said == (
        "the job is outside its time window, which opens at 2026-11-24 20:00 UTC",
        f"{FOLDER} is outside its time window, which opens at 2026-11-24 20:00 UTC",
        f"{PACS} is away; the next try is at 2026-11-24 12:05 UTC",
    )
    assert later == ()


def test_replicas_that_dispatch_together_keep_a_destinations_limit(desk: Desk) -> None:
    desk.limit(PACS, concurrent=3)
    for _ in range(12):
        desk.produced(PACS)
    with ThreadPoolExecutor(4) as replicas:
        list(replicas.map(lambda _: dispatch(desk.ledger, desk.broker, desk.store), range(12)))
    assert len(desk.broker.sent) == 3
