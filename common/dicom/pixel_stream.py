"""A DICOM file without its pixels, and where those lie: fragments, frames, native extent; no pixel value in memory."""

from __future__ import annotations

import io
import struct
import warnings
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from common.dicom.fragments import MAX_FRAGMENTS, Fragment, FragmentReader, fragments, read_items
from common.errors import CinefarmError, NotVideo, TruncatedSource, UnreadableSource, UnsupportedSource

if TYPE_CHECKING:
    from pydicom.dataset import Dataset, FileDataset
    from pydicom.tag import BaseTag

__all__ = ["Fragment", "FragmentReader", "Header", "fragments", "frame_fragments"]
__all__ += ["integer", "looks_like_dicom", "native_extent", "read_header"]

MAX_ELEMENT_BYTES = 256 << 20
"""Longest header value that is read; the longest legal ones in use (offset tables, waveforms) are far shorter."""

_UNDEFINED = 0xFFFFFFFF
_PIXEL_DATA = 0x7FE00010
_OTHER_PAYLOADS = frozenset({0x7FE00008, 0x7FE00009, 0x00420011})  # float and double pixels, an encapsulated document
_IMPLICIT, _EXPLICIT, _DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"
_NATIVE = frozenset({_IMPLICIT, _EXPLICIT, "1.2.840.10008.1.2.2"})
_MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"
_ITEM = struct.Struct("<HHI")
_FRAME_STARTS = (b"\xff\xd8", b"\xff\x4f", b"\xff\x0a")  # JPEG and JPEG-LS SOI, JPEG 2000 SOC, JPEG XL


@dataclass(frozen=True)
class Header:
    """A DICOM file without its pixels; ``dataset``: the elements before and after Pixel Data, and the file meta."""

    path: Path
    dataset: FileDataset
    transfer_syntax_uid: str
    pixel_data_offset: int  # of the tag (7FE0,0010)
    pixel_data_vr: str
    value_offset: int  # of the first byte of its value
    length: int | None  # as declared; None: undefined, so encapsulated
    fragments: tuple[Fragment, ...]  # empty: native
    offset_table: tuple[int, ...]  # Basic Offset Table; often empty
    table_bytes: int = 0  # length of the item that holds it
    delimited: bool = True  # the sequence of fragments has its delimiter
    end: int = 0  # offset behind Pixel Data, its delimiter included
    last_byte: int | None = None  # of the last fragment: the pad byte, where there is one

    @property
    def frames(self) -> int:
        """Number of Frames (0028,0008), at least 1; what no number is counts as 1."""
        return max(1, integer(self.dataset, "NumberOfFrames"))


def read_header(path: Path, only: frozenset[int] | None = None) -> Header:
    """All elements but Pixel Data, and where that lies. The preamble may be missing where the rest looks like DICOM.

    ``only``: for whoever judges a file and uses no other values: elements before Pixel Data with these tags alone, so
    that no other takes memory, and fragments whose delimiter is missing at the file's end are no error.

    Raises:
        NotVideo: DICOM, but a media directory, a document, or anything else without Pixel Data.
        UnreadableSource: not DICOM, or broken beyond reading.
        TruncatedSource: it ends inside an element, a fragment, or before the sequence delimiter.
        UnsupportedSource: the deflated syntax, or values beyond our bounds.
    """
    size = path.stat().st_size
    with path.open("rb", buffering=0) as raw, _Bounded(raw) as f:
        if not looks_like_dicom(f.read(132)):
            raise UnreadableSource("this is no DICOM file")
        walk = _Walk(f, size, only)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of values; whoever uses a value judges it
                return walk.header(path)
        except (CinefarmError, MemoryError):
            raise
        except Exception as error:  # pydicom raises what it likes on broken bytes, OSError without a number too
            if isinstance(error, OSError) and error.errno is not None:
                raise
            if f.tell() >= size:
                raise TruncatedSource("the DICOM file ends inside its header") from error
            raise UnreadableSource("the DICOM header cannot be parsed") from error


def frame_fragments(header: Header) -> list[tuple[Fragment, ...]]:
    """The fragments of each frame: by the Extended or Basic Offset Table, else one a frame, else by JPEG start markers.

    A table that does not fit the fragments is passed over (PS3.5 A.4 makes it optional; wrong ones are common).

    Raises:
        TruncatedSource: fewer frames than Number of Frames says.
        UnreadableSource: more of them, or bounds that cannot be found.
    """
    frames, parts = header.frames, header.fragments
    if frames == 1:
        return [parts]
    if extended := _by_extended_table(header):
        return extended
    if len(parts) < frames:
        raise TruncatedSource(f"the header says {frames} frames, the pixel data holds {len(parts)} fragments")
    index = {fragment.offset - parts[0].offset: number for number, fragment in enumerate(parts)}
    firsts = [index.get(offset, -1) for offset in header.offset_table]
    if len(firsts) == frames and firsts[0] == 0 and all(0 <= a < b for a, b in pairwise(firsts)):
        return _grouped(parts, firsts)
    return [(part,) for part in parts] if len(parts) == frames else _by_markers(header)


