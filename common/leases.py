"""Leases and heartbeats in Redis: who works on what, seen in seconds.

``lease:<order>``  JSON {worker, fraction} with a short TTL, taken once (NX) and renewed by the worker. When the attempt has
ended it reads ``ended`` for an hour, so that a second copy of the same message is recognised and dropped.
``revoked:<order>``  set by the orchestrator when it gives an attempt up: the worker stops at its next renewal.
``worker:<name>``  what a worker offers (queues, slots), with a TTL: no key, no worker.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

ENDED = "ended"
_ENDED_SECONDS = 3600
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


@dataclass(frozen=True)
class WorkerInfo:
    """What a live worker offers. ``slots`` are concurrent orders over all its queues."""

    name: str
    queues: tuple[str, ...]
    slots: int


def connect(broker_url: str) -> Redis:
    """A client of the broker's Redis that reconnects by itself (kombu's redis+socket:// is redis-py's unix://)."""
    url = broker_url.replace("redis+socket://", "unix://", 1).replace("virtual_host=", "db=")
    return Redis.from_url(
        url,
        decode_responses=True,
        socket_timeout=10,
        socket_connect_timeout=5,
        health_check_interval=15,
        retry=Retry(ExponentialBackoff(cap=1.0, base=0.05), retries=5),
        retry_on_error=[RedisConnectionError, RedisTimeoutError],
    )


class Leases:
    """Takes, renews, watches and ends leases."""

    def __init__(self, redis: Redis, *, ttl_seconds: float) -> None:
        self._redis = redis
        self._ttl_ms = int(ttl_seconds * 1000)

    def take(self, order_id: str, worker: str) -> Claim:
        """Claim an order for this worker. Only one copy of a message ever gets TAKEN."""
        if self._redis.exists(f"revoked:{order_id}"):
            return Claim.REVOKED
        value = json.dumps({"worker": worker, "fraction": None})
        taken = self._redis.set(f"lease:{order_id}", value, nx=True, px=self._ttl_ms)
        return Claim.TAKEN if taken else Claim.HELD

    def renew(self, order_id: str, worker: str, fraction: float | None) -> bool:
        """Extend the lease, or write it anew when the broker was flushed. False: the attempt was revoked, stop."""
        if self._redis.exists(f"revoked:{order_id}"):
            return False
        value = json.dumps({"worker": worker, "fraction": fraction})
        self._redis.set(f"lease:{order_id}", value, px=self._ttl_ms)
        return True

    def end(self, order_id: str) -> None:
        """The attempt has ended and its result is sent."""
        self._redis.set(f"lease:{order_id}", ENDED, ex=_ENDED_SECONDS)

    def revoke(self, order_id: str) -> None:
        """Give an attempt up: whoever works on it stops at the next renewal."""
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
    fields = json.loads(value)
    return Lease(worker=fields["worker"], fraction=fields["fraction"])


def advertise(redis: Redis, info: WorkerInfo, *, ttl_seconds: float) -> None:
    """Say that a worker is alive and what it takes."""
    value = json.dumps({"queues": info.queues, "slots": info.slots})
    redis.set(f"worker:{info.name}", value, px=int(ttl_seconds * 1000))


def withdraw(redis: Redis, name: str) -> None:
    """A worker that stops in order says so at once."""
    redis.delete(f"worker:{name}")


def live_workers(redis: Redis) -> list[WorkerInfo]:
    """All workers whose advertisement has not lapsed."""
    names = sorted(redis.scan_iter("worker:*", count=1000))
    values = redis.mget(names) if names else []
    return [_worker(name, value) for name, value in zip(names, values, strict=True) if value is not None]


def _worker(key: str, value: str | bytes) -> WorkerInfo:
    fields = json.loads(value)
    return WorkerInfo(name=key.removeprefix("worker:"), queues=tuple(fields["queues"]), slots=int(fields["slots"]))
