"""An orderly end: finish within the grace period, else hand the order back so that another worker begins at once.

The main process knows which pool processes hold orders and sends those a signal; there it becomes a LeaseLost in the
middle of the work, so every child is killed and every temporary file removed on the way out.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

from common.errors import LeaseLost

HAND_BACK_SIGNAL = signal.SIGUSR2  # Celery and billiard use SIGUSR1
HAND_BACK_SECONDS = 2.0
"""From the signal to SIGKILL. With the default grace of 25 s all is over within the 30 s that Kubernetes gives."""

_TICK_SECONDS = 0.05


class Recall:
    """A pool process' side: whether its order is wanted back. The signal interrupts the work, never the answer."""

    def __init__(self) -> None:
        self.wanted = False
        self._working = False

    def listen(self) -> None:
        """Take the signal from now on. Call it in the main thread of the pool process, where the work is done."""
        signal.signal(HAND_BACK_SIGNAL, self._heard)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """The block may be left at any place.

        Raises:
            LeaseLost: the order is wanted back.
        """
        self._working = True
        try:
            if self.wanted:
                raise LeaseLost("this worker is being shut down")
            yield
        finally:
            self._working = False

    def _heard(self, _number: int, _frame: FrameType | None) -> None:
        self.wanted = True
        if self._working:
            self._working = False  # once: a second signal must not break the cleaning up after the first
            raise LeaseLost("this worker is being shut down")


def drain(running: Callable[[], Mapping[str, int]], *, grace_seconds: float) -> dict[str, int]:
    """Wait for what runs (order id → pool process), then ask for it back, then kill; returns the orders that were killed."""
    if _ended(running, grace_seconds):
        return {}
    for pid in set(running().values()):
        _signal(pid, HAND_BACK_SIGNAL)
    if _ended(running, HAND_BACK_SECONDS):
        return {}
    stubborn = dict(running())
    for pid in set(stubborn.values()):
        _signal(pid, signal.SIGKILL)
    return stubborn


def _ended(running: Callable[[], Mapping[str, int]], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while running():
        if time.monotonic() >= end:
            return False
        time.sleep(_TICK_SECONDS)
    return True


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