def native_extent(header: Header) -> tuple[int, int]:
    """(offset, bytes) of native Pixel Data, without padding (PS3.5 8.1.1 and 8.2).

    Raises:
        TruncatedSource: the element or the file is shorter than Rows × Columns × samples × frames need.
        UnreadableSource: the header gives no such size, or the pixel data is encapsulated.
    """
    if header.length is None:
        raise UnreadableSource("the pixel data is encapsulated, not native")
    names = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")
    rows, columns, samples, bits = (integer(header.dataset, name) for name in names)
    if min(rows, columns, samples, bits) < 1:
        raise UnreadableSource("the header gives no rows, columns, samples or bits for its pixel data")
    if samples == 3 and header.dataset.get("PhotometricInterpretation") == "YBR_FULL_422":
        samples = 2  # one Cb and one Cr for two Y (PS3.3 C.7.6.3.1.2)
    needed = (rows * columns * samples * bits * header.frames + 7) // 8
    held = min(header.length, header.path.stat().st_size - header.value_offset)
    if held < needed:
        raise TruncatedSource(f"the header says {needed} bytes of pixels, the file holds {max(held, 0)}")
    return header.value_offset, needed


def looks_like_dicom(start: bytes) -> bool:
    """Whether a file may be DICOM by its first 132 bytes: the DICM prefix (PS3.10 7.1), else a believable first element.

    Without the prefix that is one of group 0002 or 0008 with a known VR or, in implicit VR, a short length.
    """
    from pydicom.valuerep import VR

    if start[128:132] == b"DICM":
        return True
    if len(start) < 132:
        return False
    group, element, length = _ITEM.unpack(start[:8])
    known_vr = start[4:6].decode("latin-1") in {vr.value for vr in VR}
    return group in (0x0002, 0x0008) and element <= 0x0080 and (known_vr or length <= 64)


