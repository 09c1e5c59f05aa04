"""From a URL to a store: the one place that knows which rooms there are."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from common.errors import PolicyError
from common.settings import Settings
from common.store.base import ObjectStore
from common.store.folder import FolderStore


def open_store(url: str, settings: Settings | None = None) -> ObjectStore:
    """The store at ``url``: a path, ``file:///path`` or ``s3://bucket/prefix``. Nothing is opened or made yet.

    ``settings`` say how to reach an S3 server; default: those of the environment.

    Raises:
        PolicyError: no store of this kind is known, or the settings of this kind do not fit together.
    """
    scheme, found, _ = url.partition("://")
    if not found:
        return FolderStore(Path(url).absolute())
    if scheme == "file":
        return FolderStore(Path(unquote(urlsplit(url).path)))
    if scheme == "s3":
        from common.store.s3 import S3Store

        place = urlsplit(url)
        return S3Store(place.netloc, unquote(place.path).strip("/"), settings or Settings())
    raise PolicyError(f"no object store of kind {scheme}:// is known", hint="Use a path, file:///path or s3://bucket.")
