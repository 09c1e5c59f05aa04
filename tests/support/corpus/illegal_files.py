"""Files whose encapsulation, identifiers or file format breaks one rule around a legal stream and header."""

from __future__ import annotations

from support.corpus.case import UNREADABLE, Shelf
from support.corpus.clips import H264, HEVC, MPEG2
from support.corpus.illegal_headers import CT
from support.corpus.instances import PixelData

FILES = Shelf()
_add = FILES.add


def free_box(data: bytes) -> bytes:
    """An MP4 of odd length: an empty 'free' box of nine bytes behind one of even length (ISO/IEC 14496-12 8.1.2)."""
    return data if len(data) % 2 else data + b"\0\0\0\x09free\0"


def cut_off(data: bytes) -> bytes:
    return data[: len(data) // 2]


def wrong_group_length(data: bytes) -> bytes:
    """(0002,0000), whose value stands at byte 140, counts two bytes too few."""
    counted = int.from_bytes(data[140:144], "little") - 2
    return data[:140] + counted.to_bytes(4, "little") + data[144:]


# fragments and offsets
_add("fragments-two", "two fragments", H264, "102", "encapsulation.fragments", pixels=PixelData(fragments=2))
_add("fragments-two-mpeg2", "two fragments", MPEG2, "100", "encapsulation.fragments", pixels=PixelData(fragments=2))
_add("fragments-nine", "nine fragments", H264, "104", "encapsulation.fragments", pixels=PixelData(fragments=9))
_add(
    "fragments-none",
    "a Basic Offset Table and no fragment",
    H264,
    "102",
    "encapsulation.fragments",
    pixels=PixelData(fragments=0),
)
_add(
    "fragments-odd",
    "a fragment of an odd length",
    H264.but(edit=free_box),
    "102",
    "encapsulation.even",
    pixels=PixelData(padded=False),
)
_add(
    "pixels-native",
    "native Pixel Data",
    H264,
    "102",
    "encapsulation.element",
    pixels=PixelData(native=True),
)
_add("pixels-ow", "VR OW", H264, "102", "encapsulation.element", pixels=PixelData(vr=b"OW"))
_add(
    "pixels-cut-off", "no sequence delimiter", H264, "102", "encapsulation.delimiter", pixels=PixelData(delimiter=False)
)
_add("stream-cut-off", "half of an MP4", H264.but(edit=cut_off), "102", UNREADABLE)
_add(
    "offsets-mpeg2",
    "a filled Basic Offset Table",
    MPEG2,
    "100",
    "encapsulation.mpeg2_offset_table",
    pixels=PixelData(offsets=(0,)),
)
_add(
    "offsets-h264",
    "one offset for ten frames",
    H264,
    "102",
    "encapsulation.offset_table",
    pixels=PixelData(offsets=(0,)),
)
_add(
    "offsets-every-frame",
    "offsets of frames that begin in no item",
    H264,
    "102",
    "encapsulation.offset_table",
    pixels=PixelData(offsets=tuple(range(0, 1000, 100))),
)
_add(
    "total-length-long",
    "a total length 100 bytes too long",
    H264,
    "102",
    "encapsulation.total_length",
    pixels=PixelData(total_off=100),
)
_add(
    "total-length-short",
    "a total length 100 bytes too short",
    HEVC,
    "107",
    "encapsulation.total_length",
    pixels=PixelData(total_off=-100),
)
_add(
    "extended-offsets",
    "an Extended Offset Table",
    H264,
    "102",
    "encapsulation.extended_table",
    ExtendedOffsetTable=bytes(80),
    ExtendedOffsetTableLengths=bytes(80),
)
_add("pad-ff", "a pad byte FF", H264.but(edit=free_box), "102", "encapsulation.pad", pixels=PixelData(pad=b"\xff"))

# identifiers
_add("uid-letters", "a UID with letters", H264, "102", "header.uids", SeriesInstanceUID="1.2.a3")
_add("uid-zero", "a UID component that begins with 0", H264, "102", "header.uids", StudyInstanceUID="1.2.03.4")
_add("uid-long", "a UID of 65 characters", H264, "102", "header.uids", SeriesInstanceUID="1." + "2" * 63)
_add(
    "uid-instance-absent",
    "no SOP Instance UID",
    H264,
    "102",
    "header.uids",
    SOPInstanceUID=None,
)
_add(
    "media-storage-class",
    "Media Storage SOP Class UID of another class",
    H264,
    "102",
    "file.meta.class",
    meta={"MediaStorageSOPClassUID": CT},
)
_add(
    "media-storage-instance",
    "Media Storage SOP Instance UID of another instance",
    H264,
    "102",
    "file.meta.instance",
    meta={"MediaStorageSOPInstanceUID": "1.2.3.99"},
)

# file
_add("file-no-preamble", "neither preamble nor DICM", H264, "102", "file.prefix", edit=lambda data: data[132:])
_add("file-meta-length", "a wrong group length", H264, "102", "file.meta.length", edit=wrong_group_length)
_add(
    "file-meta-version",
    "no Implementation Class UID",
    H264,
    "102",
    "file.meta.required",
    meta={"ImplementationClassUID": None},
)
_add("file-trailing", "12 bytes behind the data set", H264, "102", "file.trailing", edit=lambda data: data + bytes(12))
