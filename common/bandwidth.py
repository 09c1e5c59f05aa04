"""A limit in bytes per second that all workers keep together: a bucket in Redis, a share of it when Redis is away.

The bucket is one key per subject: the time up to which the line is spoken for. Whoever wants to send reserves the next piece of
time and waits until it begins; what is reserved and never sent (a killed worker) costs that piece only. A flushed broker
costs one burst. Redis' own clock is the only one that counts.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from redis import Redis
from redis.exceptions import RedisError

from common.logs import logger

log = logger(__name__)

BURST_SECONDS = 0.1
"""How much of a second an idle line may send at once: keeps the rate when a sender is woken late, unseen over a second."""

PIECE_SECONDS = 0.1
"""What one reservation is worth at the full rate: ten questions a second to Redis, whatever the rate."""

AWAY_SECONDS = 5.0
"""How long a worker keeps to its share before it asks a Redis that was away again."""

LONGEST_NAP_SECONDS = 0.5
"""A sender that waits looks this often whether its attempt was revoked."""

_RESERVE = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local free = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now - tonumber(ARGV[2]))
local reserved = free + tonumber(ARGV[1])
redis.call('SET', KEYS[1], string.format('%.0f', reserved), 'PX', math.ceil((reserved - now) / 1000) + 60000)
return string.format('%.0f', math.max(0, free - now))
"""
"""KEYS: the bucket. ARGV: length of the piece, length of a burst. Returns the wait. All in microseconds; the generic cell rate
algorithm (ITU-T I.371, annex A, virtual scheduling) with a reservation in place of a refusal."""


class Reserve(Protocol):
    """Speaks for the next piece of a line."""

    def __call__(self, seconds: float) -> float:
        """Reserve a piece that takes ``seconds`` at the full rate; returns the seconds to wait before it begins."""
        ...


@dataclass
class LocalBucket:
    """The same bucket without Redis, for one process."""

    clock: Callable[[], float] = time.monotonic
    _free: float = 0.0

    def __call__(self, seconds: float) -> float:
        """See Reserve."""
        now = self.clock()
        free = max(self._free, now - BURST_SECONDS)
        self._free = free + seconds
        return max(0.0, free - now)


class SharedBucket:
    """The bucket that all workers share. While Redis is away this worker keeps to one ``sharers``-th of the rate by itself.

    That fails closed: as many workers as may send at a time stay together below the limit, and nobody waits for Redis.
    """

    def __init__(
        self, redis: Redis, subject: str, *, sharers: int = 1, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._script = redis.register_script(_RESERVE)
        self._key = f"rate:{hashlib.sha256(subject.encode()).hexdigest()[:32]}"
        self._sharers = sharers
        self._clock = clock
        self._alone = LocalBucket(clock)
        self._ask_again = 0.0

    def __call__(self, seconds: float) -> float:
        """See Reserve."""
        if self._clock() >= self._ask_again:
            try:
                return self._shared(seconds)
            except (RedisError, OSError) as error:
                log.warning("bandwidth_broker_away", error=type(error).__name__)
                self._ask_again = self._clock() + AWAY_SECONDS
        return self._alone(seconds * self._sharers)

    def _shared(self, seconds: float) -> float:
        wait = self._script(keys=[self._key], args=[round(seconds * 1e6), round(BURST_SECONDS * 1e6)])
        return int(wait) / 1e6


@dataclass
class Pace:
    """Called before every piece of bytes that is sent: asks whether to go on, and waits as the limit says.

    ``check`` raises when the attempt was revoked. Without ``bytes_per_second`` nothing is waited for.
    """

    check: Callable[[], None] = lambda: None
    bytes_per_second: int | None = None
    reserve: Reserve = field(default_factory=LocalBucket)
    sleep: Callable[[float], None] = time.sleep
    _granted: int = 0

    @property
    def limited(self) -> bool:
        """Whether there is a limit to keep."""
        return self.bytes_per_second is not None

    def piece_bytes(self, most: int, least: int) -> int:
        """How much to send at once, in bytes: a slow line gets small pieces, so that it never falls silent for seconds."""
        if self.bytes_per_second is None:
            return most
        return max(least, min(most, int(self.bytes_per_second * LONGEST_NAP_SECONDS)))

    def __call__(self, count: int) -> None:
        """Wait until ``count`` more bytes may go."""
        self.check()
        if self.bytes_per_second is None:
            return
        if count > self._granted:
            piece = max(count - self._granted, int(self.bytes_per_second * PIECE_SECONDS))
            self._nap(self.reserve(piece / self.bytes_per_second))
            self._granted += piece
        self._granted -= count

    def _nap(self, seconds: float) -> None:
        while seconds > 0:
            nap = min(seconds, LONGEST_NAP_SECONDS)
            self.sleep(nap)
            seconds -= nap
            self.check()


UNPACED = Pace()
"""No limit, nobody to ask."""
