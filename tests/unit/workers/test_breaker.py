"""The circuit breaker, the pulse and the judgement of outcomes: pure, with a clock that the test turns."""

from __future__ import annotations

import os

import pytest

from common.errors import (
    CinefarmError,
    DestinationUnavailable,
    InternalFault,
    LeaseLost,
    NoLegalPath,
    ProgramFailed,
    ResourceLimit,
    StoreFault,
    UnreadableSource,
)
from common.orders import DeliverDone, Failure, WorkResult
from workers.breaker import Breaker
from workers.pulse import Pulse
from workers.wire import Event, Outcome, What, Wire, outcome_of

CLOSED = Breaker(threshold=3, first_pause=60.0, longest_pause=200.0)


def opened(now: float = 0.0) -> Breaker:
    return CLOSED.bad("a", now).bad("b", now).bad("c", now)


def test_failures_of_different_items_in_a_row_open_it() -> None:
    assert CLOSED.bad("a", 0).bad("b", 0).in_service
    assert not opened().in_service


def test_a_good_order_between_them_starts_the_count_anew() -> None:
    assert CLOSED.bad("a", 0).bad("b", 0).good().bad("c", 0).bad("d", 0).in_service


def test_one_item_that_fails_again_and_again_is_no_proof_against_the_node() -> None:
    breaker = CLOSED
    for _ in range(9):
        breaker = breaker.bad("poison", 0)
    assert breaker.in_service


def test_it_asks_for_the_self_test_after_the_pause() -> None:
    assert not opened(100.0).due(159.9)
    assert opened(100.0).due(160.0)


def test_a_passed_self_test_brings_it_back_on_trial_and_one_failure_opens_it_for_twice_as_long() -> None:
    trial = opened(0.0).tested(passed=True, now=60.0)
    assert trial.in_service
    again = trial.bad("d", 70.0)
    assert not again.in_service
    assert not again.due(70.0 + 119.9)
    assert again.due(70.0 + 120.0)


def test_a_good_order_on_trial_closes_it_and_forgets_the_past() -> None:
    closed = opened(0.0).tested(passed=True, now=60.0).good()
    assert closed == CLOSED
    assert closed.bad("d", 0).in_service


def test_a_failed_self_test_waits_longer_each_time_up_to_the_longest_pause() -> None:
    breaker, now, pauses = opened(0.0), 0.0, []
    for _ in range(4):
        assert breaker.test_at is not None
        pauses.append(breaker.test_at - now)
        now = breaker.test_at
        breaker = breaker.tested(passed=False, now=now)
    assert pauses == [60.0, 120.0, 200.0, 200.0]


def test_orders_that_end_while_it_is_open_change_neither_state_nor_pause() -> None:
    before = opened(0.0)
    assert not before.good().in_service
    assert before.bad("d", 50.0).test_at == before.test_at


def test_a_node_that_nobody_can_relieve_stays_and_counts_anew() -> None:
    spared = CLOSED.bad("a", 0).bad("b", 0).spared()
    assert spared.in_service
    assert spared.bad("c", 0).bad("d", 0).in_service
    assert not spared.bad("c", 0).bad("d", 0).bad("e", 0).in_service


def result(error: CinefarmError | None) -> WorkResult:
    done = DeliverDone(location="x", proof="sha256") if error is None else None
    failure = Failure.of(error) if error else None
    return WorkResult(order_id="o", item_id="i", attempt=1, worker="w", seconds=1.0, done=done, failure=failure)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, Outcome.GOOD),
        (ProgramFailed("ffmpeg", ["ffmpeg"], 1, ""), Outcome.BAD),
        (StoreFault("no room"), Outcome.BAD),
        (InternalFault("a bug"), Outcome.BAD),
        (UnreadableSource("a broken file"), Outcome.NEUTRAL),
        (NoLegalPath("a job that cannot be"), Outcome.NEUTRAL),
        (DestinationUnavailable("the archive is away"), Outcome.NEUTRAL),
        (ResourceLimit("a bomb"), Outcome.NEUTRAL),
        (LeaseLost("given to another"), Outcome.NEUTRAL),
    ],
)
def test_only_failures_that_are_the_nodes_own_count_against_it(error: CinefarmError | None, outcome: Outcome) -> None:
    assert outcome_of(result(error)) is outcome


def test_an_order_that_was_dropped_or_handed_back_says_nothing_about_the_node() -> None:
    assert outcome_of(None) is Outcome.NEUTRAL


def test_events_cross_the_wire_whole_and_in_order() -> None:
    wire = Wire()
    said = [Event(What.TAKEN, 7, "o1", "i1"), Event(What.ENDED, 7, "o1", "i1", Outcome.BAD), Event(What.PROBED, 8)]
    for event in said:
        wire.say(event)
    assert wire.hear(0) == said
    assert wire.hear(0) == []


def test_a_wire_that_nobody_reads_does_not_stop_the_work() -> None:
    wire = Wire()
    for number in range(50_000):
        wire.say(Event(What.PROBED, number))
    heard = wire.hear(0)
    assert 0 < len(heard) < 50_000
    assert [event.pid for event in heard] == list(range(len(heard)))


def test_what_a_forked_process_says_is_heard() -> None:
    wire = Wire()
    pid = os.fork()
    if pid == 0:
        wire.say(Event(What.PROBED, os.getpid()))
        os._exit(0)
    os.waitpid(pid, 0)
    assert [event.pid for event in wire.hear(1)] == [pid]


PULSE = Pulse(interval=10.0, patience=30.0)


def test_probe_orders_are_due_at_once_and_then_at_their_interval() -> None:
    assert PULSE.due(0)
    assert not PULSE.sent(0).due(9.9)
    assert PULSE.sent(0).due(10)


def test_a_probe_order_that_nobody_takes_means_stuck() -> None:
    assert not PULSE.sent(0).stuck(30)
    assert PULSE.sent(0).sent(10).sent(20).stuck(30.1)


def test_any_order_that_was_taken_clears_it() -> None:
    assert not PULSE.sent(0).taken().stuck(100)


def test_busy_slots_and_a_broker_that_is_away_are_an_excuse() -> None:
    excused = PULSE.sent(0).excused(29)
    assert not excused.stuck(60)
    assert not excused.due(38)
