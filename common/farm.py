"""The one file that knows Celery: the app, its queues and its limits.

Celery and the broker are transport only. Orders are acknowledged early, so the broker never holds a running transcode and
its ``visibility_timeout`` can hand nothing out twice; recovery is the lease's business (``common.leases``).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from celery import Celery
from kombu import Queue
from kombu.exceptions import KombuError, OperationalError

from common import queues
from common.broker_access import tls_options
from common.settings import Settings


def make_app(settings: Settings, *, name: str = "cinefarm") -> Celery:
    """A configured Celery app; connects to nothing yet."""
    app = Celery(name, broker=settings.broker_url, set_as_current=True, broker_use_ssl=tls_options(settings) or None)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=False,
        task_default_queue=queues.CPU,
        task_queues=[Queue(queue) for queue in queues.WORK_QUEUES],
        task_create_missing_queues=True,  # gpu.* queues come and go with the nodes
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,  # an order must not wait behind a long encode on one node while another is idle
        worker_hijack_root_logger=False,
        worker_send_task_events=True,  # Flower
        task_send_sent_event=False,  # Flower hears of a task when a worker has it; this would be a second message an order
        broker_connection_retry_on_startup=True,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_transport_options={
            "visibility_timeout": settings.visibility_seconds,
            "socket_keepalive": True,
            "health_check_interval": 15,
            # no retry_on_timeout: kombu pipelines a batch only where no write can be repeated unseen
        },
        broker_connection_max_retries=None,
        enable_utc=True,
    )
    return app


@dataclass(frozen=True)
class Message:
    """One task on its way. ``shown`` is what operators see of its arguments in Flower."""

    task: str
    kwargs: dict[str, Any]
    queue: str
    id: str
    shown: str = ""


def publish(app: Celery, messages: Sequence[Message]) -> None:
    """Send ordinary Celery tasks, many in one round trip, past the routing and retrying of ``send_task`` (a third of its time).

    A batch makes a connection object of its own: dearer than the one round trip that a single message takes.

    Raises:
        kombu.exceptions.OperationalError, OSError, redis.exceptions.RedisError: the broker is away; some may have been sent.
    """
    try:
        with app.producer_or_acquire() as producer, producer.batch() if len(messages) > 1 else nullcontext():
            for message in messages:
                _add(app, producer, message)
    except KombuError as error:
        raise OperationalError(str(error)) from error


def _add(app: Celery, producer: Any, message: Message) -> None:
    task = app.amqp.as_task_v2(
        message.id, message.task, (), message.kwargs, argsrepr="()", kwargsrepr=message.shown, ignore_result=True
    )
    producer.publish(
        task.body,
        exchange="",
        routing_key=message.queue,
        serializer="json",
        headers=task.headers,
        **task.properties,
    )
