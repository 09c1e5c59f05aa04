"""The door to the broker: orders out, results in, leases watched. Losing what lies behind it loses no work."""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Protocol, Self

from celery import Celery
from kombu.exceptions import OperationalError
from pydantic import ValidationError
from redis import Redis
from redis.exceptions import RedisError

from common import queues
from common.errors import InternalFault
from common.farm import Message, publish
from common.leases import Lease, Leases, WorkerInfo, hold, live_workers
from common.logs import logger
from common.orders import AnyOrder, Failure, OrderBase, WorkResult
from common.versions import FIRST_VERSION, for_wire
from orchestrator.inbox import Inbox

log = logger(__name__)

RECOVER_SECONDS = 5.0
"""How often one looks for results that a dead replica had taken."""


class Broker(Protocol):
    """What the orchestrator asks of the transport."""

    def send(self, order: OrderBase, kind: str, queue: str) -> None:
        """Put an order into its queue; the message id is the order id."""
        ...

    def send_all(self, orders: Sequence[AnyOrder], queue: str) -> None:
        """Put many orders into one queue at once."""
        ...

    def waiting(self, queue: str) -> set[str]:
        """Order ids that lie in a queue, or were fetched and not yet acknowledged."""
        ...

    def look(self, order_ids: Iterable[str]) -> dict[str, Lease]:
        """The leases that exist now."""
        ...

    def revoke(self, order_id: str) -> None:
        """Tell whoever works on an order to stop."""
        ...

    def slots(self) -> dict[str, int]:
        """Concurrent orders that live workers offer, by queue."""
        ...

    def reads(self, queue: str) -> int:
        """The newest version that every live worker of a queue reads (common.versions)."""
        ...

    def receive(self, handle: Callable[[Sequence[WorkResult]], None], *, seconds: float) -> int:
        """Pass waiting results to ``handle``; they are passed again when it raises. Waits at most ``seconds`` for the first.

        They leave the broker when ``handle`` has returned.
        """
        ...


class CeleryBroker:
    """The real one: Celery and Redis (or Valkey)."""

    def __init__(self, app: Celery, redis: Redis, leases: Leases) -> None:
        self._app = app
        self._redis = redis
        self._leases = leases
        self._inbox = Inbox(redis)
        self._recover_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(RedisError):  # then they are given back when our name is missed
            self._inbox.close()

    def send(self, order: OrderBase, kind: str, queue: str) -> None:
        """See Broker.

        Raises:
            ConnectionError: the broker is away; the order stays open in the ledger and is sent again by the watcher.
        """
        self._publish([_message(order, kind, queue)])

    def send_all(self, orders: Sequence[AnyOrder], queue: str) -> None:
        """See Broker.

        Raises:
            ConnectionError: the broker is away; the orders stay open in the ledger and are sent again by the watcher.
        """
        self._publish([_message(order, order.kind, queue) for order in orders])

    def _publish(self, messages: Sequence[Message]) -> None:
        try:
            publish(self._app, messages)
        except (OperationalError, RedisError) as error:
            raise ConnectionError(str(error)) from error

    def waiting(self, queue: str) -> set[str]:
        """See Broker. The window keeps these lists short, so reading them whole is cheap."""
        messages = [json.loads(text) for text in self._redis.lrange(queue, 0, -1)]
        unacked: dict[Any, Any] = self._redis.hgetall("unacked")
        messages += [json.loads(text)[0] for text in unacked.values()]
        return {str(message["headers"].get("id")) for message in messages}

    def look(self, order_ids: Iterable[str]) -> dict[str, Lease]:
        """See Broker."""
        return self._leases.look(order_ids)

    def revoke(self, order_id: str) -> None:
        """See Broker."""
        self._leases.revoke(order_id)

    def workers(self) -> list[WorkerInfo]:
        """All live workers."""
        return live_workers(self._redis)

    def hold(self, name: str, *, held: bool) -> None:
        """Let a worker take nothing new, or take orders again."""
        hold(self._redis, name, held=held)

    def slots(self) -> dict[str, int]:
        """See Broker."""
        total: Counter[str] = Counter()
        for worker in self.workers():
            total.update(dict.fromkeys(worker.queues, worker.offered))
        return dict(total)

    def reads(self, queue: str) -> int:
        """See Broker. Any of them may take what lies there."""
        return min((worker.reads for worker in self.workers() if queue in worker.queues), default=FIRST_VERSION)

    def receive(self, handle: Callable[[Sequence[WorkResult]], None], *, seconds: float) -> int:
        """See Broker.

        Raises:
            ConnectionError: the broker is away.
        """
        try:
            self._recover()
            texts = self._inbox.take(seconds)
            results = [result for text in texts if (result := _result(text)) is not None]
            if results:
                handle(results)
            if texts:
                self._inbox.acknowledge()
        except RedisError as error:
            raise ConnectionError(str(error)) from error
        return len(results)

    def _recover(self) -> None:
        if time.monotonic() < self._recover_at:
            return
        self._recover_at = time.monotonic() + RECOVER_SECONDS
        if returned := self._inbox.recover():
            log.warning("results_recovered", count=returned)


def _message(order: OrderBase, kind: str, queue: str) -> Message:
    shown = f"order {order.order_id}, item {order.item_id}, attempt {order.attempt}"
    return Message(queues.TASK_OF_KIND[kind], {"order": for_wire(order)}, queue, order.order_id, shown)


def _result(text: str) -> WorkResult | None:
    """A result of a newer worker may say more than we know: that is left out. What cannot be read at all fails its order."""
    try:
        return WorkResult.model_validate_json(text, extra="ignore")
    except ValidationError as error:
        log.error("result_unreadable", errors=error.error_count())
        return _unreadable(text)


def _unreadable(text: str) -> WorkResult | None:
    hint = "Upgrade the orchestrator to the workers' version (docs/upgrade.md), then retry."
    fault = InternalFault("a worker answered what this orchestrator cannot read", hint=hint)
    try:
        said = json.loads(text) | {"version": FIRST_VERSION, "done": None, "failure": Failure.of(fault)}
        return WorkResult.model_validate(said, extra="ignore")
    except (ValueError, TypeError):
        return None
