"""Circuit breaker of a node: several orders failed in a row, so it leaves the service, tests itself, and comes back.

Pure: time comes in as seconds of any steady clock. Closed (in service) → open after ``threshold`` failures in a row of
different items → a self-test after ``pause`` seconds → on trial: the first good order closes it, the first bad one opens
it again for twice as long. What counts as a failure of the node is decided by error class (workers.wire.outcome_of), and
it only leaves when another worker is there to do the work (workers.node): alone, a poor node is better than none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Breaker:
    """The state of the breaker and its rules."""

    threshold: int = 3  # bad orders in a row
    first_pause: float = 60.0  # s
    longest_pause: float = 1800.0  # s; each opening in a row doubles the pause up to here
    failed: tuple[str, ...] = ()  # the items that failed in a row, each once
    openings: int = 0  # in a row, without a good order between them
    test_at: float | None = None  # None: in service

    @property
    def in_service(self) -> bool:
        """True when orders may be taken."""
        return self.test_at is None

    @property
    def pause(self) -> float:
        """Seconds to wait before the self-test after the present opening."""
        return min(self.longest_pause, self.first_pause * 2.0 ** max(0, self.openings - 1))

    def good(self) -> Breaker:
        """An order went well. Orders that end while the node is out of service do not bring it back: the test does."""
        return replace(self, failed=()) if self.test_at is not None else replace(self, failed=(), openings=0)

    def bad(self, item: str, now: float) -> Breaker:
        """An order failed by our fault. One item that fails again and again counts once: it may be the item."""
        failed = self.failed if item in self.failed else (*self.failed, item)
        on_trial = self.openings > 0
        if not self.in_service or (len(failed) < self.threshold and not on_trial):
            return replace(self, failed=failed)
        return replace(self, failed=failed)._open(now)

    def spared(self) -> Breaker:
        """Nobody else could do the work: stay in service, and count anew."""
        return replace(self, failed=())

    def due(self, now: float) -> bool:
        """True when it is time for the self-test."""
        return self.test_at is not None and now >= self.test_at

    def tested(self, passed: bool, now: float) -> Breaker:
        """The self-test's verdict: back on trial, or wait longer."""
        return replace(self, test_at=None, failed=()) if passed else self._open(now)

    def _open(self, now: float) -> Breaker:
        opened = replace(self, openings=self.openings + 1)
        return replace(opened, test_at=now + opened.pause)
