"""The probe order: a message that a worker sends itself, through the broker, its own consumer and its pool."""

from __future__ import annotations

from uuid import uuid4

from celery import Celery
from kombu import Exchange, Queue
from redis import Redis

from common import queues


def probe_queue(worker: str) -> Queue:
    """The worker's own queue. On the nameless exchange, so that no binding is left in Redis when the worker is gone."""
    name = f"{queues.PROBE_PREFIX}{worker}"
    return Queue(name, Exchange("", type="direct"), routing_key=name)


def send_probe(app: Celery, redis: Redis, worker: str, *, ttl_seconds: float) -> None:
    """Send one. It and its queue vanish by themselves after ``ttl_seconds``. No event is sent: Flower shows work only.

    Raises:
        OSError, RedisError, kombu.exceptions.OperationalError: the broker is away.
    """
    queue = probe_queue(worker)
    made = app.amqp.create_task_message
    message = made(uuid4().hex, queues.PROBE_TASK, kwargs={}, expires=ttl_seconds, ignore_result=True)
    with app.producer_pool.acquire(block=True) as producer:
        app.amqp.send_task_message(producer, queues.PROBE_TASK, message, queue=queue, retry=False)
    redis.expire(queue.name, int(ttl_seconds) + 1)
