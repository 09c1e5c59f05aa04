"""Whether a node really takes orders, judged by probe orders that go the way of all orders. Pure; time comes in as seconds.

A worker may go on advertising and renewing while its consumer no longer reads the broker (celery #10302). So the node sends
itself a small order again and again. It is stuck when one has been waiting for ``patience`` seconds while a slot was free
and the broker answered.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Pulse:
    """What is known of the probe orders."""

    interval: float  # s between two
    patience: float  # s
    sent_at: float | None = None
    waiting_since: float | None = None

    def due(self, now: float) -> bool:
        """True when the next probe order should be sent."""
        return self.sent_at is None or now - self.sent_at >= self.interval

    def sent(self, now: float) -> Pulse:
        """A probe order lies in the broker. One that is still waiting keeps its time: a flushed broker loses it."""
        return replace(self, sent_at=now, waiting_since=now if self.waiting_since is None else self.waiting_since)

    def taken(self) -> Pulse:
        """An order, of either kind, has reached a pool process."""
        return replace(self, waiting_since=None)

    def excused(self, now: float) -> Pulse:
        """Nothing could be taken, by no fault of the consumer: all slots are busy, or the broker is away."""
        return replace(self, sent_at=now, waiting_since=None)

    def stuck(self, now: float) -> bool:
        """True when orders are no longer taken."""
        return self.waiting_since is not None and now - self.waiting_since > self.patience
