"""Write a text file aside, and rename it when it is whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def written_aside(path: Path, *, encoding: str = "utf-8", newline: str | None = None) -> Iterator[TextIO]:
    """A stream whose content appears at ``path`` at once when the block ends well, and not at all when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # a name that is no Unicode must not cost the whole report: it is shown with its bytes escaped
        with aside.open("w", encoding=encoding, newline=newline, errors="backslashreplace") as stream:
            yield stream
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
