"""SHA-256 beside the writing: on two cores a large object costs little more than its copy."""

from __future__ import annotations

import hashlib
from queue import SimpleQueue
from threading import Semaphore, Thread

WAITING_PIECES = 8
"""What may wait to be hashed: 32 MiB of payloads that come in pieces of 4 MiB. Smaller ones cost more switches of threads."""


class HashingThread:
    """Hashes pieces in the order they come; ``update`` waits when too many are waiting."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._pieces: SimpleQueue[memoryview | None] = SimpleQueue()
        self._room = Semaphore(WAITING_PIECES)
        self._thread = Thread(target=self._run, name="sha256", daemon=True)
        self._thread.start()

    def update(self, data: memoryview) -> None:
        """Take a piece. Its bytes must not change any more: those of a writable buffer are copied."""
        self._room.acquire()
        self._pieces.put(data if data.readonly else memoryview(bytes(data)))

    def close(self) -> str:
        """Hash what is waiting and end; hexadecimal."""
        self._pieces.put(None)
        self._thread.join()
        return self._digest.hexdigest()

    def _run(self) -> None:
        while (piece := self._pieces.get()) is not None:
            self._digest.update(piece)
            self._room.release()
