"""The door to the broker: orders out, results in, leases watched. Losing what lies behind it loses no work."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Protocol, Self

from celery import Celery
from kombu import Consumer, Message, Queue
from kombu.exceptions import OperationalError
from pydantic import ValidationError
from redis import Redis
from redis.exceptions import RedisError

from common import queues
from common.leases import Lease, Leases, WorkerInfo, live_workers
from common.logs import logger
from common.orders import OrderBase, WorkResult

log = logger(__name__)


class Broker(Protocol):
    """What the orchestrator asks of the transport."""

    def send(self, order: OrderBase, kind: str, queue: str) -> None:
        """Put an order into its queue; the message id is the order id."""
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

    def receive(self, handle: Callable[[WorkResult], None], *, seconds: float) -> int:
        """Pass waiting results to ``handle``; each is acknowledged after it returns. Waits at most ``seconds`` for the first."""
        ...


class CeleryBroker:
    """The real one: Celery and Redis (or Valkey)."""

    def __init__(self, app: Celery, redis: Redis, leases: Leases) -> None:
        self._app = app
        self._redis = redis
        self._leases = leases
        self._connection: Any = None
        self._consumer: Any = None
        self._inbox: list[tuple[WorkResult | None, Message]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._disconnect()

    def send(self, order: OrderBase, kind: str, queue: str) -> None:
        """See Broker.

        Raises:
            ConnectionError: the broker is away; the order stays open in the ledger and is sent again by the watcher.
        """
        try:
            self._app.send_task(
                queues.TASK_OF_KIND[kind],
                kwargs={"order": order.model_dump(mode="json")},
                queue=queue,
                task_id=order.order_id,
                retry=False,
            )
        except OperationalError as error:
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

    def slots(self) -> dict[str, int]:
        """See Broker."""
        total: Counter[str] = Counter()
        for worker in self.workers():
            total.update(dict.fromkeys(worker.queues, worker.slots))
        return dict(total)

    def receive(self, handle: Callable[[WorkResult], None], *, seconds: float) -> int:
        """See Broker."""
        try:
            self._connect()
            self._drain(seconds)
            return self._handle_all(handle)
        except (OSError, RedisError, OperationalError) as error:
            self._disconnect()
            raise ConnectionError(str(error)) from error

    def _connect(self) -> None:
        if self._connection is not None:
            return
        self._connection = self._app.connection_for_read()
        self._connection.connect()
        self._consumer = Consumer(
            self._connection.default_channel,
            queues=[Queue(queues.ORCHESTRATOR)],
            on_message=self._collect,
            prefetch_count=100,
            accept=["json"],
        )
        self._consumer.consume()

    def _disconnect(self) -> None:
        connection, self._connection, self._consumer = self._connection, None, None
        self._inbox.clear()
        if connection is not None:
            connection.release()

    def _drain(self, seconds: float) -> None:
        wait = seconds
        for _ in range(100):
            try:
                self._connection.drain_events(timeout=wait)
            except TimeoutError:
                return
            wait = 0.005

    def _collect(self, message: Message) -> None:
        try:
            _args, kwargs, _embed = message.decode()
            result = WorkResult.model_validate(kwargs["result"])
        except (ValidationError, KeyError, TypeError, ValueError) as error:
            log.error("result_unreadable", error=type(error).__name__)
            self._inbox.append((None, message))
            return
        self._inbox.append((result, message))

    def _handle_all(self, handle: Callable[[WorkResult], None]) -> int:
        handled = 0
        while self._inbox:
            result, message = self._inbox.pop(0)
            if result is not None:
                handle(result)
                handled += 1
            message.ack()
        return handled
