"""From a URL to a store: the one place that knows which rooms there are."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from common.errors import PolicyError
from common.store.base import ObjectStore
from common.store.folder import FolderStore


def open_store(url: str) -> ObjectStore:
    """The store at ``url``: a path or ``file:///path``.

    Raises:
        PolicyError: no store of this kind is known.
    """
    scheme, found, _ = url.partition("://")
    if not found:
        return FolderStore(Path(url).absolute())
    if scheme == "file":
        return FolderStore(Path(unquote(urlsplit(url).path)))
    raise PolicyError(f"object stores of kind {scheme}:// are not in this release", hint="Use a path or file:///path.")
