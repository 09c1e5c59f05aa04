"""Where results go: a folder or a DICOM archive, each with one canonical URI."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, quote, unquote, urlsplit

from common.errors import PolicyError

FORMS = "A destination is a path, file:///path or dicom://AET@host:port."

_AE_TITLE = re.compile(r"[ -\[\]-~]{1,16}")
"""PS3.5 6.2, VR AE: 16 characters of the default repertoire, no backslash, no control characters."""

_HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")


@dataclass(frozen=True)
class FolderDestination:
    """A folder of this machine."""

    path: Path

    @property
    def uri(self) -> str:
        """The absolute path."""
        return str(self.path.absolute())


@dataclass(frozen=True)
class DicomDestination:
    """An archive that takes C-STORE."""

    called_aet: str
    host: str
    port: int

    @property
    def uri(self) -> str:
        """``dicom://AET@host:port``."""
        return f"dicom://{quote(self.called_aet, safe='')}@{self.host}:{self.port}"


def parse_destination(text: str) -> FolderDestination | DicomDestination:
    """Read a DEST of the command line.

    Raises:
        PolicyError: the form is unknown, or known but not in this release.
    """
    if not text.strip():
        raise PolicyError("the destination is empty", hint=FORMS)
    scheme, found, _ = text.partition("://")
    if not found:
        return FolderDestination(Path(text))
    scheme = scheme.lower()
    if scheme == "file":
        return _folder(text)
    if scheme == "dicom":
        return _archive(text)
    if scheme == "s3" or scheme.startswith("dicomweb+"):
        raise PolicyError(f"{scheme}:// destinations are not in this release", hint=FORMS)
    raise PolicyError("the form of the destination is not known", hint=FORMS)


def _split(text: str) -> SplitResult:
    try:
        return urlsplit(text)
    except ValueError as error:  # a lone bracket, or what is no address between two
        raise PolicyError("the destination is not a well-formed URI", hint=FORMS) from error


def _folder(text: str) -> FolderDestination:
    parts = _split(text)
    if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
        raise PolicyError("a file:// destination must lie on this machine", hint="Write three slashes: file:///path.")
    return FolderDestination(Path(unquote(parts.path)))


def _archive(text: str) -> DicomDestination:
    hint = "Write dicom://AET@host:port, for example dicom://ARCHIVE@pacs.example:104."
    parts = _split(text)
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise PolicyError("a DICOM destination has no path and no query", hint=hint)
    title, at, place = parts.netloc.rpartition("@")
    host, colon, port = place.rpartition(":")
    if not at or not colon:
        raise PolicyError("a DICOM destination needs an AE title, a host and a port", hint=hint)
    title = unquote(title)
    if not _AE_TITLE.fullmatch(title) or not title.strip():
        raise PolicyError("an AE title has 1 to 16 characters, no backslash and no control character", hint=hint)
    if not _HOST.fullmatch(host):
        raise PolicyError("the host of the DICOM destination is not a host name or address", hint=hint)
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise PolicyError("the port of a DICOM destination is a number from 1 to 65535", hint=hint)
    return DicomDestination(title, host, int(port))
