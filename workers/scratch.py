"""A worker's own scratch folder: several workers of a machine share the disk, and what a killed one left is removed by the next.

Each worker works in a folder of its own below ``CINEFARM_SCRATCH_DIR`` and holds a lock on it as long as it lives, however it
dies. A folder that nobody holds is left over.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from common.logs import logger

log = logger(__name__)


@contextmanager
def own_scratch(shared: Path) -> Iterator[Path]:
    """A new folder below ``shared``, ours alone and gone at the end; the leftovers of dead workers go first.

    Raises:
        OSError: the disk cannot be used.
    """
    shared.mkdir(parents=True, exist_ok=True)
    with _locked(shared):  # between its making and its locking a folder must not look left over
        _remove_leftovers(shared)
        own = shared / uuid4().hex
        own.mkdir()
        lock = _lock(own, fcntl.LOCK_EX)
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)
        os.close(lock)


def _remove_leftovers(shared: Path) -> None:
    for folder in shared.iterdir():
        if not folder.is_dir() or folder.is_symlink():
            continue
        try:
            lock = _lock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
        log.warning("scratch_removed", folder=folder.name)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = _lock(folder, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(lock)


def _lock(folder: Path, how: int) -> int:
    """An open, locked descriptor of a folder (flock(2)); pool processes inherit it and die with their worker."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, how)
    except BlockingIOError:
        os.close(descriptor)
        raise
    return descriptor
