"""How often a caller may call: a bucket of tokens each, refilled steadily. Pure but for the clock that is handed in."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

MOST_KNOWN = 10_000
"""Callers remembered; the one that has been silent longest is forgotten first."""


@dataclass
class Rates:
    """``per_minute`` calls, and as many at once as a minute has; 0: no limit."""

    per_minute: int
    _left: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)  # who → calls left, at

    def wait(self, who: str, now: float) -> float:
        """Count one call; 0: go on, else the seconds until the next one is allowed."""
        if not self.per_minute:
            return 0.0
        left, at = self._left.pop(who, (float(self.per_minute), now))
        left = min(float(self.per_minute), left + (now - at) * self.per_minute / 60)
        allowed = left >= 1
        self._left[who] = (left - 1 if allowed else left, now)
        while len(self._left) > MOST_KNOWN:
            self._left.popitem(last=False)
        return 0.0 if allowed else (1 - left) * 60 / self.per_minute

    def empty(self, who: str, now: float) -> float:
        """Seconds until ``who`` may call again, without counting; 0: now."""
        left, at = self._left.get(who, (float(self.per_minute), now))
        left += (now - at) * self.per_minute / 60
        return 0.0 if not self.per_minute or left >= 1 else (1 - left) * 60 / self.per_minute
