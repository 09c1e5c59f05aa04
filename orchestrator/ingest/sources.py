"""A SOURCE as it is written: a path, or the URI of a place whose contents are listed over the network."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from common.errors import PolicyError
from orchestrator.ingest.archive import ArchiveSource
from orchestrator.ingest.bucket import BucketSource
from orchestrator.ingest.dicomweb import WebSource
from orchestrator.ingest.folder import FolderSource
from orchestrator.ingest.found import Source

FORMS = (
    "A source is a path, file:///path, s3://bucket/prefix, dicom://AET@host:port?Keyword=value&… or "
    "dicomweb+https://host/path?Keyword=value&…"
)


def parse_source(text: str) -> Source:
    """Read a SOURCE of the command line.

    Raises:
        PolicyError: the form is unknown.
    """
    if not text.strip():
        raise PolicyError("the source is empty", hint="Name a folder or a file.")
    scheme, found, _ = text.partition("://")
    if not found:
        return FolderSource(Path(text))
    scheme = scheme.lower()
    if scheme == "file":
        return FolderSource(_file_uri_path(text))
    if scheme in {"dicom", "dicom+tls"}:
        return ArchiveSource.parse(text)
    if scheme in {"dicomweb+http", "dicomweb+https"}:
        return WebSource.parse(text)
    if scheme == "s3":
        return BucketSource.parse(text)
    raise PolicyError("the form of the source is not known", hint=FORMS)


def shown(uri: str) -> str:
    """A source of the ledger as people, reports and logs may see it."""
    return parse_source(uri).shown


def _file_uri_path(text: str) -> Path:
    parts = urlsplit(text, allow_fragments=False)
    if parts.netloc not in {"", "localhost"}:
        raise PolicyError("a file:// source must lie on this machine", hint="Write three slashes: file:///path.")
    return Path(unquote(parts.path + ("?" + parts.query if parts.query else "")))
