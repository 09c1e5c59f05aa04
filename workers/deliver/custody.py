"""Whether a file still is the object that was stored: the check before and after every transfer."""

from __future__ import annotations

import hashlib
from pathlib import Path

from common.errors import StoreFault
from common.orders import DeliverOrder


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal, read in blocks.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def holds_instance(path: Path, order: DeliverOrder) -> bool:
    """Whether the file has the bytes of the order's instance; the size is asked first, it costs nothing.

    Raises:
        OSError: it cannot be read.
    """
    return path.stat().st_size == order.instance_bytes and sha256_of(path) == order.instance_digest


def require_instance(path: Path, order: DeliverOrder) -> None:
    """Read our own copy against its digest: an archive would take rotten bytes without a word.

    Raises:
        StoreFault: it cannot be read, or has changed since it was stored.
    """
    try:
        same = holds_instance(path, order)
    except OSError as error:
        raise StoreFault(f"the instance cannot be read from the store: {error.strerror}") from error
    if not same:
        raise StoreFault(
            "the instance in the store is not the one that was checked: its size or SHA-256 differs",
            hint="Check the disk of the object store, then run `cinefarm retry` for this job.",
        )
