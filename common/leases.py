"""Leases and heartbeats in Redis: who works on what, seen in seconds.

``lease:<order>``  JSON {worker, fraction} with a short TTL, taken once (NX) and renewed by the worker. When the attempt has
ended it reads ``ended`` for ten minutes, so that a second copy of the same message is recognised and dropped; ``returned`` when
a worker that is shut down gave the order back unfinished: it is given out again at once, and nobody is blamed.
``revoked:<order>``  set by the orchestrator when it gives an attempt up: the worker asks every second, and stops.
``worker:<name>``  what a worker is and offers (WorkerInfo), with a TTL: no key, no worker. ``workers`` is the set of their
names: looking through all keys for them would cost more the more orders there are.
``drained``  the set of names of workers that a person told to take nothing new: they finish what they have, and wait.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any

from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from common import queues
from common.versions import FIRST_VERSION

ENDED = "ended"
RETURNED = "returned"
WORKERS = "workers"
DRAINED = "drained"
_ENDED_SECONDS = 600  # longer than the broker keeps a copy back; these keys are all that grows with the orders of a job
_REVOKED_SECONDS = 24 * 3600


class Claim(StrEnum):
    """The answer to taking an order."""

    TAKEN = "taken"
    HELD = "held"  # somebody works on it, or it has ended: drop this copy
    REVOKED = "revoked"


@dataclass(frozen=True)
class Lease:
    """One order's lease as the watcher sees it."""

    worker: str
    fraction: float | None  # progress 0–1, None when unknown
    ended: bool = False
    returned: bool = False


class NodeState(StrEnum):
    """Whether a worker takes orders."""

    READY = "ready"
    DRAINING = "draining"  # it is shut down: what runs is finished or handed back
    OUT_OF_SERVICE = "out of service"  # it fails too often, or no longer takes what is sent: see ``reason``


@dataclass(frozen=True)
class WorkerInfo:
    """What a live worker is and offers. ``slots`` are concurrent orders over all its queues when it is ready."""

    name: str
    queues: tuple[str, ...]
    slots: int
    encoders: tuple[str, ...] = ()  # FFmpeg's names; hardware encoders only when a test encode worked
    decoders: tuple[str, ...] = ()  # hardware decoders whose pictures equalled the software decoder's
    ffmpeg: str = ""  # version
    host: str = ""
    started_at: float = 0.0  # Unix time, s
    running: int = 0  # orders at work now
    cpu_load: float = 0.0  # share of all cores in use over the last seconds, 0–1
    taken_at: float = 0.0  # Unix time of the last order or probe order that a pool process really took, s
    state: NodeState = NodeState.READY
    reason: str = ""  # why it is not ready, in words for the operator
    reads: int = FIRST_VERSION  # the newest orders that it understands (common.versions)

    @property
    def offered(self) -> int:
        """Slots that orders may be sent to now."""
        return self.slots if self.state is NodeState.READY else 0


def connect(
    broker_url: str, *, tls: Mapping[str, Any] | None = None, timeout_seconds: float = 10.0, retries: int = 5
) -> Redis:
    """A client of the broker's Redis that reconnects by itself (kombu's redis+socket:// is redis-py's unix://).

    ``tls``: see common.broker_access, whose ``open_redis`` is the way to a broker that settings describe.
    """
    url = broker_url.replace("redis+socket://", "unix://", 1).replace("virtual_host=", "db=")
    return Redis.from_url(
        url,
        decode_responses=True,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=min(5.0, timeout_seconds),
        health_check_interval=15,
        retry=Retry(ExponentialBackoff(cap=1.0, base=0.05), retries=retries),
        retry_on_error=[RedisConnectionError, RedisTimeoutError],
        **(tls or {}),
    )


