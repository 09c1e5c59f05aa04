"""Items that a device will not do go back to the CPU: nobody has it any more, or a worker died over them.

What a device's encoder says by itself is a result (HardwareFailed, orchestrator.recorder); this is for devices that say nothing.
"""

from __future__ import annotations

import time
from collections.abc import Collection

from sqlalchemy import Select, exists, select
from sqlalchemy.orm import Session

from common import queues
from common.logs import logger
from common.stages import State
from orchestrator.broker import Broker
from orchestrator.dispatcher import OPEN
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import Attempt, Item, Job
from orchestrator.recorder import Recorder
from orchestrator.watcher import give_out_again

log = logger(__name__)

GRACE_SECONDS = 60.0
"""How long a device's queue may be without workers: a node restarts, or a flushed broker forgets for some seconds."""

BATCH = 200
"""Items a sweep brings back at most, so that it stays short."""


class DeviceWatch:
    """Looks which device queues are waited for, and which of them are served."""

    def __init__(
        self, ledger: Sessions, broker: Broker, recorder: Recorder, *, grace_seconds: float = GRACE_SECONDS
    ) -> None:
        self._ledger, self._broker, self._recorder, self._grace = ledger, broker, recorder, grace_seconds
        self._missing: dict[str, float] = {}  # queue → when it was first seen without workers

    def sweep(self) -> None:
        """One look. The reason stands in the plan of each item that is brought back."""
        with self._ledger() as session:
            wanted = _wanted(session)
        if not wanted:
            self._missing.clear()
            return
        given_up = self._given_up({queue for _, queue in wanted})
        for job_id, queue in wanted:
            with self._ledger.begin() as session:
                if queue in given_up:
                    self._withdraw(session, queue)
                    self._bring_back(session, _waiting(job_id, queue), f"no worker serves {queue} any more")
                else:
                    self._bring_back(session, _orphaned(job_id, queue), f"a worker of {queue} died over it")

    def _given_up(self, wanted: Collection[str]) -> list[str]:
        """Queues that have been without workers for longer than the grace."""
        moment, served = time.monotonic(), self._broker.slots()
        self._missing = {q: self._missing.get(q, moment) for q in wanted if not served.get(q)}
        return [queue for queue, since in self._missing.items() if moment - since >= self._grace]

    def _withdraw(self, session: Session, queue: str) -> None:
        """Orders that lie in the queue: nobody is to blame, and a message that is taken after all is dropped."""
        statement = select(Attempt).where(Attempt.queue == queue, Attempt.state == "queued").limit(BATCH)
        for attempt in session.scalars(statement.with_for_update(skip_locked=True)).all():
            give_out_again(session, attempt, None)
            attempt.state = "stopping"
            self._broker.revoke(attempt.order_id)
        session.flush()

    def _bring_back(self, session: Session, items: Select[Item], why: str) -> None:
        for item in session.scalars(items.limit(BATCH).with_for_update(of=Item, key_share=True)).all():
            self._recorder.fall_back(session, item, why)


def _waiting(job_id: str, queue: str) -> Select[Item]:
    """A job's items for a queue that no worker has."""
    busy = exists().where(Attempt.item_id == Item.id, Attempt.state.in_(OPEN))
    return select(Item).where(Item.job_id == job_id, Item.state == State.PLANNED, Item.queue == queue, ~busy)


def _orphaned(job_id: str, queue: str) -> Select[Item]:
    """Those a worker of the queue died over: a broken driver may take its worker with it, and would take the next.

    Beginning with the attempts: few are lost, and many items may wait. An attempt that was handed back counts for nothing.
    """
    lost = select(Attempt.item_id).where(Attempt.state == "lost", Attempt.queue == queue)
    return _waiting(job_id, queue).where(Item.id.in_(lost), Item.attempts > 0)


def _wanted(session: Session) -> list[tuple[str, str]]:
    """Jobs at work and the device queues that items of theirs wait in."""
    jobs = session.scalars(select(Job.id).where(Job.paused.is_(False), Job.cancelled.is_(False))).all()
    states = State.PLANNED, State.QUEUED
    return [
        (job_id, queue)
        for job_id in jobs
        for queue in queues.DEVICE_QUEUES
        if any(session.scalar(_any(job_id, state, queue)) for state in states)
    ]


def _any(job_id: str, state: State, queue: str) -> Select[bool]:
    """One look into the index, however long the backlog."""
    return select(exists().where(Item.job_id == job_id, Item.state == state, Item.queue == queue))
