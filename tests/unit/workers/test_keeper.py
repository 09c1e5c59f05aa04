"""A lease is kept and answered through a broker that comes and goes."""

from __future__ import annotations

import threading
from unittest.mock import Mock

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from common.leases import Leases
from common.orders import DeliverDone, WorkResult
from workers import attempt
from workers.attempt import Keeper

RESULT = WorkResult(
    order_id="o1", item_id="i1", attempt=1, worker="w", seconds=0.0, done=DeliverDone(location="x", proof="sha256")
)


def test_a_result_waits_for_a_broker_that_is_away() -> None:
    leases = Mock(Leases)
    leases.answer.side_effect = [RedisConnectionError, None]
    keeper = Keeper(leases, "w", ttl_seconds=30)
    with keeper.keep("o1"):
        keeper.answer(RESULT)
    assert leases.answer.call_count == 2


def test_a_result_is_given_up_when_its_patience_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "RESULT_PATIENCE_SECONDS", -1.0)
    leases = Mock(Leases)
    leases.answer.side_effect = RedisConnectionError
    with pytest.raises(RedisConnectionError):
        Keeper(leases, "w", ttl_seconds=30).answer(RESULT)


def test_a_renewal_that_breaks_is_followed_by_the_next() -> None:
    leases, again = Mock(Leases), threading.Event()
    leases.is_revoked.return_value = False
    leases.renew.side_effect = _in_turn(RedisConnectionError(), RuntimeError(), again)
    with Keeper(leases, "w", ttl_seconds=0.03).keep("o1"):
        assert again.wait(10)


def test_nothing_is_renewed_between_two_orders() -> None:
    leases, renewed = Mock(Leases), threading.Event()
    leases.is_revoked.return_value = False
    leases.renew.side_effect = _in_turn(renewed)
    keeper = Keeper(leases, "w", ttl_seconds=0.03)
    with keeper.keep("o1"):
        assert renewed.wait(10)
    seen = leases.renew.call_count
    assert not threading.Event().wait(0.1)
    assert leases.renew.call_count == seen


def _in_turn(*ends: Exception | threading.Event) -> object:
    """A renewal that fails with each error once, then sets the event."""
    left = list(ends)

    def renew(*_: object) -> bool:
        end = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(end, Exception):
            raise end
        end.set()
        return True

    return renew
