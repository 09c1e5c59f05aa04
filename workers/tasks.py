"""The Celery side of a worker: three thin tasks that hand their order to ``perform``, and the answer's way back."""

from __future__ import annotations

import os
import socket
import time
from typing import Any

from celery import Celery
from celery.signals import worker_process_init
from kombu.exceptions import OperationalError

from common import queues
from common.forks import Limits, bind
from common.logs import logger
from common.orders import ORDERS, WorkResult
from workers.attempt import perform
from workers.build import Worker

log = logger(__name__)

RESULT_PATIENCE_SECONDS = 600.0
"""How long a finished result waits for a broker that is away. Giving up loses nothing: the next attempt finds the output."""


def register(app: Celery, worker: Worker) -> None:
    """Declare the tasks on an app."""

    def run(order: dict[str, Any]) -> None:
        perform(
            ORDERS.validate_python(order),
            worker.work,
            worker.leases,
            lambda result: send_result(app, result),
            worker=f"{socket.gethostname()}:{os.getpid()}",
            ttl_seconds=worker.settings.lease_seconds,
        )

    for name in queues.TASK_OF_KIND.values():
        app.task(name=name, ignore_result=True, shared=False)(run)


def send_result(app: Celery, result: WorkResult) -> None:
    """Publish a result; waits for the broker when it is away."""
    end = time.monotonic() + RESULT_PATIENCE_SECONDS
    while True:
        try:
            app.send_task(
                queues.RECORD_TASK,
                kwargs={"result": result.model_dump(mode="json")},
                queue=queues.ORCHESTRATOR,
                retry=False,
            )
            return
        except OperationalError:
            if time.monotonic() > end:
                raise
            log.warning("broker_away")
            time.sleep(0.5)


def _die_with_the_worker(**_: object) -> None:
    # a pool process must not outlive the worker that holds its broker connection, however that one dies
    bind(os.getppid(), Limits())


worker_process_init.connect(_die_with_the_worker, weak=False)
