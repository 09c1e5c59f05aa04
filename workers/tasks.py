"""The Celery side of a worker: thin tasks that hand their order to ``perform``, the probe order, and the answer's way back."""

from __future__ import annotations

import os
import socket
import time
from typing import Any

from celery import Celery
from celery.signals import worker_process_init
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from common import queues
from common.farm import Message, publish
from common.forks import Limits, bind
from common.logs import logger
from common.orders import ORDERS, WorkResult
from workers.attempt import perform
from workers.build import Worker
from workers.drain import Recall
from workers.wire import Event, Outcome, What, Wire, outcome_of

log = logger(__name__)

RESULT_PATIENCE_SECONDS = 600.0
"""How long a finished result waits for a broker that is away. Giving up loses nothing: the next attempt finds the output."""


def register(app: Celery, worker: Worker, wire: Wire) -> None:
    """Declare the tasks on an app. Call it in the main process, before the pool forks: pool processes die with it."""
    main, recall = os.getpid(), Recall()

    def run(order: dict[str, Any]) -> None:
        work, outcome, pid = ORDERS.validate_python(order), Outcome.NEUTRAL, os.getpid()
        wire.say(Event(What.TAKEN, pid, work.order_id, work.item_id))
        try:
            result = perform(
                work,
                worker.work,
                worker.leases,
                lambda result: send_result(app, result),
                worker=f"{socket.gethostname()}:{pid}",
                ttl_seconds=worker.settings.lease_seconds,
                recall=recall,
            )
            outcome = outcome_of(result)
        finally:
            wire.say(Event(What.ENDED, pid, work.order_id, work.item_id, outcome))

    def probe() -> None:
        wire.say(Event(What.PROBED, os.getpid()))

    def begin(**_: object) -> None:
        # a pool process must not outlive the worker that holds its broker connection, however that one dies
        bind(main, Limits())
        recall.listen()

    for name in queues.TASK_OF_KIND.values():
        app.task(name=name, ignore_result=True, shared=False)(run)
    app.task(name=queues.PROBE_TASK, ignore_result=True, shared=False, send_events=False)(probe)
    worker_process_init.connect(begin, weak=False)


def send_result(app: Celery, result: WorkResult) -> None:
    """Publish a result; waits for the broker when it is away."""
    answer = {
        "result": result.model_dump(mode="json", exclude_none=True)
    }  # a description is mostly what does not apply
    message = Message(queues.RECORD_TASK, answer, queues.ORCHESTRATOR, id=f"{result.order_id}.result")
    end = time.monotonic() + RESULT_PATIENCE_SECONDS
    while True:
        try:
            publish(app, [message])
            return
        except (OperationalError, RedisError, OSError):
            if time.monotonic() > end:
                raise
            log.warning("broker_away")
            time.sleep(0.5)
