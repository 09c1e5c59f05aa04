"""The door to the bytes. Keys are opaque, '/'-separated, lower-case ASCII; they never hold patient data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol


@dataclass(frozen=True)
class Stored:
    """What a finished write left behind."""

    key: str
    size_bytes: int
    digest: str  # SHA-256, hexadecimal


class ObjectWriter(Protocol):
    """An object being written. Nothing exists under its key until the ``with`` block ends without an exception."""

    def write(self, data: bytes | memoryview) -> int:
        """Append; returns the number of bytes taken."""
        ...

    @property
    def stored(self) -> Stored:
        """Size and digest; only after the block has ended well."""
        ...


class ObjectStore(Protocol):
    """Every method raises StoreFault when the store cannot do it; a missing key is a StoreFault too unless stated."""

    def adopt(self, key: str, path: Path) -> None:
        """Make the bytes at a local path readable under ``key``, without a copy where the store can (folder: a link).

        Idempotent; the source is never changed.
        """
        ...

    def local_path(self, key: str) -> Path | None:
        """A path on this machine that programs can read, or None when the bytes live elsewhere."""
        ...

    def open(self, key: str) -> BinaryIO:
        """A seekable reader of the bytes; nothing is read ahead beyond a buffer."""
        ...

    def writer(self, key: str) -> AbstractContextManager[ObjectWriter]:
        """Write aside, compute SHA-256, then appear under ``key`` at once. On an exception nothing is left behind."""
        ...

    def put(self, key: str, data: bytes) -> Stored:
        """Write a small object."""
        ...

    def get(self, key: str) -> bytes:
        """Read a small object."""
        ...

    def size(self, key: str) -> int | None:
        """Bytes under ``key``; None when there is no such object."""
        ...

    def delete(self, key: str) -> None:
        """Forget the object; no error when it is not there. An adopted source's own file is never touched."""
        ...

    def keys(self, prefix: str) -> Iterator[str]:
        """All keys that start with ``prefix``."""
        ...

    def export(self, key: str, path: Path) -> None:
        """Bring an object to a local path, where it appears at once (folder: a hard link on the same disk, else a copy)."""
        ...
