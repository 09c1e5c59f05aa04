"""The Celery side of a worker: thin tasks that hand their order to ``perform``, and the probe order."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import worker_process_init

from common import queues
from common.forks import Limits, bind
from workers.attempt import perform
from workers.build import Worker
from workers.drain import Recall
from workers.reading import understood
from workers.wire import Event, Outcome, What, Wire, outcome_of


def register(app: Celery, worker: Worker, wire: Wire) -> None:
    """Declare the tasks on an app. Call it in the main process, before the pool forks: pool processes die with it."""
    main, recall = os.getpid(), Recall()

    def run(order: dict[str, Any]) -> None:
        work, outcome, pid = understood(order, worker.keeper), Outcome.NEUTRAL, os.getpid()
        if work is None:
            return
        wire.say(Event(What.TAKEN, pid, work.order_id, work.item_id))
        try:
            outcome = outcome_of(perform(work, worker.work, worker.keeper, recall=recall))
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
