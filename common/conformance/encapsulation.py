"""Rules on how a stream lies in Pixel Data (PS3.5 A.4). A breach is mended by writing the file anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.conformance.rules import OF_SYNTAX, Breach, Rule
from common.dicom.transfer_syntaxes import VideoSyntax, by_uid

if TYPE_CHECKING:
    from common.dicom.pixel_stream import Header

_EXTENDED = ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")


@dataclass(frozen=True)
class Encapsulation:
    """How Pixel Data was found. Lengths in bytes."""

    syntax: VideoSyntax
    vr: str
    undefined_length: bool
    fragments: tuple[int, ...]  # length of each, as its item says
    offsets: int  # entries of the Basic Offset Table
    frames: int  # Number of Frames
    total_length: int | None  # (7FE0,0003); None: absent or no number
    table_bytes: int = 0  # length of the item that holds the Basic Offset Table
    extended_table: bool = False  # Extended Offset Table or its lengths are there
    delimited: bool = True  # the sequence delimiter is there
    last_byte: int | None = 0  # of the last fragment; None: it has none

    @classmethod
    def of(cls, header: Header, transfer_syntax_uid: str) -> Encapsulation:
        """As it lies in a DICOM file, to be held against this syntax.

        Raises:
            NoLegalPath: the UID is no video transfer syntax.
        """
        try:
            total = header.dataset.get("EncapsulatedPixelDataValueTotalLength")
        except Exception:  # pydicom raises what it likes on a value of the wrong length
            total = None
        return cls(
            syntax=by_uid(transfer_syntax_uid),
            vr=header.pixel_data_vr,
            undefined_length=header.length is None,
            fragments=tuple(fragment.length for fragment in header.fragments),
            offsets=len(header.offset_table),
            frames=header.frames,
            total_length=total if isinstance(total, int) else None,
            table_bytes=header.table_bytes,
            extended_table=any(name in header.dataset for name in _EXTENDED),
            delimited=header.delimited,
            last_byte=header.last_byte,
        )


def element(case: Encapsulation) -> Iterator[Breach]:
    """Pixel Data is OB and of undefined length: video is always encapsulated."""
    if case.vr != "OB":
        yield Breach(f"Pixel Data with VR {case.vr}", "VR OB")
    if not case.undefined_length:
        yield Breach("native Pixel Data", "encapsulated Pixel Data")


def fragments(case: Encapsulation) -> Iterator[Breach]:
    """One fragment holds the whole stream; more only under a syntax that is fragmentable."""
    count = len(case.fragments)
    if case.undefined_length and (count == 0 or (count > 1 and not case.syntax.fragmentable)):
        yield Breach(f"{count} fragments", "one fragment", "Use the fragmentable syntax, or write one fragment.")


def even(case: Encapsulation) -> Iterator[Breach]:
    """Every fragment has an even number of bytes, at least two."""
    odd = sum(1 for length in case.fragments if length % 2 or length < 2)
    if odd:
        yield Breach(f"{odd} fragments of an odd length or of none", "an even length, at least 2 bytes")


def delimiter(case: Encapsulation) -> Iterator[Breach]:
    """The sequence of fragments ends with its delimiter (FFFE,E0DD)."""
    if not case.delimited:
        yield Breach("fragments without a sequence delimiter", "the delimiter (FFFE,E0DD) of no length")


def pad_byte(case: Encapsulation) -> Iterator[Breach]:
    """The byte that makes the last fragment even is 00."""
    padded = bool(case.fragments) and case.total_length == sum(case.fragments) - 1
    if padded and case.last_byte not in (0, None):
        yield Breach(f"a pad byte {case.last_byte:02X}", "00")


def mpeg2_offset_table(case: Encapsulation) -> Iterator[Breach]:
    """Under MPEG-2 syntaxes the Basic Offset Table is present and empty."""
    if case.syntax.codec == "mpeg2video" and case.table_bytes:
        yield Breach(f"a Basic Offset Table of {case.table_bytes} bytes", "an empty one")


def extended_table(case: Encapsulation) -> Iterator[Breach]:
    """Video has no Extended Offset Table: its frames do not begin in fragments of their own."""
    if case.extended_table:
        yield Breach("an Extended Offset Table", "none")


def offset_table(case: Encapsulation) -> Iterator[Breach]:
    """A Basic Offset Table has an entry for each frame, at a fragment of its own, which frames of a video have not: leave it empty."""
    possible = case.offsets == case.frames and case.offsets <= len(case.fragments)
    if case.syntax.codec != "mpeg2video" and case.table_bytes and not possible:
        yield Breach(f"a Basic Offset Table of {case.table_bytes} bytes for {case.frames} frames", "an empty one")


def total_length(case: Encapsulation) -> Iterator[Breach]:
    """Encapsulated Pixel Data Value Total Length is the fragments' bytes without the pad byte."""
    total = sum(case.fragments)
    if case.total_length is not None and case.fragments and case.total_length not in (total, total - 1):
        yield Breach(f"a total length of {case.total_length:,} bytes", f"{total:,}, or one less where a pad byte is")


def total_length_known(case: Encapsulation) -> Iterator[Breach]:
    """Encapsulated Pixel Data Value Total Length is there: without it nobody can tell a pad byte from the stream."""
    if case.total_length is None:
        yield Breach("no Encapsulated Pixel Data Value Total Length", "the length of the stream in (7FE0,0003)")


ENCAPSULATION_RULES: tuple[Rule[Encapsulation], ...] = (
    Rule("encapsulation.element", "PS3.5 A.4", "error", element),
    Rule("encapsulation.fragments", OF_SYNTAX, "error", fragments),
    Rule("encapsulation.even", "PS3.5 A.4", "error", even),
    Rule("encapsulation.delimiter", "PS3.5 A.4", "error", delimiter),
    Rule("encapsulation.pad", "PS3.5 A.4", "error", pad_byte),
    Rule("encapsulation.extended_table", "PS3.3 C.7.6.3.1.8", "error", extended_table),
    Rule("encapsulation.mpeg2_offset_table", OF_SYNTAX, "error", mpeg2_offset_table),
    Rule("encapsulation.offset_table", "PS3.5 A.4", "error", offset_table),
    Rule("encapsulation.total_length", "PS3.3 C.7.6.3", "error", total_length),
    Rule("encapsulation.total_length.absent", "PS3.3 C.7.6.3", "note", total_length_known),
)
