"""One attempt at one order: take the lease, keep it while the work goes on, answer, let go."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from redis.exceptions import RedisError

from common import logs
from common.errors import CinefarmError, InternalFault, LeaseLost
from common.leases import Claim, Leases
from common.orders import (
    DeliverDone,
    DeliverOrder,
    DescribeDone,
    DescribeOrder,
    Failure,
    TranscodeDone,
    TranscodeOrder,
    WorkResult,
)

log = logs.logger(__name__)

Order = DescribeOrder | TranscodeOrder | DeliverOrder
Done = DescribeDone | TranscodeDone | DeliverDone

RENEWALS_PER_LEASE = 3
"""Two renewals may fail in a row before the lease lapses."""


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


class Renewal:
    """Renews a lease from a thread while the ``with`` block works. A broker that is away is waited for, work goes on."""

    def __init__(self, leases: Leases, order_id: str, worker: str, *, ttl_seconds: float) -> None:
        self.attempt = Attempt()
        self._leases = leases
        self._order_id = order_id
        self._worker = worker
        self._interval = ttl_seconds / RENEWALS_PER_LEASE
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _renew(self) -> None:
        while not self._stop.wait(self._interval):
            try:
                alive = self._leases.renew(self._order_id, self._worker, self.attempt.fraction)
            except (RedisError, OSError) as error:
                log.warning("lease_renewal_failed", order=self._order_id, error=type(error).__name__)
                continue
            if not alive:
                log.warning("attempt_revoked", order=self._order_id)
                self.attempt.revoked = True
                return


def perform(
    order: Order,
    work: Callable[[Order, Attempt], Done],
    leases: Leases,
    send: Callable[[WorkResult], None],
    *,
    worker: str,
    ttl_seconds: float,
) -> None:
    """Run ``work`` under a lease and send its result. A copy of an order that somebody else has, or had, is dropped."""
    claim = leases.take(order.order_id, worker)
    if claim is not Claim.TAKEN:
        log.warning("order_dropped", order=order.order_id, claim=claim)
        return
    logs.bind(order=order.order_id, item=order.item_id, kind=order.kind)
    started = time.monotonic()
    log.info("order_taken", attempt=order.attempt)
    try:
        with Renewal(leases, order.order_id, worker, ttl_seconds=ttl_seconds) as renewal:
            result = _answer(order, lambda: work(order, renewal.attempt), worker, started)
            if result is not None:
                send(result)
        leases.end(order.order_id)
    finally:
        logs.clear()


def _answer(order: Order, work: Callable[[], Done], worker: str, started: float) -> WorkResult | None:
    done: Done | None = None
    failure: Failure | None = None
    try:
        done = work()
    except LeaseLost:
        log.warning("attempt_abandoned")
        return None
    except CinefarmError as error:
        log.warning("order_failed", code=error.code, message=error.message)
        failure = Failure.of(error)
    except Exception as error:  # a bug of ours costs this order, not the worker
        log.exception("order_broke")
        failure = Failure.of(InternalFault(f"{order.kind} broke with {type(error).__name__}"))
    return WorkResult(
        order_id=order.order_id,
        item_id=order.item_id,
        attempt=order.attempt,
        worker=worker,
        seconds=time.monotonic() - started,
        done=done,
        failure=failure,
    )