class Leases:
    """Takes, renews, watches and ends leases."""

    def __init__(self, redis: Redis, *, ttl_seconds: float) -> None:
        self._redis = redis
        self._ttl_ms = int(ttl_seconds * 1000)

    def take(self, order_id: str, worker: str) -> Claim:
        """Claim an order for this worker. Only one copy of a message ever gets TAKEN."""
        value = json.dumps({"worker": worker, "fraction": None})
        with self._redis.pipeline(transaction=False) as both:
            both.exists(f"revoked:{order_id}")
            both.set(f"lease:{order_id}", value, nx=True, px=self._ttl_ms)
            revoked, taken = both.execute()
        if revoked:
            return Claim.REVOKED
        return Claim.TAKEN if taken else Claim.HELD

    def renew(self, order_id: str, worker: str, fraction: float | None) -> bool:
        """Extend the lease, or write it anew when the broker was flushed. False: the attempt was revoked, stop."""
        if self.is_revoked(order_id):
            return False
        value = json.dumps({"worker": worker, "fraction": fraction})
        self._redis.set(f"lease:{order_id}", value, px=self._ttl_ms)
        return True

    def answer(self, order_id: str, result: str) -> None:
        """Send an attempt's result (JSON of common.orders.WorkResult) to the orchestrator and end its lease: both, or neither."""
        with self._redis.pipeline(transaction=True) as both:
            both.lpush(queues.ORCHESTRATOR, result)
            both.set(f"lease:{order_id}", ENDED, ex=_ENDED_SECONDS)
            both.execute()

    def end(self, order_id: str) -> None:
        """The attempt has ended without a result that anybody wants."""
        self._redis.set(f"lease:{order_id}", ENDED, ex=_ENDED_SECONDS)

    def hand_back(self, order_id: str) -> None:
        """The worker is shut down and stopped the attempt unfinished: let another one begin at once."""
        self._redis.set(f"lease:{order_id}", RETURNED, ex=_ENDED_SECONDS)

    def is_revoked(self, order_id: str) -> bool:
        """True when the orchestrator has given the attempt up."""
        return bool(self._redis.exists(f"revoked:{order_id}"))

    def revoke(self, order_id: str) -> None:
        """Give an attempt up: whoever works on it stops within seconds."""
        self._redis.set(f"revoked:{order_id}", "1", ex=_REVOKED_SECONDS)

    def look(self, order_ids: Iterable[str]) -> dict[str, Lease]:
        """The leases that exist now, by order id."""
        ids = list(order_ids)
        if not ids:
            return {}
        values = self._redis.mget([f"lease:{order_id}" for order_id in ids])
        return {order_id: _lease(value) for order_id, value in zip(ids, values, strict=True) if value is not None}


def _lease(value: str | bytes) -> Lease:
    if value == ENDED:
        return Lease(worker="", fraction=None, ended=True)
    if value == RETURNED:
        return Lease(worker="", fraction=None, returned=True)
    held = json.loads(value)
    return Lease(worker=held["worker"], fraction=held["fraction"])


def advertise(redis: Redis, info: WorkerInfo, *, ttl_seconds: float) -> None:
    """Say that a worker is alive and what it takes."""
    value = json.dumps({name: value for name, value in asdict(info).items() if name != "name"})
    with redis.pipeline(transaction=False) as both:
        both.sadd(WORKERS, info.name)
        both.set(f"worker:{info.name}", value, px=int(ttl_seconds * 1000))
        both.execute()


def withdraw(redis: Redis, name: str) -> None:
    """A worker that stops in order says so at once."""
    redis.delete(f"worker:{name}")
    redis.srem(WORKERS, name)


def hold(redis: Redis, name: str, *, held: bool) -> None:
    """Tell a worker to take nothing new (``held``), or to take orders again; it hears of it within seconds, also after a restart."""
    if held:
        redis.sadd(DRAINED, name)
    else:
        redis.srem(DRAINED, name)


def is_held(redis: Redis, name: str) -> bool:
    """Whether a person told this worker to take nothing new."""
    return bool(redis.sismember(DRAINED, name))


def live_workers(redis: Redis) -> list[WorkerInfo]:
    """All workers whose advertisement has not lapsed."""
    known: Any = redis.smembers(WORKERS)
    names: list[str] = sorted(known)
    values = redis.mget([f"worker:{name}" for name in names]) if names else []
    said = dict(zip(names, values, strict=True))
    if gone := [name for name, value in said.items() if value is None]:
        redis.srem(WORKERS, *gone)  # one that comes back says so again within seconds
    return [_worker(name, value) for name, value in said.items() if value is not None]


def _worker(name: str, value: str | bytes) -> WorkerInfo:
    """Fields that we do not know come from a newer worker and are left out."""
    known = {field.name for field in fields(WorkerInfo)}
    said = {name: value for name, value in json.loads(value).items() if name in known}
    for field in ("queues", "encoders", "decoders"):
        said[field] = tuple(said.get(field, ()))
    said["state"] = NodeState(said.get("state", NodeState.READY))
    return WorkerInfo(**said | {"name": name})
