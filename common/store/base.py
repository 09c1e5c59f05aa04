"""The door to the bytes. Keys are opaque, '/'-separated, lower-case ASCII; they never hold patient data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol
from uuid import uuid4

from common.errors import InternalFault, StoreFault

_KEY = re.compile(r"[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*")


def checked_key(key: str) -> str:
    """The key itself.

    Raises:
        InternalFault: it is none, and might lead out of the store.
    """
    if not _KEY.fullmatch(key):
        raise InternalFault("an object key must be '/'-separated lower-case ASCII")
    return key


def checked_prefix(prefix: str) -> str:
    """The prefix itself: empty, or the beginning of keys.

    Raises:
        InternalFault: it might lead out of the store.
    """
    if prefix:
        checked_key(prefix.removesuffix("/"))
    return prefix


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

        Idempotent; the source is never changed. UnreadableSource: a store that copies cannot read it.
        """
        ...

    def local_path(self, key: str) -> Path | None:
        """A path on this machine that programs can read, or None when the bytes live elsewhere."""
        ...

    def presigned(self, key: str, seconds: float) -> str | None:
        """A URL that gives programs ranges of the bytes for so long; None when there is no such door.

        Whoever has it may read the object: it goes into no log and no message.
        """
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

    def free_bytes(self) -> int | None:
        """Room that is left, as far as is known: of a folder its disk's; None: a bucket grows."""
        ...

    def discard_abandoned(self, older_than_seconds: float) -> int:
        """Forget what writers that were killed left half-written; returns how many there were."""
        ...

    def check(self) -> tuple[str, ...]:
        """Write, read back and delete a tiny object; returns what an operator should know of this store.

        For the start of a process: one that is missing, closed or full is a StoreFault here, not in an order.
        """
        ...


CHECK_PREFIX = "checks/"
"""Where tiny objects lie for a moment while a store is checked."""


def check_by_use(store: ObjectStore) -> None:
    """Write a tiny object, read it back, delete it.

    Raises:
        StoreFault: the store cannot do one of these, or gives other bytes than it was given.
    """
    key, data = f"{CHECK_PREFIX}{uuid4().hex}", b"cinefarm"
    store.put(key, data)
    try:
        if store.get(key) != data:
            raise StoreFault("the store gave back other bytes than it was given")
    finally:
        store.delete(key)
