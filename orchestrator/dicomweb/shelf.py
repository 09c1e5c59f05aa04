"""A few results that are dear to make, kept while there is room: what was used longest ago goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

T = TypeVar("T")


class Shelf(Generic[T]):
    """Values by name, up to ``most_bytes`` in all; any thread may use it."""

    def __init__(self, most_bytes: int) -> None:
        self._most, self._held = most_bytes, 0
        self._values: OrderedDict[str, tuple[T, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: str) -> T | None:
        """The value; None: it is not here."""
        with self._lock:
            if name not in self._values:
                return None
            self._values.move_to_end(name)
            return self._values[name][0]

    def put(self, name: str, value: T, size: int) -> None:
        """Keep a value of ``size`` bytes; one that is larger than all the room is not kept."""
        if size > self._most:
            return
        with self._lock:
            self._held += size - self._values.pop(name, (value, 0))[1]
            self._values[name] = value, size
            while self._held > self._most:
                _, (_, gone) = self._values.popitem(last=False)
                self._held -= gone
