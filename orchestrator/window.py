"""How many orders of a queue lie in the broker at a time: enough that no slot idles, few enough that plans can change at once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

PER_SLOT = 2
"""One order running and one waiting on every slot: no slot idles while the dispatcher looks elsewhere."""

SECONDS_AHEAD = 1.0
"""Orders that take milliseconds (descriptions, small deliveries) would end faster than a turn of the orchestrator brings
new ones: of these, a second's worth is out. A pause or a higher priority still acts within that second."""

_MEMORY_SECONDS = 2.0
"""Over how long the rate is averaged (exponentially)."""


@dataclass
class _Seen:
    at: float  # monotonic, s
    out: int  # orders in the broker and at work, after the last fill
    rate: float = 0.0  # orders ended per second


class Window:
    """Follows how fast the orders of each queue end. One a process; replicas see each other's orders as slower ends."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, _Seen] = {}

    def size(self, queue: str, slots: int, out: int) -> int:
        """Orders of this queue that may be out now; ``out``: how many are. Tell ``filled`` how many went out after this."""
        now, seen = self._clock(), self._seen.get(queue)
        if seen is None:
            self._seen[queue] = _Seen(now, out)
            return PER_SLOT * slots
        elapsed = now - seen.at
        if elapsed > 0:
            share = 1 - math.exp(-elapsed / _MEMORY_SECONDS)
            ended = max(0, seen.out - out)
            seen.rate += share * (ended / elapsed - seen.rate)
            seen.at, seen.out = now, out
        return max(PER_SLOT * slots, math.ceil(seen.rate * SECONDS_AHEAD)) if slots else 0

    def filled(self, queue: str, sent: int) -> None:
        """So many orders have been added."""
        if queue in self._seen:
            self._seen[queue].out += sent
