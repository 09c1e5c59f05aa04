"""What the first bytes of a file say it is, and whether a container is as long as its own header says."""

from __future__ import annotations

from typing import Any, BinaryIO

from common.bitstream import BitstreamError, mpegts
from common.bitstream.mp4 import Mp4Layout, TruncatedMp4Error, read_layout
from common.errors import NotVideo, TruncatedSource, UnreadableSource

HEAD_BYTES = 4096
"""Enough for every signature below, three TS packets among them."""

VIDEO_SUFFIXES = frozenset({"mp4", "m4v", "mov", "qt", "mpg", "mpeg", "mpe", "m1v", "m2v", "vob", "ts", "mts", "m2ts"})
VIDEO_SUFFIXES |= {
    "m2t",
    "tp",
    "avi",
    "divx",
    "mkv",
    "webm",
    "wmv",
    "asf",
    "flv",
    "f4v",
    "mxf",
    "dv",
    "3gp",
    "3g2",
    "ogv",
}
VIDEO_SUFFIXES |= {"264", "h264", "avc", "265", "h265", "hevc", "ivf", "gxf", "nut"}
"""File name extensions that claim video."""

DICOM_SUFFIXES = frozenset({"dcm", "dicom", "dic"})

_STILL_BRANDS = frozenset({b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis", b"crx "})
_MP4_STARTS = frozenset({b"ftyp", b"moov", b"mdat", b"wide"})
_MP4_FILLERS = frozenset({b"free", b"skip", b"pnot", b"styp"})

_OTHERS = (
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"BM", "a BMP image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"%PDF", "a PDF document"),
    (b"PK\3\4", "a ZIP archive or office document"),
    (b"\xd0\xcf\x11\xe0", "an office document"),
    (b"{\\rtf", "a text document"),
    (b"ID3", "an audio file"),
    (b"fLaC", "an audio file"),
    (b"OggS", "an Ogg file without video"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
)
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_MXF_KEY = bytes.fromhex("060e2b34")
_EBML, _SEGMENT = bytes.fromhex("1a45dfa3"), bytes.fromhex("18538067")
_RIFF_SLACK = 9  # writers that count the RIFF header itself, and a missing pad byte


def signature(start: bytes, size: int) -> str | None:
    """The video container that ``start`` surely begins (mp4, avi, matroska, mpegts, mpegps, asf, flv, mxf), else None."""
    kind = start[4:8]
    if kind in _MP4_STARTS or (kind in _MP4_FILLERS and 8 <= int.from_bytes(start[:4]) <= size):
        return "mp4"
    if start[:4] == b"RIFF" and start[8:12] == b"AVI ":
        return "avi"
    magics = (
        (_EBML, "matroska"),
        (b"\0\0\1\xba", "mpegps"),
        (_ASF_HEADER, "asf"),
        (b"FLV\1", "flv"),
        (_MXF_KEY, "mxf"),
    )
    for magic, word in magics:
        if start.startswith(magic):
            return word
    return "mpegts" if mpegts.packet_size(start) else None


def words(start: bytes) -> str:
    """What a file that is no video seems to be, for a person."""
    for magic, what in _OTHERS:
        if start.startswith(magic):
            return what
    if start[:4] == b"RIFF":
        return (
            "a WebP image" if start[8:12] == b"WEBP" else "an audio file" if start[8:12] == b"WAVE" else "a RIFF file"
        )
    try:
        text = start[: HEAD_BYTES - 4].decode()
    except UnicodeDecodeError:
        return "data of an unknown kind"
    return (
        "text"
        if all(letter.isprintable() or letter in "\r\n\t\f\ufeff" for letter in text)
        else "data of an unknown kind"
    )


def check_whole(f: BinaryIO, word: str | None) -> Mp4Layout | None:
    """Refuse a container that is shorter than its header says; returns the layout of an MP4 that we understand.

    Raises:
        TruncatedSource: it is cut short, or is an MP4 whose index was never written.
        NotVideo: a still image in an MP4-like box structure (HEIF, AVIF).
        UnreadableSource: an MP4 whose video lies in another file.
    """
    size = f.seek(0, 2)
    f.seek(0)
    if word == "mp4":
        return _mp4(f)
    end = _riff_end(f, size) if word == "avi" else _matroska_end(f) if word == "matroska" else None
    if end is not None and end > size:
        raise TruncatedSource(f"the {word} header says {end} bytes, the file holds {size}")
    return None


def container_facts(f: BinaryIO, word: str | None, layout: Mp4Layout | None) -> dict[str, Any]:
    """What the container's own tables say: the fields of a Description for MP4 (``layout``) or MPEG-TS (``word``)."""
    if layout:
        return {
            "moov_first": layout.moov_first,
            "fragmented": layout.fragmented,
            "edit_list": layout.edit_list,
            "sample_entry": layout.sample_entry,
            "sample_entries": layout.video.entries if layout.video else None,
            "external_data": layout.external,
        }
    if word != "mpegts":
        return {}
    f.seek(0)
    tables = mpegts.read_tables(f.read(mpegts.HEAD_BYTES))
    if tables is None:
        return {}
    types = tables.video_types
    return {
        "programs": len(tables.programs),
        "stream_type": types[0] if types else None,
        "packet_bytes": tables.packet_bytes,
    }


def container_name(name: str, layout: Mp4Layout | None) -> str:
    """``name``, or mov where an MP4's brand says QuickTime or it has none (ISO/IEC 14496-12 demands one)."""
    return "mov" if name == "mp4" and layout is not None and layout.brand in ("", "qt  ") else name


def _mp4(f: BinaryIO) -> Mp4Layout | None:
    start = f.read(12)
    try:
        layout = read_layout(f)
        if layout.video and layout.video.external:
            raise UnreadableSource(
                "the video's samples lie in another file (dref)", hint="Save the video self-contained, in one file."
            )
        return layout
    except TruncatedMp4Error as error:
        raise TruncatedSource(f"the MP4 is cut short: {error}") from error
    except BitstreamError as error:
        if "no moov" not in str(error):
            return None  # FFmpeg may understand what we do not
        if start[8:12] in _STILL_BRANDS:
            raise NotVideo("a still image (HEIF or AVIF)") from error
        raise TruncatedSource("the MP4 has no index (moov): its recording or its copying was cut off") from error


def _riff_end(f: BinaryIO, size: int) -> int | None:
    """End of the last RIFF chunk (OpenDML has several); None where a recorder never wrote the length."""
    position = 0
    while True:
        f.seek(position)
        head = f.read(8)
        if len(head) < 8 or head[:4] != b"RIFF":
            return position - _RIFF_SLACK
        length = int.from_bytes(head[4:], "little")
        if length in (0, 0xFFFFFFFF):
            return None
        position += 8 + length + length % 2
        if position >= size:
            return position - _RIFF_SLACK


def _matroska_end(f: BinaryIO) -> int | None:
    """End of the Segment (RFC 9559 4.5, 5.1); None where its size is unknown, as in a live recording."""
    f.seek(4)
    header = _vint(f)
    if header is None:
        return None
    f.seek(header, 1)
    if f.read(4) != _SEGMENT:
        return None
    length = _vint(f)
    return None if length is None else f.tell() + length


def _vint(f: BinaryIO) -> int | None:
    """Variable-size integer of EBML (RFC 8794 4); None: the reserved all-ones "unknown", or no such number."""
    first = f.read(1)
    if not first or not first[0]:
        return None
    extra = 8 - first[0].bit_length()
    value = int.from_bytes(first + f.read(extra)) & ((1 << (7 * (extra + 1))) - 1)
    return None if value == (1 << (7 * (extra + 1))) - 1 else value
