"""One attempt at one order: take the lease, keep it while the work goes on, answer, let go."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

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


RESULT_PATIENCE_SECONDS = 600.0
"""How long a finished result waits for a broker that is away. Giving up loses nothing: the next attempt finds the output."""


class Keeper:
    """Keeps the lease of the order that this process works on. A broker that is away is waited for, work goes on.

    One thread renews for all orders, one after the other: to wake it for each would be a third of a short order's time.
    """

    def __init__(self, leases: Leases, worker: str, *, ttl_seconds: float) -> None:
        self.leases = leases
        self.worker = worker
        self._interval = ttl_seconds / RENEWALS_PER_LEASE
        self._one_at_a_time = threading.Lock()  # a renewal that is late must not write over the end of a lease
        self._thread: threading.Thread | None = None
        self._order_id = ""
        self._attempt = Attempt()
        self._due = 0.0

    @contextmanager
    def keep(self, order_id: str) -> Iterator[Attempt]:
        """Renew the lease of an order while the block works, until it is answered."""
        with self._one_at_a_time:
            self._order_id, self._attempt = order_id, Attempt()
            self._due = time.monotonic() + self._interval
        if self._thread is None:
            self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
            self._thread.start()
        try:
            yield self._attempt
        finally:
            with self._one_at_a_time:
                self._order_id = ""

    def answer(self, result: WorkResult) -> None:
        """Send the result and end the lease; waits for a broker that is away.

        Raises:
            redis.exceptions.RedisError, OSError: it was away for RESULT_PATIENCE_SECONDS.
        """
        text = result.model_dump_json(exclude_none=True)  # a description is mostly what does not apply
        end = time.monotonic() + RESULT_PATIENCE_SECONDS
        while True:
            try:
                with self._one_at_a_time:
                    self.leases.answer(result.order_id, text)
                    self._order_id = ""
                return
            except (RedisError, OSError):
                if time.monotonic() > end:
                    raise
                log.warning("broker_away")
                time.sleep(0.5)

    def _renew(self) -> None:
        while True:
            time.sleep(min(REVOCATION_CHECK_SECONDS, self._interval / 2))
            with self._one_at_a_time:
                try:
                    self._look()
                except (RedisError, OSError) as error:
                    log.warning("lease_renewal_failed", order=self._order_id, error=type(error).__name__)
                except Exception as error:  # the thread must outlive what breaks one renewal
                    log.error("lease_renewal_broke", order=self._order_id, error=type(error).__name__)

    def _look(self) -> None:
        """Renew when it is time, else only ask whether the attempt is still wanted."""
        order_id, attempt = self._order_id, self._attempt
        if not order_id or attempt.revoked:
            return
        if time.monotonic() < self._due:
            alive = not self.leases.is_revoked(order_id)
        else:
            alive = self.leases.renew(order_id, self.worker, attempt.fraction)
            self._due = time.monotonic() + self._interval
        if not alive:
            log.warning("attempt_revoked", order=order_id)
            attempt.revoked = True


def perform(
    order: Order,
    work: Callable[[Order, Attempt], Done],
    keeper: Keeper,
    *,
    recall: Recall | None = None,
) -> WorkResult | None:
    """Run ``work`` under a lease and send its result, which is also returned.

    A copy of an order that somebody else has, or had, is dropped, and so is one whose lease is lost; an order that
    ``recall`` wants back is marked as returned in its lease. All three answer None.
    """
    recall = recall or Recall()
    claim = keeper.leases.take(order.order_id, keeper.worker)
    if claim is not Claim.TAKEN:
        log.warning("order_dropped", order=order.order_id, claim=claim)
        return None
    logs.bind(order=order.order_id, item=order.item_id, kind=order.kind)
    started = time.monotonic()
    log.info("order_taken", attempt=order.attempt)
    try:
        with keeper.keep(order.order_id) as attempt:
            result = _answer(order, lambda: work(order, attempt), keeper.worker, started, recall)
            if result is not None:
                keeper.answer(result)
        if result is None and recall.wanted:
            log.warning("order_handed_back")
            keeper.leases.hand_back(order.order_id)
        elif result is None:
            keeper.leases.end(order.order_id)
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
