"""The consumer follows the node: subscribed to its queues while it is in service, and only then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import bootsteps
from celery.worker.consumer.tasks import Tasks

from workers.node import Node

LOOK_SECONDS = 0.3


def subscriptions(node: Node, queues: tuple[str, ...]) -> Any:
    """A Celery bootstep that keeps the consumer subscribed to ``queues`` while the node is in service, and only then."""

    def follow(consumer: Any) -> None:
        if consumer.task_consumer is None:
            return
        act: Callable[[str], None] = consumer.add_task_queue if node.in_service else consumer.cancel_task_queue
        for queue in queues:
            if consumer.task_consumer.consuming_from(queue) != node.in_service:
                act(queue)

    class Subscriptions(bootsteps.StartStopStep):
        requires = (Tasks,)

        def __init__(self, consumer: Any, **options: Any) -> None:
            super().__init__(consumer, **options)
            self._timer: Any = None

        def start(self, consumer: Any) -> None:
            self._timer = consumer.timer.call_repeatedly(LOOK_SECONDS, follow, (consumer,))

        def stop(self, _consumer: Any) -> None:
            if self._timer is not None:
                self._timer.cancel()

    return Subscriptions
