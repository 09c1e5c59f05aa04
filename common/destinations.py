"""Where results go: a folder, a bucket, a DICOM archive or a DICOMweb server, each with one canonical URI."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, quote, unquote, urlsplit

from common.errors import PolicyError

FORMS = (
    "A destination is a path, file:///path, s3://bucket/prefix, dicom://AET@host:port or dicomweb+https://host/path."
)

_AE_TITLE = re.compile(r"[ -\[\]-~]{1,16}")
"""PS3.5 6.2, VR AE: 16 characters of the default repertoire, no backslash, no control characters."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
"""Amazon S3, General purpose bucket naming rules."""

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
    """An archive that takes C-STORE; with ``tls`` by the profiles of BCP 195 (PS3.15 B)."""

    called_aet: str
    host: str
    port: int
    tls: bool = False

    @property
    def uri(self) -> str:
        """``dicom://AET@host:port`` or ``dicom+tls://AET@host:port``."""
        return f"dicom{'+tls' if self.tls else ''}://{quote(self.called_aet, safe='')}@{self.host}:{self.port}"


@dataclass(frozen=True)
class S3Destination:
    """A bucket, or a prefix in one, on the server of the settings."""

    bucket: str
    prefix: str = ""  # '/'-separated, no '/' at either end

    @property
    def uri(self) -> str:
        """``s3://bucket/prefix``."""
        return f"s3://{self.bucket}/{quote(self.prefix)}".removesuffix("/")


@dataclass(frozen=True)
class WebDestination:
    """A DICOMweb server (PS3.18): the base of its services."""

    base_url: str  # http[s]://host[:port]/path, no '/' at the end

    @property
    def uri(self) -> str:
        """``dicomweb+https://host/path``."""
        return f"dicomweb+{self.base_url}"


AnyDestination = FolderDestination | DicomDestination | S3Destination | WebDestination


def parse_destination(text: str) -> AnyDestination:
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
    if scheme in {"dicom", "dicom+tls"}:
        return _archive(text)
    if scheme == "s3":
        return _bucket(text)
    if scheme in {"dicomweb+http", "dicomweb+https"}:
        return _web(text)
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
    return DicomDestination(title, host, int(port), tls=parts.scheme.lower() == "dicom+tls")


def _bucket(text: str) -> S3Destination:
    hint = "Write s3://bucket/prefix; a bucket's name has 3 to 63 lower-case letters, digits, '.' and '-'."
    parts = _split(text)
    if not _BUCKET.fullmatch(parts.netloc) or parts.query or parts.fragment:
        raise PolicyError("an S3 place is a bucket and perhaps a prefix", hint=hint)
    return S3Destination(parts.netloc, unquote(parts.path).strip("/"))


def _web(text: str) -> WebDestination:
    hint = "Write dicomweb+https://host/path, for example dicomweb+https://pacs.example/dicom-web."
    parts = _split(text)
    host, _, port = (
        parts.netloc.rpartition(":") if parts.netloc.rfind(":") > parts.netloc.rfind("]") else (parts.netloc, "", "")
    )
    if parts.username is not None or not _HOST.fullmatch(host) or (port and not port.isdigit()):
        raise PolicyError(
            "a DICOMweb destination is a host, perhaps a port, and a path; passwords go into settings", hint=hint
        )
    if parts.query or parts.fragment:
        raise PolicyError("a DICOMweb destination has no query", hint=hint)
    return WebDestination(f"{parts.scheme.lower().removeprefix('dicomweb+')}://{parts.netloc}{parts.path.rstrip('/')}")
