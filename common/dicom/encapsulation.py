"""Write a DICOM file around a video stream: flat memory, empty Basic Offset Table, true length in (7FE0,0003) (PS3.5 A.4, PS3.10 7)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Protocol

from common.dicom.transfer_syntaxes import MAX_FRAGMENT_BYTES, VideoSyntax, by_uid
from common.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from common.errors import InternalFault, NoLegalPath, TruncatedSource

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

CHUNK_BYTES = 1 << 20
"""Least size of a write: small pieces are gathered, so that a stream of tiny packets costs no tiny writes."""

ITEM = struct.Struct("<HHI")
"""Group, element and length of an item or delimiter (PS3.5 7.5)."""

_PIXEL_DATA = 0x7FE00010
_PIXEL_GROUP = 0x7FE0


class Sink(Protocol):
    """Where the file goes: it is only ever appended to."""

    def write(self, data: bytes | memoryview, /) -> int:
        """Take all of ``data``."""
        ...


def write_instance(
    out: Sink,
    header: Dataset,
    transfer_syntax_uid: str,
    stream: Iterable[bytes],
    stream_length: int,
    *,
    fragment_bytes: int = MAX_FRAGMENT_BYTES,
) -> None:
    """Write preamble, file meta, ``header`` in Explicit VR Little Endian, and ``stream`` as encapsulated Pixel Data.

    One fragment while the stream fits one; more only under a fragmentable syntax. The pad byte that makes the last fragment
    even is not part of the stream and not counted in (7FE0,0003). Elements of ``header`` above group 7FE0 follow the pixels.

    Raises:
        NoLegalPath: the stream is longer than one fragment and the syntax allows no second one.
        TruncatedSource: the stream ended early.
        InternalFault: the stream went on after ``stream_length`` bytes, or holds nothing.
    """
    syntax = by_uid(transfer_syntax_uid)
    lengths = fragment_lengths(syntax, stream_length, fragment_bytes=fragment_bytes)
    before, after = split_header(header)
    out.write(b"\0" * 128 + b"DICM")
    out.write(file_meta(header, transfer_syntax_uid))
    out.write(encoded(before))
    out.write(struct.pack("<HH2sHIQ", _PIXEL_GROUP, 0x0003, b"UV", 0, 8, stream_length))
    out.write(struct.pack("<HH2sHI", _PIXEL_GROUP, 0x0010, b"OB", 0, 0xFFFFFFFF))
    out.write(ITEM.pack(0xFFFE, 0xE000, 0))
    _write_fragments(out, lengths, _exactly(stream, stream_length))
    out.write(ITEM.pack(0xFFFE, 0xE0DD, 0))
    out.write(encoded(after))


def fragment_lengths(syntax: VideoSyntax, stream_length: int, *, fragment_bytes: int = MAX_FRAGMENT_BYTES) -> list[int]:
    """Bytes of the stream in each fragment, without padding: full fragments first, the rest last.

    Raises:
        NoLegalPath: more than one fragment is needed and the syntax forbids it.
        InternalFault: the stream holds nothing.
    """
    if stream_length < 1:
        raise InternalFault("a video stream of no bytes cannot be packaged")
    full, rest = divmod(stream_length, fragment_bytes)
    lengths = [fragment_bytes] * full + [rest] * (rest > 0)
    if len(lengths) > 1 and not syntax.fragmentable:
        raise NoLegalPath(
            f"{stream_length} bytes do not fit the one fragment of {syntax.uid}",
            hint=f"Use the fragmentable syntax {syntax.uid}.1 if the archive accepts it, or a lower bit rate.",
        )
    return lengths


def _write_fragments(out: Sink, lengths: list[int], chunks: Iterator[bytes]) -> None:
    held = memoryview(b"")
    for length in lengths:
        out.write(ITEM.pack(0xFFFE, 0xE000, length + length % 2))
        missing = length
        while missing:
            held = held or memoryview(next(chunks))
            piece, held = held[:missing], held[missing:]
            out.write(piece)
            missing -= len(piece)
        if length % 2:
            out.write(b"\0")
    # ask once more: a stream that goes on is only noticed when it is read to its end
    if any(chunks):
        raise InternalFault("the stream is longer than announced")


def _exactly(stream: Iterable[bytes], length: int) -> Iterator[bytes]:
    """The stream in chunks of at least CHUNK_BYTES (the last may be shorter); exactly ``length`` bytes or an error."""
    gathered: list[bytes] = []
    held = seen = 0
    for chunk in stream:
        seen += len(chunk)
        if seen > length:
            raise InternalFault(f"the stream is longer than the announced {length} bytes")
        gathered.append(bytes(chunk))
        held += len(chunk)
        if held >= CHUNK_BYTES:
            yield b"".join(gathered)
            gathered, held = [], 0
    if seen < length:
        raise TruncatedSource(f"the stream ended after {seen} of {length} bytes")
    if held:
        yield b"".join(gathered)


def split_header(header: Dataset) -> tuple[Dataset, Dataset]:
    """The header's elements below and above group 7FE0; none of group 7FE0 itself is the header's to set."""
    tags = [tag for tag in header.keys() if tag.group != _PIXEL_GROUP]  # noqa: SIM118 - raw elements must stay raw
    before = [tag for tag in tags if tag < _PIXEL_DATA]
    return part_of(header, before), part_of(header, [tag for tag in tags if tag > _PIXEL_DATA])


def part_of(header: Dataset, tags: list[BaseTag]) -> Dataset:
    """Some elements of a header, in a dataset that decodes raw ones as ``header`` does."""
    from pydicom.dataset import Dataset

    # elements are handed over at once: Dataset.__setitem__ would decode the private ones
    part = Dataset({tag: header.get_item(tag) for tag in tags}, parent_encoding=header.original_character_set)
    implicit, little = header.original_encoding
    if implicit is not None and little is not None:
        part.set_original_encoding(implicit, little, header.original_character_set)
    return part


def encoded(dataset: Dataset) -> bytes:
    """Elements in Explicit VR Little Endian."""
    from pydicom.config import disable_value_validation
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset

    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    with disable_value_validation():  # a source's odd values survive as they are, and none is named in a log
        write_dataset(buffer, dataset)
    return buffer.getvalue()


def file_meta(header: Dataset, transfer_syntax_uid: str) -> bytes:
    """The File Meta Information of a new file (PS3.10 7.1)."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_file_meta_info
    from pydicom.uid import UID

    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = header.SOPClassUID
    meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_file_meta_info(buffer, meta)
    return buffer.getvalue()
