"""Leases, the door to the broker and one attempt, on a real Redis-compatible server."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from redis import Redis
from support.server import redis_server

from common import queues
from common.errors import LeaseLost, StoreFault
from common.farm import make_app
from common.leases import Claim, Leases, WorkerInfo, advertise, connect, live_workers, withdraw
from common.orders import DeliverDone, DescribeOrder, Failure, WorkResult
from common.settings import Settings
from orchestrator.broker import CeleryBroker
from orchestrator.inbox import AT_ONCE, Inbox
from workers.attempt import Attempt, Done, Keeper, Order, perform

ORDER = DescribeOrder(order_id="o1", item_id="i1", attempt=1, source_key="sources/i1")
DONE = DeliverDone(location="x", proof="sha256")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with redis_server() as address:
        yield address


@pytest.fixture
def redis(url: str) -> Redis:
    client = connect(url)
    client.flushall()
    return client


@pytest.fixture
def leases(redis: Redis) -> Leases:
    return Leases(redis, ttl_seconds=0.6)


@pytest.fixture
def broker(url: str, redis: Redis, leases: Leases) -> Iterator[CeleryBroker]:
    with CeleryBroker(make_app(Settings(broker_url=url)), redis, leases) as door:
        yield door


def result(order_id: str = "o1") -> WorkResult:
    return WorkResult(order_id=order_id, item_id="i1", attempt=1, worker="w", seconds=1.0, done=DONE)


def test_of_two_copies_of_an_order_one_is_taken(leases: Leases) -> None:
    assert [leases.take("o1", "a"), leases.take("o1", "b")] == [Claim.TAKEN, Claim.HELD]


def test_a_lease_that_nobody_renews_lapses(leases: Leases) -> None:
    leases.take("o1", "a")
    time.sleep(0.8)
    assert leases.look(["o1"]) == {}


def test_an_ended_order_is_recognised_and_not_taken_again(leases: Leases) -> None:
    leases.take("o1", "a")
    leases.end("o1")
    assert leases.look(["o1"])["o1"].ended
    assert leases.take("o1", "b") is Claim.HELD


def test_a_revoked_order_is_neither_renewed_nor_taken(leases: Leases) -> None:
    leases.take("o1", "a")
    leases.revoke("o1")
    assert not leases.renew("o1", "a", 0.5)
    assert leases.take("o1", "b") is Claim.REVOKED


def test_a_renewal_after_a_flush_writes_the_lease_anew(leases: Leases, redis: Redis) -> None:
    leases.take("o1", "a")
    redis.flushall()
    assert leases.renew("o1", "a", 0.25)
    assert leases.look(["o1"])["o1"].fraction == 0.25


def test_a_worker_is_live_as_long_as_it_says_so(redis: Redis) -> None:
    advertise(redis, WorkerInfo("w1", ("cpu",), 2), ttl_seconds=0.3)
    advertise(redis, WorkerInfo("w2", ("cpu", "describe"), 1), ttl_seconds=30)
    assert {worker.name for worker in live_workers(redis)} == {"w1", "w2"}
    time.sleep(0.4)
    assert live_workers(redis) == [WorkerInfo("w2", ("cpu", "describe"), 1)]
    withdraw(redis, "w2")
    assert live_workers(redis) == []


def test_slots_are_summed_by_queue(broker: CeleryBroker, redis: Redis) -> None:
    advertise(redis, WorkerInfo("w1", ("cpu",), 2), ttl_seconds=30)
    advertise(redis, WorkerInfo("w2", ("cpu", "describe"), 1), ttl_seconds=30)
    assert broker.slots() == {"cpu": 3, "describe": 1}


def test_a_sent_order_waits_in_its_queue_under_its_own_id(broker: CeleryBroker) -> None:
    broker.send(ORDER, "describe", queues.DESCRIBE)
    assert broker.waiting(queues.DESCRIBE) == {"o1"}
    assert broker.waiting(queues.CPU) == set()


def send(redis: Redis, result: WorkResult) -> None:
    Leases(redis, ttl_seconds=1).answer(result.order_id, result.model_dump_json())


def test_results_arrive_and_are_gone_from_the_broker_once_handled(broker: CeleryBroker, redis: Redis) -> None:
    send(redis, result())
    seen: list[WorkResult] = []
    assert broker.receive(seen.extend, seconds=5) == 1
    assert seen == [result()]
    assert redis.llen(queues.ORCHESTRATOR) == 0


def test_a_result_whose_recording_broke_comes_back(
    broker: CeleryBroker, url: str, redis: Redis, leases: Leases
) -> None:
    send(redis, result())

    def broken(_: Sequence[WorkResult]) -> None:
        raise StoreFault("the ledger is away")

    with pytest.raises(StoreFault):
        broker.receive(broken, seconds=5)
    broker.__exit__(None, None, None)
    seen: list[WorkResult] = []
    with CeleryBroker(make_app(Settings(broker_url=url)), redis, leases) as another:
        assert another.receive(seen.extend, seconds=5) == 1


def test_what_a_killed_orchestrator_had_taken_is_recorded_by_the_next(redis: Redis) -> None:
    killed, another = Inbox(redis), Inbox(redis)
    send(redis, result())
    assert len(killed.take(5)) == 1
    assert another.recover() == 0  # it is alive
    redis.delete(*redis.keys("results:alive:*"))  # it has not been back for ALIVE_SECONDS
    assert another.recover() == 1
    assert len(another.take(5)) == 1


def test_a_result_leaves_the_broker_when_it_is_recorded_and_not_before(redis: Redis) -> None:
    inbox = Inbox(redis)
    send(redis, result())
    assert inbox.take(5) == inbox.take(5) != []
    inbox.acknowledge()
    assert inbox.take(0.01) == []


def test_results_are_taken_in_batches(redis: Redis) -> None:
    inbox = Inbox(redis)
    for number in range(AT_ONCE + 1):
        send(redis, result(f"o{number}"))
    assert len(inbox.take(5)) == AT_ONCE
    inbox.acknowledge()
    assert len(inbox.take(5)) == 1


def test_a_message_that_is_no_result_is_dropped_and_the_next_is_read(broker: CeleryBroker, redis: Redis) -> None:
    redis.lpush(queues.ORCHESTRATOR, '{"version": 99}')
    send(redis, result())
    seen: list[WorkResult] = []
    while not seen:
        broker.receive(seen.extend, seconds=5)
    assert seen == [result()]


def received(broker: CeleryBroker, redis: Redis, said: dict[str, Any]) -> WorkResult:
    redis.lpush(queues.ORCHESTRATOR, json.dumps(said))
    seen: list[WorkResult] = []
    while not seen:
        broker.receive(seen.extend, seconds=5)
    return seen[0]


def test_a_result_of_a_newer_worker_is_read_without_what_is_not_known(broker: CeleryBroker, redis: Redis) -> None:
    said = result().model_dump(mode="json")
    newer = said | {"version": 99, "mood": "good", "done": said["done"] | {"colour": "blue"}}
    assert received(broker, redis, newer).model_copy(update={"version": 1}) == result()


def test_a_result_that_cannot_be_read_fails_its_order_and_says_what_to_do(broker: CeleryBroker, redis: Redis) -> None:
    failed = received(broker, redis, result().model_dump(mode="json") | {"done": {"kind": "polish"}})
    assert failed.failure is not None
    assert (failed.order_id, failed.failure.code) == ("o1", "InternalFault")
    assert "Upgrade the orchestrator" in failed.failure.hint


def test_a_broker_that_is_away_is_a_connection_error() -> None:
    url = "redis+socket:///nonexistent/s?virtual_host=0"
    redis = connect(url)
    with CeleryBroker(make_app(Settings(broker_url=url)), redis, Leases(redis, ttl_seconds=1)) as door:
        with pytest.raises(ConnectionError):
            door.receive(lambda _: None, seconds=0.1)
        with pytest.raises(ConnectionError):
            door.send(ORDER, "describe", queues.DESCRIBE)


def run(leases: Leases, work: object) -> list[WorkResult]:
    """What an attempt sends."""
    keeper = Keeper(leases, "w", ttl_seconds=0.6)
    result = perform(ORDER, work, keeper)  # type: ignore[arg-type]
    return [] if result is None else [result]


def test_an_attempt_answers_and_ends_its_lease(leases: Leases, redis: Redis) -> None:
    (answer,) = run(leases, lambda _order, _attempt: DONE)
    assert answer.done == DONE
    assert leases.look(["o1"])["o1"].ended
    assert WorkResult.model_validate_json(str(redis.rpop(queues.ORCHESTRATOR))) == answer


def test_a_second_copy_of_the_message_does_nothing(leases: Leases) -> None:
    run(leases, lambda _order, _attempt: DONE)
    assert run(leases, lambda _order, _attempt: DONE) == []


def test_the_lease_is_renewed_while_the_work_goes_on_and_tells_how_far_it_is(leases: Leases) -> None:
    def work(_: Order, attempt: Attempt) -> Done:
        attempt.report(0.5)
        time.sleep(1.5)  # more than two lives of a lease
        assert leases.look(["o1"])["o1"].fraction == 0.5
        return DONE

    (answer,) = run(leases, work)
    assert answer.failure is None


def test_an_error_of_the_tree_travels_as_a_failure(leases: Leases) -> None:
    def work(_: Order, __: Attempt) -> Done:
        raise StoreFault("no room", hint="make room")

    (answer,) = run(leases, work)
    assert answer.failure == Failure(
        code="StoreFault", actor="environment", retryable=True, message="no room", hint="make room"
    )


def test_a_bug_costs_the_order_and_not_the_worker_and_its_message_stays_behind(leases: Leases) -> None:
    def work(_: Order, __: Attempt) -> Done:
        raise RuntimeError("Doe^Jane")

    (answer,) = run(leases, work)
    assert answer.failure is not None
    assert answer.failure.code == "InternalFault"
    assert "Doe" not in answer.model_dump_json()


def test_an_attempt_that_was_given_to_another_stops_and_says_nothing(leases: Leases) -> None:
    def work(_: Order, attempt: Attempt) -> Done:
        leases.revoke("o1")
        for _ in range(50):
            time.sleep(0.05)
            attempt.check()
        return DONE

    with pytest.raises(LeaseLost):
        Attempt(revoked=True).check()
    assert run(leases, work) == []


def test_work_goes_on_while_the_broker_is_flushed(leases: Leases, redis: Redis) -> None:
    flusher = threading.Timer(0.3, redis.flushall)
    flusher.start()

    def work(_: Order, __: Attempt) -> Done:
        time.sleep(0.9)
        return DONE

    (answer,) = run(leases, work)
    assert answer.done == DONE
