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

WORTH_FILLING = 1 / 8
"""Share of all windows: with few slots each ended order is followed by a look, with many short orders every eighth of a second."""

MEMORY_SECONDS = 2.0
"""Over how long rate and size are averaged (exponentially)."""


@dataclass
class _Seen:
    at: float  # monotonic, s
    out: int  # orders in the broker and at work, after the last fill
    size: float  # the window then
    full: bool = False  # the last fill found as many orders as it looked for
    rate: float = 0.0  # orders ended per second


class Window:
    """Follows how fast the orders of each queue end. One a process; replicas see each other's orders as slower ends."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, _Seen] = {}

    def size(self, queue: str, slots: int, out: int) -> int:
        """Orders of this queue that may be out now; ``out``: how many are. Tell ``filled`` how many went out after this."""
        now, least = self._clock(), PER_SLOT * slots
        seen = self._seen.setdefault(queue, _Seen(now, out, least))
        elapsed = now - seen.at
        if elapsed > 0:
            seen.rate += (1 - math.exp(-elapsed / MEMORY_SECONDS)) * (max(0, seen.out - out) / elapsed - seen.rate)
        # slots have idled although there was more to do: learn fast; else forget slowly
        seen.size *= 2 if out < slots and seen.full else math.exp(-elapsed / MEMORY_SECONDS)
        seen.size = max(least, seen.rate * SECONDS_AHEAD, seen.size) if slots else 0
        seen.at, seen.out, seen.full = now, out, False
        return math.ceil(seen.size)

    def is_low(self, ended: int) -> bool:
        """True when so many orders have ended since the last fill that another is worth its transactions."""
        return ended > 0 and ended >= WORTH_FILLING * sum(seen.size for seen in self._seen.values())

    def filled(self, queue: str, wanted: int, sent: int) -> None:
        """So many orders have been looked for and added."""
        seen = self._seen[queue]
        seen.out, seen.full = seen.out + sent, sent >= wanted
