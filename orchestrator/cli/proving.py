"""The end of a migration that waits for archives: they may take minutes to prove what they took, or days."""

from __future__ import annotations

import time
from collections.abc import Callable

from common.stages import ENDS, State
from orchestrator.status import Progress


class Foreground:
    """Whether a migration is over: all items have ended, or archives alone are waited for, and that for long enough."""

    def __init__(self, wait_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._wait_seconds = wait_seconds
        self._clock = clock
        self._since: float | None = None

    def __call__(self, seen: Progress) -> bool:
        """Ask it with every look at the job."""
        open_states = {state for state, count in seen.counts.items() if count and state not in ENDS}
        if not open_states <= {State.DELIVERED}:
            self._since = None
            return False
        if not open_states:
            return True
        self._since = self._clock() if self._since is None else self._since
        return self._clock() - self._since >= self._wait_seconds
