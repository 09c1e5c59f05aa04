"""A seekable reader of an S3 object: a window of it in memory, fetched by ranges, resumed where a connection broke."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from common.seekable import SeekableReader
from common.store.s3_client import Connection, faults

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

FIRST_WINDOW_BYTES = 256 << 10
"""Enough for most headers. Each further window in sequence is twice as long: seeking stays cheap, streaming fast."""

LARGEST_WINDOW_BYTES = 4 << 20

_PIECE_BYTES = 64 << 10
_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0


class RangeReader(SeekableReader):
    """The bytes of one version of an object: when it is replaced meanwhile, reading on fails instead of mixing the two.

    The first window is fetched at once. Reading raises StoreFault, or what else faults become in its bucket's role.
    """

    def __init__(self, connection: Connection, bucket: str, name: str) -> None:
        """Raises StoreFault: there is no such object, or it cannot be read."""
        self._connection, self._bucket, self._name = connection, bucket, name
        with faults("read an object", connection.role):
            status = connection.client.stat_object(bucket, name)
        super().__init__(status.size or 0)
        self._etag = status.etag
        self._start = 0
        self._window = b""
        self._ahead = FIRST_WINDOW_BYTES
        if self.length:
            self._window = self._fetch(0, min(self._ahead, self.length))

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill from the window; at its end fetch the next."""
        target = memoryview(buffer).cast("B")
        if self._position >= self.length or not target:
            return 0
        end = self._start + len(self._window)
        if not self._start <= self._position < end:
            self._ahead = min(2 * self._ahead, LARGEST_WINDOW_BYTES) if self._position == end else FIRST_WINDOW_BYTES
            self._window = b""  # let go before the next is fetched: one window in memory, not two
            self._window = self._fetch(self._position, min(self._ahead, self.length - self._position))
            self._start = self._position
        offset = self._position - self._start
        taken = min(len(target), len(self._window) - offset)
        target[:taken] = memoryview(self._window)[offset : offset + taken]
        self._position += taken
        return taken

    def _fetch(self, start: int, length: int) -> bytes:
        """All bytes of a range. A connection that breaks in mid-answer is made anew, and goes on where it broke."""
        from urllib3.exceptions import HTTPError, MaxRetryError

        got = bytearray()
        failures = 0
        with faults("read an object", self._connection.role):
            while len(got) < length:
                before = len(got)
                try:
                    self._receive(got, start + before, length - before)
                except MaxRetryError:  # no connection could be made, and that was tried often enough
                    raise
                except HTTPError:
                    failures = 1 if len(got) > before else failures + 1
                    if failures > self._connection.retries:
                        raise
                    time.sleep(min(_PAUSE_SECONDS * 2**failures, _LONGEST_PAUSE_SECONDS))
        return bytes(got)

    def _receive(self, got: bytearray, start: int, length: int) -> None:
        condition = {"If-Match": f'"{self._etag}"'}
        response = self._connection.client.get_object(
            self._bucket, self._name, offset=start, length=length, request_headers=dict(condition)
        )
        try:
            while piece := response.read(_PIECE_BYTES):
                got += piece
        finally:
            response.close()
            response.release_conn()
