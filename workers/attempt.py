"""One attempt at one order: take the lease, keep it while the work goes on, answer, let go."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from redis.exceptions import RedisError

from common import logs
from common.errors import CinefarmError, InternalFault, LeaseLost
from common.leases import Claim, Leases
from common.orders import AnyDone, AnyOrder, Failure, WorkResult
from workers.drain import Recall

log = logs.logger(__name__)

Order = AnyOrder
Done = AnyDone

RENEWALS_PER_LEASE = 3
"""Two renewals may fail in a row before the lease lapses."""

REVOCATION_CHECK_SECONDS = 1.0
"""How often a worker asks whether its attempt was cancelled: people wait for that, so it does not wait for a renewal."""


@dataclass
class Attempt:
    """What the work sees of its lease: say how far it is, ask whether to go on."""

    fraction: float | None = None
    revoked: bool = False

    def report(self, fraction: float) -> None:
        """Progress from 0 to 1; travels with the next renewal."""
        self.fraction = fraction

    def cancelled(self) -> bool:
        """True when the orchestrator has given this attempt to somebody else."""
        return self.revoked

    def check(self) -> None:
        """Raise LeaseLost when cancelled."""
        if self.revoked:
            raise LeaseLost("this attempt was given to another worker")


_threads = ThreadPoolExecutor(thread_name_prefix="lease")
"""A process works on one order at a time, and its thread is used again: starting one takes as long as a round trip."""


class Renewal:
    """Renews a lease from a thread while the ``with`` block works. A broker that is away is waited for, work goes on."""

    def __init__(self, leases: Leases, order_id: str, worker: str, *, ttl_seconds: float) -> None:
        self.attempt = Attempt()
        self._leases = leases
        self._order_id = order_id
        self._worker = worker
        self._interval = ttl_seconds / RENEWALS_PER_LEASE
        self._stop = threading.Event()
        self._ended: Future[None] | None = None

    def __enter__(self) -> Self:
        self._ended = _threads.submit(self._renew)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._ended is not None and (broken := self._ended.exception()) is not None:
            log.error("lease_renewal_broke", order=self._order_id, error=type(broken).__name__)

    def _renew(self) -> None:
        due = time.monotonic() + self._interval
        while not self._stop.wait(min(REVOCATION_CHECK_SECONDS, self._interval)):
            try:
                renews = time.monotonic() >= due
                alive = self._extend() if renews else not self._leases.is_revoked(self._order_id)
                due = time.monotonic() + self._interval if renews else due
            except (RedisError, OSError) as error:
                log.warning("lease_renewal_failed", order=self._order_id, error=type(error).__name__)
                continue
            if not alive:
                log.warning("attempt_revoked", order=self._order_id)
                self.attempt.revoked = True
                return

    def _extend(self) -> bool:
        return self._leases.renew(self._order_id, self._worker, self.attempt.fraction)


def perform(
    order: Order,
    work: Callable[[Order, Attempt], Done],
    leases: Leases,
    send: Callable[[WorkResult], None],
    *,
    worker: str,
    ttl_seconds: float,
    recall: Recall | None = None,
) -> WorkResult | None:
    """Run ``work`` under a lease and send its result, which is also returned.

    A copy of an order that somebody else has, or had, is dropped, and so is one whose lease is lost; an order that
    ``recall`` wants back is marked as returned in its lease. All three answer None.
    """
    recall = recall or Recall()
    claim = leases.take(order.order_id, worker)
    if claim is not Claim.TAKEN:
        log.warning("order_dropped", order=order.order_id, claim=claim)
        return None
    logs.bind(order=order.order_id, item=order.item_id, kind=order.kind)
    started = time.monotonic()
    log.info("order_taken", attempt=order.attempt)
    try:
        with Renewal(leases, order.order_id, worker, ttl_seconds=ttl_seconds) as renewal:
            result = _answer(order, lambda: work(order, renewal.attempt), worker, started, recall)
            if result is not None:
                send(result)
        if result is None and recall.wanted:
            log.warning("order_handed_back")
            leases.hand_back(order.order_id)
        else:
            leases.end(order.order_id)
        return result
    finally:
        logs.clear()


def _answer(order: Order, work: Callable[[], Done], worker: str, started: float, recall: Recall) -> WorkResult | None:
    done: Done | None = None
    failure: Failure | None = None
    try:
        with recall.interruptible():
            done = work()
    except LeaseLost:
        log.warning("attempt_abandoned")
        return None
    except Exception as error:
        if recall.wanted:  # what the interruption became on its way up through the work's own handlers
            return None
        if isinstance(error, CinefarmError):
            log.warning("order_failed", code=error.code, message=error.message)
        else:  # a bug of ours costs this order, not the worker
            log.exception("order_broke")
            error = InternalFault(f"{order.kind} broke with {type(error).__name__}")
        failure = Failure.of(error)
    return WorkResult(
        order_id=order.order_id,
        item_id=order.item_id,
        attempt=order.attempt,
        worker=worker,
        seconds=time.monotonic() - started,
        done=done,
        failure=failure,
    )