class _Bounded(io.BufferedReader):
    """Refuses reads beyond our bounds: a length in a broken header can ask for 4 GiB."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= MAX_ELEMENT_BYTES:
            raise UnsupportedSource(f"a header value is longer than {MAX_ELEMENT_BYTES} bytes")
        return super().read(size)


class _Walk:
    """One reading of a DICOM file from its start; notes the payload element that pydicom is told to stop at."""

    def __init__(self, f: _Bounded, size: int, only: frozenset[int] | None) -> None:
        self._f, self._size, self._only = f, size, only
        self._seen = 0  # top-level elements
        self._payload: tuple[int, str | None, int, int] | None = None  # tag, VR, length, offset of the value

    def header(self, path: Path) -> Header:
        """What read_header returns; raises what it raises."""
        from pydicom.filereader import read_file_meta_info, read_partial

        self._f.seek(0)
        has_preamble = self._f.read(132)[128:] == b"DICM"
        if has_preamble and str(read_file_meta_info(path).get("TransferSyntaxUID", "")) == _DEFLATED:
            raise UnsupportedSource("the deflated transfer syntax is not read; inflate the file first")
        self._f.seek(0)
        # mypy: pydicom wants a BinaryIO, which a BufferedReader is
        tags = None if self._only is None else [*self._only]
        dataset = read_partial(cast(BinaryIO, self._f), stop_when=self._stop, force=True, specific_tags=tags)
        if self._seen and not len(dataset):
            raise TruncatedSource("the DICOM file ends inside its header")  # pydicom drops all it read
        meta = dataset.file_meta
        if _MEDIA_DIRECTORY in (str(meta.get("MediaStorageSOPClassUID", "")), str(dataset.get("SOPClassUID", ""))):
            raise NotVideo("a DICOMDIR lists files and holds no images itself")
        implicit = bool(dataset.original_encoding[0])
        syntax = str(meta.get("TransferSyntaxUID") or (_IMPLICIT if implicit else _EXPLICIT))
        return self._located(path, dataset, syntax, implicit)

    def _stop(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        """Called by pydicom before each top-level value: bounds first, then whether this is the payload."""
        self._seen += 1
        value = self._f.tell()
        if tag == _PIXEL_DATA or tag in _OTHER_PAYLOADS:
            self._payload = (int(tag), vr, length, value)
            return True
        if length != _UNDEFINED and value + length > self._size:
            raise TruncatedSource("the DICOM file ends inside its header")
        return False

    def _located(self, path: Path, dataset: FileDataset, syntax: str, implicit: bool) -> Header:
        from common.dicom.transfer_syntaxes import is_video

        if self._payload is None:
            if is_video(syntax) or integer(dataset, "NumberOfFrames") > 1:
                raise TruncatedSource("the header announces frames, but the file ends before any pixel data")
            raise NotVideo("a DICOM file without pixel data")
        tag, vr, length, value = self._payload
        if tag != _PIXEL_DATA:
            raise NotVideo("a DICOM file whose content is no image pixels")
        items: list[Fragment] = []
        table: tuple[int, ...] = ()
        if length != _UNDEFINED:
            end = value + length
            if end > self._size:
                raise TruncatedSource(f"pixel data of {length} bytes, but the file holds {self._size - value} of them")
        elif syntax in _NATIVE:
            raise UnreadableSource("encapsulated pixel data under a native transfer syntax")
        else:
            items, end = read_items(self._f, value, self._size, open_end=self._only is not None)
            table = _offset_table(self._f, items[0])
        if self._only is None:
            self._read_trailer(dataset, end, implicit)
        return Header(
            path=path,
            dataset=dataset,
            transfer_syntax_uid=syntax,
            pixel_data_offset=value - (8 if implicit else 12),
            pixel_data_vr=vr or "OW",  # what implicit VR means (PS3.5 A.1)
            value_offset=value,
            length=None if length == _UNDEFINED else length,
            fragments=tuple(items[1:]),
            offset_table=table,
            table_bytes=items[0].length if items else 0,
            delimited=not items or end > items[-1].offset + items[-1].length,
            end=end,
            last_byte=self._last_byte(items[1:]),
        )

    def _last_byte(self, parts: list[Fragment]) -> int | None:
        if not parts or not parts[-1].length:
            return None
        self._f.seek(parts[-1].offset + parts[-1].length - 1)
        return self._f.read(1)[0]

    def _read_trailer(self, dataset: FileDataset, end: int, implicit: bool) -> None:
        """Elements after Pixel Data (signatures, private ones) belong to the header too."""
        from pydicom.filereader import read_dataset

        self._f.seek(end)
        if self._size - end < 8:
            return
        little = dataset.original_encoding[1] is not False
        self._payload = None
        encoding = dataset.original_character_set or "iso8859"
        f = cast(BinaryIO, self._f)
        dataset.update(read_dataset(f, implicit, little, stop_when=self._stop, parent_encoding=encoding))


def _offset_table(f: _Bounded, item: Fragment) -> tuple[int, ...]:
    count = min(item.length // 4, MAX_FRAGMENTS)
    f.seek(item.offset)
    return struct.unpack(f"<{count}I", f.read(4 * count))


def _by_extended_table(header: Header) -> list[tuple[Fragment, ...]] | None:
    """(7FE0,0001) and (7FE0,0002): one fragment a frame, counted from the item after the BOT (PS3.3 C.7.6.3.1.8)."""
    count, parts = header.frames, header.fragments
    tables = [header.dataset.get(name) for name in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")]
    if not parts or not all(isinstance(table, bytes) and len(table) == 8 * count for table in tables):
        return None
    offsets, lengths = (struct.unpack(f"<{count}Q", cast(bytes, table)) for table in tables)
    held = {fragment.offset - parts[0].offset: fragment for fragment in parts}
    if any(offset not in held or length > held[offset].length for offset, length in zip(offsets, lengths, strict=True)):
        return None
    return [(Fragment(held[offset].offset, length),) for offset, length in zip(offsets, lengths, strict=True)]


def _by_markers(header: Header) -> list[tuple[Fragment, ...]]:
    """More fragments than frames and no table: a frame begins where a fragment begins with an image's first marker."""
    with header.path.open("rb") as f:
        firsts = [number for number, part in enumerate(header.fragments) if _begins_image(f, part)]
    if len(firsts) < header.frames:
        raise TruncatedSource(f"the header says {header.frames} frames, the fragments begin {len(firsts)}")
    if len(firsts) > header.frames or firsts[0] != 0:
        raise UnreadableSource(f"the header says {header.frames} frames, the fragments begin {len(firsts)}")
    return _grouped(header.fragments, firsts)


def _begins_image(f: BinaryIO, fragment: Fragment) -> bool:
    f.seek(fragment.offset)
    return fragment.length >= 2 and f.read(2) in _FRAME_STARTS


def _grouped(parts: tuple[Fragment, ...], firsts: list[int]) -> list[tuple[Fragment, ...]]:
    return [parts[first:last] for first, last in pairwise([*firsts, len(parts)])]


def integer(dataset: Dataset, keyword: str) -> int:
    """The value of an integer attribute (IS or US); 0 where there is none or it is no number."""
    try:
        return int(str(dataset.get(keyword) or 0))
    except (ValueError, TypeError, AttributeError):
        return 0
