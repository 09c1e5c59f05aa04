"""The object store as a folder: keys are paths below it. Written aside, synced, renamed: nobody sees half an object."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from common.errors import InternalFault, StoreFault
from common.store.base import Stored, check_by_use, checked_key, checked_prefix
from common.store.hashing import HashingThread

ASIDE = ".aside"
"""Where objects lie while they are written: on the same disk as the rest, so that a rename is enough."""

_HOST = f"{hashlib.sha256(platform.node().encode()).hexdigest()[:8]}-"
"""Names begin with their machine's: locks tell of writers on the same one only."""

_BIRTH_SECONDS = 1.0
"""A file may be so young that its writer has not locked it yet."""


class FolderStore:
    """See ObjectStore. Safe for many processes at once; the last writer of a key wins as a whole."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def adopt(self, key: str, path: Path) -> None:
        """A symbolic link: no copy, and the source stays where it is."""
        target = self._path(key)
        source = path.absolute()
        with disk_faults("link a source"):
            with contextlib.suppress(FileExistsError, FileNotFoundError):  # it is there, or its folder is not
                target.symlink_to(source)
                return
            if target.is_symlink() and target.readlink() == source:
                return
            aside = self._aside()
            aside.symlink_to(source)
            _move(aside, target)

    def local_path(self, key: str) -> Path | None:
        """The object's own path; an adopted source's when it was adopted."""
        return self._path(key)

    def presigned(self, key: str, seconds: float) -> str | None:  # noqa: ARG002
        """None: programs on this machine read the path."""
        self._path(key)
        return None

    def open(self, key: str) -> BinaryIO:
        """A buffered reader."""
        with disk_faults("read an object"):
            return self._path(key).open("rb")

    @contextmanager
    def writer(self, key: str) -> Iterator[FolderWriter]:
        """Synced to the disk before it appears: what the ledger calls stored survives a power cut."""
        target = self._path(key)
        with disk_faults("write an object"):
            aside = self._aside()
            with aside.open("xb", buffering=0) as stream:
                _mark_alive(stream)
                writer = FolderWriter(key, stream)
                try:
                    yield writer
                    os.fsync(stream.fileno())
                    _move(aside, target)
                    sync_folder(target.parent)
                    writer.finish()
                finally:
                    writer.close()
                    aside.unlink(missing_ok=True)

    def put(self, key: str, data: bytes) -> Stored:
        """Write a small object."""
        with self.writer(key) as writer:
            writer.write(data)
        return writer.stored

    def get(self, key: str) -> bytes:
        """Read a small object."""
        with disk_faults("read an object"):
            return self._path(key).read_bytes()

    def size(self, key: str) -> int | None:
        """Bytes, or None; a link whose source has gone is no object."""
        try:
            return self._path(key).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StoreFault(f"the store could not look at an object: {error.strerror}") from error

    def delete(self, key: str) -> None:
        """Remove the object (of an adopted source, the link) and the folders that it leaves empty."""
        path = self._path(key)
        with disk_faults("delete an object"):
            path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder == self.root:
                return
            try:
                folder.rmdir()
            except OSError:  # not empty, or somebody else was faster
                return

    def keys(self, prefix: str) -> Iterator[str]:
        """In the order of the names; objects that are being written are not among them."""
        start = self.root / checked_prefix(prefix).rpartition("/")[0]
        for here, folders, names in os.walk(start):
            folders[:] = sorted(name for name in folders if name != ASIDE)
            for name in sorted(names):
                key = (Path(here) / name).relative_to(self.root).as_posix()
                if key.startswith(prefix):
                    yield key

    def export(self, key: str, path: Path) -> None:
        """A hard link on the same disk, else a synced copy; an adopted source is always copied, never shared."""
        source = self._path(key)
        with disk_faults("export an object"):
            path.parent.mkdir(parents=True, exist_ok=True)
            aside = path.with_name(f".{uuid4().hex}")
            try:
                if not _linked(source, aside):
                    _copied(source, aside)
                aside.replace(path)
                sync_folder(path.parent)
            finally:
                aside.unlink(missing_ok=True)

    def free_bytes(self) -> int | None:
        """Of the disk, for a user without privileges; None while the folder is not there."""
        try:
            status = os.statvfs(self.root)
        except OSError:
            return None
        return status.f_bavail * status.f_frsize

    def discard_abandoned(self, older_than_seconds: float) -> int:
        """Files aside whose writer on this machine has died, at once; any other that nobody has written to for so long."""
        discarded = 0
        with disk_faults("discard what was abandoned"):
            for path in (self.root / ASIDE).glob("*"):
                with contextlib.suppress(FileNotFoundError):  # its writer has just ended
                    age = time.time() - path.lstat().st_mtime
                    if age > older_than_seconds or (age > _BIRTH_SECONDS and _is_orphan(path)):
                        path.unlink()
                        discarded += 1
        return discarded

    def check(self) -> tuple[str, ...]:
        """The folder is made when it is not there."""
        check_by_use(self)
        return ()

    def _path(self, key: str) -> Path:
        return self.root / checked_key(key)

    def _aside(self) -> Path:
        folder = self.root / ASIDE
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{_HOST}{uuid4().hex}"


class FolderWriter:
    """See ObjectWriter. Hashes beside writing; ``close`` ends the hashing."""

    def __init__(self, key: str, stream: BinaryIO) -> None:
        self._key = key
        self._stream = stream
        self._hashing = HashingThread()
        self._digest = ""
        self._size = 0
        self._stored: Stored | None = None

    def write(self, data: bytes | memoryview) -> int:
        """Append all of ``data``."""
        view = memoryview(data).cast("B")
        self._hashing.update(view)
        taken = 0
        while taken < len(view):
            taken += self._stream.write(view[taken:])
        self._size += taken
        return taken

    def close(self) -> None:
        """No more pieces will come."""
        self._digest = self._digest or self._hashing.close()

    def finish(self) -> None:
        """The object has appeared under its key."""
        self.close()
        self._stored = Stored(self._key, self._size, self._digest)

    @property
    def stored(self) -> Stored:
        """Size and digest; only after the block has ended well."""
        if self._stored is None:
            raise InternalFault("an object that is still being written has no digest")
        return self._stored


def _move(aside: Path, target: Path) -> None:
    """Rename; the folder may vanish between the two steps when another process deletes its last object."""
    for _ in range(10):
        target.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            aside.replace(target)
            return
    aside.replace(target)


def _mark_alive(stream: BinaryIO) -> None:
    """A lock that ends with its writer, however that ends; file systems without locks fall back on age."""
    with contextlib.suppress(OSError):
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_orphan(path: Path) -> bool:
    """True when its writer lived on this machine and holds it no more."""
    if not path.name.startswith(_HOST) or path.is_symlink():
        return False
    with path.open("rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # no locks on this file system
            return False
    return True


def _linked(source: Path, target: Path) -> bool:
    if source.is_symlink():
        return False
    try:
        target.hardlink_to(source)
    except FileNotFoundError:
        raise
    except OSError:  # another disk, or a file system without hard links
        return False
    return True


def _copied(source: Path, target: Path) -> None:
    with source.open("rb") as reader, target.open("xb") as writer:
        shutil.copyfileobj(reader, writer, 1 << 20)
        writer.flush()
        os.fsync(writer.fileno())


def sync_folder(folder: Path) -> None:
    """Make a rename in a folder outlast a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def disk_faults(what: str) -> Iterator[None]:
    """An OSError names its path, and a path may hold a patient's name: only the system's own words go on."""
    try:
        yield
    except OSError as error:
        raise StoreFault(f"the store could not {what}: {error.strerror}", hint=_hint(error)) from error


def _hint(error: OSError) -> str:
    import errno

    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "Make room on the disk that holds the state directory, and run the same command again."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "Give the user that runs the farm write permission to the state directory."
    return ""
