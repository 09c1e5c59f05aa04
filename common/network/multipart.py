"""multipart/related with one part (RFC 2387, RFC 2046 5.1), as DICOMweb wraps an instance: written around a stream, read as one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from email.message import Message
from uuid import uuid4

from common.errors import DestinationRefused, DestinationUnavailable

DICOM = "application/dicom"

_MOST_HEAD_BYTES = 16_384
"""Preamble and headers of a part; servers send a few hundred bytes."""


class Envelope:
    """What goes before and after one DICOM file in a request."""

    def __init__(self) -> None:
        boundary = f"cinefarm-{uuid4().hex}"
        self.content_type = f'multipart/related; type="{DICOM}"; boundary={boundary}'
        self.before = f"--{boundary}\r\nContent-Type: {DICOM}\r\n\r\n".encode()
        self.after = f"\r\n--{boundary}--\r\n".encode()


def single_part(content_type: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The content of the one part of a multipart body, as it comes; a body that is a DICOM file itself passes unchanged.

    Raises:
        DestinationRefused: the body is of another kind, or holds another number of parts.
        DestinationUnavailable: it ends before its last boundary, or the part has another length than it says.
    """
    message = Message()
    message["Content-Type"] = content_type
    kind = message.get_content_type()
    if kind in {DICOM, "application/octet-stream"}:
        yield from pieces
        return
    boundary = message.get_boundary()
    if not kind.startswith("multipart/") or not boundary or len(boundary) > 200:
        raise DestinationRefused("the DICOMweb server answers with something other than a DICOM file")
    yield from _Reader(boundary.encode("latin-1", "replace"), iter(pieces)).content()


class _Reader:
    """Holds a piece and what may be the beginning of a boundary, no more."""

    def __init__(self, boundary: bytes, pieces: Iterator[bytes]) -> None:
        self._mark = b"\r\n--" + boundary
        self._pieces = pieces
        self._held = b"\r\n"  # the first boundary may stand at the very start

    def content(self) -> Iterator[bytes]:
        """See single_part."""
        self._skip_to_first_part()
        declared, passed = self._length_in_headers(), 0
        keep = len(self._mark) - 1
        while (at := self._held.find(self._mark)) < 0:
            if len(self._held) > keep:
                passed += len(self._held) - keep
                yield self._held[:-keep]
                self._held = self._held[-keep:]
            self._more()
        if at:
            yield self._held[:at]
        passed += at
        self._held = self._held[at + len(self._mark) :]
        if declared is not None and declared != passed:
            raise DestinationUnavailable("the DICOMweb server sent an instance of another length than it said")
        self._require_end()

    def _skip_to_first_part(self) -> None:
        while (at := self._held.find(self._mark)) < 0:
            self._more_head()
        self._held = self._held[at + len(self._mark) :]
        if self._ended():
            raise DestinationRefused("the DICOMweb server's answer holds no instance")

    def _length_in_headers(self) -> int | None:
        """Content-Length of the part; None: it says none. The headers are gone then."""
        while (at := self._held.find(b"\r\n\r\n")) < 0:
            self._more_head()
        lines = self._held[:at].decode("latin-1").split("\r\n")
        self._held = self._held[at + 4 :]
        for name, _, value in (line.partition(":") for line in lines):
            if name.strip().lower() == "content-length" and value.strip().isascii() and value.strip().isdigit():
                return int(value)
        return None

    def _ended(self) -> bool:
        while len(self._held) < 2:
            self._more()
        return self._held.startswith(b"--")

    def _require_end(self) -> None:
        if not self._ended():
            raise DestinationRefused("the DICOMweb server's answer holds more than the one instance that was asked for")
        for _ in self._pieces:  # the epilogue, so that the connection can be used again
            pass

    def _more(self) -> None:
        try:
            self._held += next(self._pieces)
        except StopIteration:
            raise DestinationUnavailable("the DICOMweb server's answer ended inside the instance") from None

    def _more_head(self) -> None:
        if len(self._held) > _MOST_HEAD_BYTES:
            raise DestinationRefused("the DICOMweb server's answer does not begin as multipart does")
        self._more()
