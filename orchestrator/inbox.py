"""Results on their way from the broker into the ledger: taken, recorded, and only then acknowledged.

A result lies in the list ``orchestrator`` (common.leases), moves into the list of the replica that records it, and is deleted
there after the commit. The list of a replica that has died goes back; recording a result twice changes nothing. A Celery
consumer with late acknowledgement would do the same with three round trips a message; here a batch takes three.
"""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

from redis import Redis

from common import queues

AT_ONCE = 100
"""Recorded in one transaction: many share its costs, and a busy ledger is held for some tens of milliseconds only."""

GATHER_SECONDS = 0.02
"""Short orders end in bursts: a moment's wait puts many into one transaction, and long ones do not feel it."""

READERS = "results:readers"
"""Set of the replicas that have, or had, a list."""

ALIVE_SECONDS = 10
"""A replica that has not come back for more results within this time is taken for dead: many times one turn, and shorter
than the watcher waits for the result of an ended attempt (orchestrator.watcher.RESULT_GRACE_SECONDS)."""


class Inbox:
    """One replica's way to the results."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._name = uuid4().hex
        self._taken = _list(self._name)

    def take(self, seconds: float) -> list[str]:
        """All results that this replica holds: those that it could not record, else as many new ones. Waits for the first."""
        held, waiting = self._look()
        if not held and not waiting:
            wait: Any = max(seconds, 0.001)  # 0 would wait for ever; fractions since Redis 6, unknown to the types
            self._redis.blmove(queues.ORCHESTRATOR, self._taken, wait)
            held, waiting = 0, 1
        if not held and waiting < AT_ONCE:
            time.sleep(GATHER_SECONDS)
            held, waiting = self._look()
        with self._redis.pipeline(transaction=False) as batch:
            for _ in range(min(waiting, AT_ONCE - held)):
                batch.lmove(queues.ORCHESTRATOR, self._taken, "RIGHT", "LEFT")
            batch.lrange(self._taken, 0, -1)  # a repeated move, after a lost answer, may have moved more than it tells
            texts: list[str] = batch.execute()[-1]
        return texts

    def _look(self) -> tuple[int, int]:
        """Results held and waiting; says that this replica is alive."""
        with self._redis.pipeline(transaction=False) as look:
            look.sadd(READERS, self._name)
            look.set(_alive(self._name), "1", ex=ALIVE_SECONDS)
            look.llen(self._taken)
            look.llen(queues.ORCHESTRATOR)
            held, waiting = look.execute()[-2:]
        return held, waiting

    def acknowledge(self) -> None:
        """What was taken is recorded."""
        self._redis.delete(self._taken)

    def close(self) -> None:
        """What was taken and not recorded goes to whoever comes next."""
        self._return(self._name)

    def recover(self) -> int:
        """Give back what dead replicas had taken; returns how many results."""
        names: Any = self._redis.smembers(READERS)
        return sum(self._return(name) for name in sorted(names) if not self._redis.exists(_alive(name)))

    def _return(self, name: str) -> int:
        returned = 0
        while self._redis.lmove(_list(name), queues.ORCHESTRATOR, "LEFT", "RIGHT") is not None:
            returned += 1
        self._redis.srem(READERS, name)
        return returned


def _list(name: str) -> str:
    return f"results:taken:{name}"


def _alive(name: str) -> str:
    return f"results:alive:{name}"
