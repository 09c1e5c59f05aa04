"""Wait for an archive's next message for as long as it works, and no longer: pynetdicom knows one limit, from end to end."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from typing import Any

_LOOK_SECONDS = 0.2


class Waiting:
    """In place of an association's own way to wait: asks now and then whether to go on, and knows silence from slowness."""

    def __init__(self, association: Any, check: Callable[[], None], silence: float) -> None:
        """``check`` raises what is to end the wait; ``silence``: seconds without a sign after which the peer is given up."""
        self._messages = association.dimse.msg_queue
        self._check, self._silence = check, silence
        self._heard = time.monotonic()
        self._at_once = association.dimse.get_msg
        association.dimse.get_msg = self._next

    def heard(self) -> None:
        """There was a sign of life."""
        self._heard = time.monotonic()

    def _next(self, block: bool = False) -> tuple[Any, Any]:
        if not block:  # pynetdicom's own thread, between two questions
            answer: tuple[Any, Any] = self._at_once(block=False)
            return answer
        self.heard()
        while True:
            try:
                message: tuple[Any, Any] = self._messages.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                self._check()
                if time.monotonic() - self._heard > self._silence:
                    return None, None  # pynetdicom aborts the association
            else:
                return message
