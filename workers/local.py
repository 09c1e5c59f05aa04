"""A stored object as a file of this machine: what parses and decodes reads paths, wherever the bytes are kept."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from common.errors import EnvironmentFault
from common.store import ObjectStore

_PIECE_BYTES = 1 << 20


@contextmanager
def local_source(
    store: ObjectStore, key: str, scratch: Path, check: Callable[[], None] = lambda: None
) -> Iterator[Path]:
    """The store's own file where it has one, else a copy below ``scratch``, gone when the block ends.

    ``check`` is asked now and then while a copy is made; it raises what is to end the work.

    Raises:
        StoreFault: the object is not there, or cannot be read.
        EnvironmentFault: the scratch folder cannot hold the copy.
    """
    path = store.local_path(key)
    if path is not None:
        yield path
        return
    copy = scratch / uuid4().hex
    try:
        _download(store, key, copy, check)
        yield copy
    finally:
        with contextlib.suppress(OSError):  # the scratch folder of an order goes as a whole soon after
            copy.unlink()


def _download(store: ObjectStore, key: str, path: Path, check: Callable[[], None]) -> None:
    with store.open(key) as reader:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as copy:
                while piece := reader.read(_PIECE_BYTES):
                    check()
                    copy.write(piece)
        except OSError as error:
            hint = (
                "Make room on the disk that holds it" if error.errno == errno.ENOSPC else "Check CINEFARM_SCRATCH_DIR"
            )
            raise EnvironmentFault(f"the scratch folder cannot be used: {error.strerror}", hint=f"{hint}.") from error
