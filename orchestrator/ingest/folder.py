"""Walks a source folder: one value per file, in a stable order, whatever the file system holds."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from common.errors import PolicyError, UnreadableSource
from orchestrator.ingest.found import Found, Scope

READ_HINT = "Give the user that runs the farm read permission, and run the same command again."


@dataclass(frozen=True)
class FolderSource:
    """A folder, or one file, of this machine. See Source."""

    path: Path

    @property
    def uri(self) -> str:
        """Its absolute path."""
        return str(self.path.absolute())

    @property
    def shown(self) -> str:
        """Its absolute path."""
        return self.uri

    def require(self) -> None:
        """See Source."""
        if not self.path.exists():
            raise PolicyError(f"the source {self.path} does not exist", hint="Check the path.")

    def find(self, scope: Scope) -> Iterator[Found]:
        """See Source."""
        return find(self.path, exclude=scope.folders, ignored=scope.ignored)


def find(source: Path, *, exclude: Sequence[Path] = (), ignored: Counter[str] | None = None) -> Iterator[Found]:
    """Yield every file below ``source`` (or the file itself), sorted by name; only one folder's names are held.

    Not yielded but counted in ``ignored``: hidden names, DICOMDIR, what is neither file nor folder, the folders of
    ``exclude``, and links to folders that the walk meets anyway. Yielded with a ``problem``: what cannot be read.

    Raises:
        PolicyError: ``source`` does not exist, or is itself excluded (it is the destination).
    """
    root = Path(os.path.abspath(source))  # noqa: PTH100 resolve() would hide the name that the user knows
    try:
        info = root.stat()
    except OSError as error:
        raise PolicyError(f"the source cannot be found: {error.strerror}", hint="Check the path.") from error
    if stat.S_ISREG(info.st_mode):
        yield _file(root, root.name, info)
        return
    if not stat.S_ISDIR(info.st_mode):
        raise PolicyError("the source is neither a file nor a folder", hint="Check the path.")
    walk = _Walk(root, ignored if ignored is not None else Counter(), _identities(exclude))
    if _identity(info) in walk.excluded:
        raise PolicyError("the source is also the destination or the state folder", hint="Choose another destination.")
    yield from walk.folder(root, "")


def _identity(info: os.stat_result) -> tuple[int, int]:
    return info.st_dev, info.st_ino


def _identities(paths: Sequence[Path]) -> set[tuple[int, int]]:
    return {_identity(path.stat()) for path in paths if path.exists()}


@dataclass
class _Walk:
    root: Path
    ignored: Counter[str]
    excluded: set[tuple[int, int]]
    followed: set[tuple[int, int]] = field(default_factory=set)  # targets of links that lead out of the source

    def folder(self, path: Path, relative: str) -> Iterator[Found]:
        """A folder's files, then its folders; a stack of our own, so no depth meets Python's recursion limit."""
        stack = [(path, relative)]
        while stack:
            here, below = stack.pop()
            try:
                names = sorted(os.listdir(here))  # noqa: PTH208 names alone: a folder may hold a million
            except OSError as error:
                yield _problem(here, below or "./", f"the folder cannot be listed: {error.strerror}")
                continue
            folders: list[tuple[Path, str]] = []
            for name in names:
                if found := self._entry(here / name, below + name, name, folders):
                    yield found
            stack.extend(reversed(folders))

    def _entry(self, path: Path, relative: str, name: str, folders: list[tuple[Path, str]]) -> Found | None:
        """The file at ``path``; a folder is appended to ``folders``; what is ignored is counted."""
        try:
            info = None if _ignored_name(name) else path.stat()
        except OSError as error:
            return _problem(path, relative, f"the file cannot be reached: {error.strerror}")
        why = self._why_ignored(path, name, info)
        if info is None or why:
            self.ignored[why] += 1
            return None
        if stat.S_ISREG(info.st_mode):
            return _file(path, relative, info)
        folders.append((path, relative + "/"))
        return None

    def _why_ignored(self, path: Path, name: str, info: os.stat_result | None) -> str:
        if info is None:
            return _ignored_name(name)
        if stat.S_ISREG(info.st_mode):
            return ""
        if not stat.S_ISDIR(info.st_mode):
            return "neither file nor folder"
        return self._skip_folder(path, info)

    def _skip_folder(self, path: Path, info: os.stat_result) -> str:
        if _identity(info) in self.excluded:
            return "destination or state folder"
        if not path.is_symlink():
            return ""
        # a link into the source would show files twice, or for ever; each target outside is followed once
        if path.resolve().is_relative_to(self.root.resolve()) or _identity(info) in self.followed:
            return "link to a folder met elsewhere"
        self.followed.add(_identity(info))
        return ""


def _ignored_name(name: str) -> str:
    if name.startswith("."):
        return "hidden"
    return "DICOMDIR" if name.upper() == "DICOMDIR" else ""


def _file(path: Path, relative: str, info: os.stat_result) -> Found:
    if relative.encode("utf-8", "replace") != os.fsencode(relative):
        return _problem(
            path, relative, "the file's name is not valid UTF-8", hint="Rename the file (for example with convmv)."
        )
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except PermissionError:
        return _problem(path, relative, "no read permission for the user running the farm", hint=READ_HINT, info=info)
    except OSError as error:
        return _problem(path, relative, f"the file cannot be opened: {error.strerror}", info=info)
    return Found(path, info.st_size, info.st_mtime_ns, relative)


def _problem(
    path: Path, relative: str, message: str, *, hint: str = READ_HINT, info: os.stat_result | None = None
) -> Found:
    size, mtime = (info.st_size, info.st_mtime_ns) if info else (0, 0)
    return Found(Path(_storable(str(path))), size, mtime, _storable(relative), UnreadableSource(message, hint=hint))


def _storable(name: str) -> str:
    """A name as text that every database takes: bytes that are no UTF-8 are written as ``\\xNN``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
