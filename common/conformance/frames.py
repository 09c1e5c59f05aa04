"""Rules on images of many frames, each its own codestream (PS3.5 8.2.1–8.2.4, 8.2.14, 8.2.15, A.4.1–A.4.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from common.conformance.case import HeaderView, quoted
from common.conformance.rules import Breach, Rule
from common.dicom.codestream import Coding, FrameHead
from common.dicom.transfer_syntaxes import ROOT

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

RLE_SYNTAX = "1.2.840.10008.1.2.5"
_GREY = ("MONOCHROME1", "MONOCHROME2")
_INDEXED = (*_GREY, "PALETTE COLOR")


@dataclass(frozen=True)
class FrameSyntax:
    """What PS3.5 says of a syntax that codes every frame by itself."""

    coding: Coding
    photometrics: tuple[str, ...]
    clause: str
    processes: tuple[int, ...] = ()  # JPEG: second bytes of the SOF markers it admits
    selector: int | None = None  # JPEG lossless: the only predictor; JPEG-LS: the only NEAR
    reversible: bool | None = None  # JPEG 2000: only the reversible wavelet
    high_throughput: bool = False
    lossy_method: str = ""  # when every frame has certainly lost something


_BASELINE, _EXTENDED, _LOSSLESS, _LS = 0xC0, 0xC1, 0xC3, 0xF7
_LOSSLESS_COLOURS = (*_INDEXED, "RGB", "YBR_FULL")
_DCT_COLOURS = (*_GREY, "YBR_FULL_422", "YBR_FULL", "RGB")
_J2K = (*_LOSSLESS_COLOURS, "YBR_RCT")

FRAME_SYNTAXES: dict[str, FrameSyntax] = {
    f"{ROOT}.50": FrameSyntax(Coding.JPEG, _DCT_COLOURS, "8.2.1", (_BASELINE,), lossy_method="ISO_10918_1"),
    f"{ROOT}.51": FrameSyntax(Coding.JPEG, _DCT_COLOURS, "8.2.1", (_BASELINE, _EXTENDED), lossy_method="ISO_10918_1"),
    f"{ROOT}.57": FrameSyntax(Coding.JPEG, _LOSSLESS_COLOURS, "8.2.1", (_LOSSLESS,)),
    f"{ROOT}.70": FrameSyntax(Coding.JPEG, _LOSSLESS_COLOURS, "8.2.1", (_LOSSLESS,), selector=1),
    f"{ROOT}.80": FrameSyntax(Coding.JPEG_LS, _LOSSLESS_COLOURS, "8.2.3", (_LS,), selector=0),
    f"{ROOT}.81": FrameSyntax(Coding.JPEG_LS, _LOSSLESS_COLOURS, "8.2.3", (_LS,)),
    f"{ROOT}.90": FrameSyntax(Coding.JPEG_2000, _J2K, "8.2.4", reversible=True),
    f"{ROOT}.91": FrameSyntax(Coding.JPEG_2000, (*_J2K, "YBR_ICT"), "8.2.4"),
    f"{ROOT}.201": FrameSyntax(Coding.JPEG_2000, _J2K, "8.2.14", reversible=True, high_throughput=True),
    f"{ROOT}.202": FrameSyntax(Coding.JPEG_2000, _J2K, "8.2.14", reversible=True, high_throughput=True),
    f"{ROOT}.203": FrameSyntax(Coding.JPEG_2000, (*_J2K, "YBR_ICT"), "8.2.14", high_throughput=True),
    RLE_SYNTAX: FrameSyntax(Coding.RLE, _LOSSLESS_COLOURS, "8.2.2"),
}


@dataclass(frozen=True)
class FramesCase(HeaderView):
    """A header and the frames beside it. Offsets in bytes from the item behind the Basic Offset Table, as tables count.

    ``heads``: each different head among the frames → number of the first frame that has it, from 1.
    """

    syntax: FrameSyntax | None  # None: native, or a coding whose frames are not looked into
    fragments: tuple[tuple[int, int], ...]  # offset and length of every fragment
    frame_items: tuple[tuple[int, int], ...]  # first and behind the last fragment of every frame; empty: not to be told
    table: tuple[int, ...] = ()  # Basic Offset Table
    table_bytes: int = 0
    extended: tuple[int, ...] | None = None  # Extended Offset Table; None: absent
    extended_lengths: tuple[int, ...] | None = None
    delimited: bool = True
    heads: Mapping[FrameHead, int] = field(default_factory=dict)
    broken: tuple[tuple[int, str], ...] = ()  # frames without a readable head or without an end: number, why
    native: tuple[int, int] | None = None  # bytes needed and bytes held, of pixels that are not compressed

    @classmethod
    def of_coded(cls, header: Dataset, transfer_syntax_uid: str, lengths: Sequence[int]) -> FramesCase:
        """Coded frames of so many bytes that are about to be written, a fragment each, behind this header."""
        padded = [length + length % 2 for length in lengths]
        starts = accumulate((8 + length for length in padded), initial=0)
        told = HeaderView(header).frame_count
        items = tuple((number, number + 1) for number in range(told if told == len(lengths) else 0))
        syntax = FRAME_SYNTAXES.get(transfer_syntax_uid)
        return cls(header, syntax, tuple(zip(starts, padded, strict=False)), items)


def count(case: FramesCase) -> Iterator[Breach]:
    """The fragments make Number of Frames frames: at least one fragment each, none shared."""
    if case.fragments and not case.frame_items:
        yield Breach(f"{len(case.fragments)} fragments that do not make {case.frame_count} frames", "whole frames")


def one_fragment(case: FramesCase) -> Iterator[Breach]:
    """An RLE frame is one fragment (PS3.5 A.4.2)."""
    many = sum(1 for first, behind in case.frame_items if behind - first > 1)
    if many and case.syntax is not None and case.syntax.coding is Coding.RLE:
        yield Breach(f"{many} frames of several fragments", "one fragment a frame")


def even(case: FramesCase) -> Iterator[Breach]:
    """Every fragment has an even number of bytes, at least two."""
    if odd := sum(1 for _, length in case.fragments if length % 2 or length < 2):
        yield Breach(f"{odd} fragments of an odd length or of none", "an even length, at least 2 bytes")


def delimiter(case: FramesCase) -> Iterator[Breach]:
    """The sequence of fragments ends with its delimiter (FFFE,E0DD)."""
    if not case.delimited:
        yield Breach("fragments without a sequence delimiter", "the delimiter (FFFE,E0DD) of no length")


def table(case: FramesCase) -> Iterator[Breach]:
    """A Basic Offset Table is empty, or has one entry a frame: the offset of its first item's tag, in order."""
    if case.table_bytes % 4 or len(case.table) not in (0, case.frame_count):
        yield Breach(f"a Basic Offset Table of {case.table_bytes} bytes", f"none, or 4 × {case.frame_count}")
    elif case.table:
        yield from _offsets_off(case, case.table, "Basic Offset Table")


def extended_table(case: FramesCase) -> Iterator[Breach]:
    """An Extended Offset Table has one entry a frame of one fragment, its lengths beside it, and no Basic Offset Table."""
    both = case.extended is not None, case.extended_lengths is not None
    if not any(both):
        return
    if not all(both):
        yield Breach("one of Extended Offset Table and its lengths", "both or neither")
        return
    if case.table:
        yield Breach("an Extended Offset Table beside a Basic Offset Table", "one of them; the other empty or absent")
    if any(behind - first > 1 for first, behind in case.frame_items):
        yield Breach("an Extended Offset Table for frames of several fragments", "one fragment a frame")
    if len(case.extended or ()) != case.frame_count or len(case.extended_lengths or ()) != case.frame_count:
        yield Breach("an Extended Offset Table of another number of entries", f"{case.frame_count}, one a frame")
        return
    yield from _offsets_off(case, case.extended or (), "Extended Offset Table")
    yield from _lengths_off(case)


def photometric(case: FramesCase) -> Iterator[Breach]:
    """Photometric Interpretation is one that the transfer syntax admits, and Samples per Pixel is 1 for grey, else 3."""
    found = case.text("PhotometricInterpretation")
    if case.syntax is not None and found not in case.syntax.photometrics:
        yield Breach(quoted("PhotometricInterpretation", found), "one of " + ", ".join(case.syntax.photometrics))
    if case.syntax is not None:
        yield from case.differs("SamplesPerPixel", 1 if found in _INDEXED else 3)


def planar(case: FramesCase) -> Iterator[Breach]:
    """Planar Configuration is there for colour, and 0 where a codestream orders its samples itself; RLE takes 0 or 1."""
    if case.syntax is None or case.text("SamplesPerPixel") != "3":
        return
    found = case.text("PlanarConfiguration")
    if found not in (("0", "1") if case.syntax.coding is Coding.RLE else ("0",)):
        yield Breach(quoted("PlanarConfiguration", found), "PlanarConfiguration 0")


def bits(case: FramesCase) -> Iterator[Breach]:
    """High Bit is one below Bits Stored, which is not above Bits Allocated; JPEG Baseline has 8 of each."""
    allocated, stored = case.numbers("BitsAllocated"), case.numbers("BitsStored")
    if not allocated or not stored or stored[0] > allocated[0] or allocated[0] not in (1, 8, 16, 32):
        yield Breach("BitsAllocated and BitsStored that do not fit each other", "Bits Stored up to 8 or 16 allocated")
        return
    yield from case.differs("HighBit", int(stored[0]) - 1)
    if case.syntax is not None and case.syntax.processes == (_BASELINE,):
        yield from case.differs("BitsAllocated", 8)
        yield from case.differs("BitsStored", 8)


def codestream(case: FramesCase) -> Iterator[Breach]:
    """Every frame is a whole codestream of the transfer syntax's coding, from its first marker to its last."""
    if case.broken:
        number, why = case.broken[0]
        more = f", and {len(case.broken) - 1} more frames" if len(case.broken) > 1 else ""
        yield Breach(f"frame {number}: {why}{more}", "a whole codestream in every frame")


def process(case: FramesCase) -> Iterator[Breach]:
    """Every frame is coded by the process that the transfer syntax names: Baseline, predictor 1, NEAR 0, 5-3 wavelet, HT."""
    for head, number in case.heads.items():
        if why := _wrong_process(case.syntax, head):
            yield Breach(f"frame {number}: {why[0]}", why[1])
            return


def size(case: FramesCase) -> Iterator[Breach]:
    """Rows, Columns and Samples per Pixel are those of every frame's own codestream."""
    for head, number in case.heads.items():
        told = (case.text("Rows"), case.text("Columns"), case.text("SamplesPerPixel"))
        own = (head.rows, head.columns, head.components)
        if any(one is not None and text != str(one) for text, one in zip(told, own, strict=True)):
            coded = f"{head.columns}×{head.rows}, " if head.rows is not None else ""
            yield Breach(
                f"frame {number}: {coded}{head.components} components in its codestream",
                f"{told[1][:6]}×{told[0][:6]} and {told[2][:6]} samples, as in the header",
            )
            return


def depth(case: FramesCase) -> Iterator[Breach]:
    """Bits Stored is the precision of every frame's codestream, and Pixel Representation its sign (PS3.5 8.2.1–8.2.4)."""
    stored = case.text("BitsStored")
    signed = case.text("PixelRepresentation")
    for head, number in case.heads.items():
        if head.precision is not None and str(head.precision) != stored:
            yield Breach(f"frame {number}: {head.precision} bits a sample in its codestream", f"{stored[:4]} bits")
            return
        if head.signed is not None and signed != str(int(head.signed)):
            yield Breach(
                f"frame {number}: a codestream {'with' if head.signed else 'without'} sign", "as in the header"
            )
            return


def transform(case: FramesCase) -> Iterator[Breach]:
    """YBR_RCT and YBR_ICT name the colour transformation that a JPEG 2000 codestream uses; other values, that it uses none."""
    found = case.text("PhotometricInterpretation")
    for head, number in case.heads.items():
        if head.coding is not Coding.JPEG_2000:
            continue
        named = "none" if not head.transformed else "YBR_RCT" if head.reversible else "YBR_ICT"
        told = found if found in ("YBR_RCT", "YBR_ICT") else "none"
        if named != told:
            yield Breach(f"frame {number}: colour transformation {named}", f"{told}, as {found[:16]} means")
            return


def lossy(case: FramesCase) -> Iterator[Breach]:
    """Lossy Image Compression is 01 under a syntax that always loses something, with its method on record."""
    if case.syntax is None or not case.syntax.lossy_method:
        return
    yield from case.differs("LossyImageCompression", "01")
    methods = case.texts("LossyImageCompressionMethod")
    if methods and case.syntax.lossy_method not in methods:
        yield Breach(f"LossyImageCompressionMethod {methods[-1][:16]}", case.syntax.lossy_method)


def native(case: FramesCase) -> Iterator[Breach]:
    """Pixels that are not compressed fill Rows × Columns × samples × bits × frames, padded to an even length (PS3.5 8.1.1)."""
    if case.native is not None:
        needed, held = case.native
        if held not in (needed, needed + needed % 2):
            yield Breach(f"{held:,} bytes of pixels", f"{needed + needed % 2:,}")


def _offsets_off(case: FramesCase, offsets: tuple[int, ...], name: str) -> Iterator[Breach]:
    starts = {offset for offset, _ in case.fragments}
    if offsets[0] != 0 or any(a >= b for a, b in pairwise(offsets)) or not starts.issuperset(offsets):
        yield Breach(f"a {name} whose offsets point at no items in order", "the offset of each frame's first item tag")


def _lengths_off(case: FramesCase) -> Iterator[Breach]:
    held = dict(case.fragments)
    pairs = zip(case.extended or (), case.extended_lengths or (), strict=True)
    off = sum(1 for offset, length in pairs if offset in held and length not in (held[offset], held[offset] - 1))
    if off:
        yield Breach(f"{off} lengths in Extended Offset Table Lengths that differ from the fragments", "equal lengths")


def _wrong_process(syntax: FrameSyntax | None, head: FrameHead) -> tuple[str, str] | None:
    """Found and required, or None where the head is what the syntax names."""
    if syntax is None:
        return None
    if head.coding is not syntax.coding:
        return f"a {head.coding} codestream", f"{syntax.coding}"
    if syntax.processes and head.process not in syntax.processes:
        return f"JPEG process SOF {head.process:02X}", " or ".join(f"SOF {one:02X}" for one in syntax.processes)
    if syntax.selector is not None and head.selector != syntax.selector:
        word = "NEAR" if syntax.coding is Coding.JPEG_LS else "predictor"
        return f"{word} {head.selector}", f"{word} {syntax.selector}"
    if syntax.reversible and head.reversible is False:
        return "the irreversible 9-7 wavelet", "the reversible 5-3 wavelet"
    if syntax.coding is Coding.JPEG_2000 and head.high_throughput != syntax.high_throughput:
        return f"{'a' if head.high_throughput else 'no'} CAP marker of HTJ2K", "the coding that the syntax names"
    return None


FRAME_RULES: tuple[Rule[FramesCase], ...] = (
    Rule("frames.count", "PS3.5 A.4", "error", count),
    Rule("frames.fragment", "PS3.5 A.4.2", "error", one_fragment),
    Rule("frames.even", "PS3.5 A.4", "error", even),
    Rule("frames.delimiter", "PS3.5 A.4", "error", delimiter),
    Rule("frames.table", "PS3.5 A.4", "error", table),
    Rule("frames.extended_table", "PS3.3 C.7.6.3.1.8", "error", extended_table),
    Rule("frames.photometric", "PS3.5 8.2.1–8.2.4, 8.2.14", "error", photometric),
    Rule("frames.planar", "PS3.5 8.2.1–8.2.4, 8.2.14", "error", planar),
    Rule("frames.bits", "PS3.3 C.7.6.3, PS3.5 8.2.1", "error", bits),
    Rule("frames.codestream", "PS3.5 8.2.1–8.2.4, 8.2.14", "error", codestream),
    Rule("frames.process", "PS3.5 8.2.1–8.2.4, 8.2.14", "error", process),
    Rule("frames.size", "PS3.5 8.2.1–8.2.4, 8.2.14", "error", size),
    Rule("frames.depth", "PS3.5 8.2.1–8.2.4, 8.2.14", "error", depth),
    Rule("frames.transform", "PS3.5 8.2.4, 8.2.14", "error", transform),
    Rule("frames.lossy", "PS3.3 C.7.6.1.1.5", "error", lossy),
    Rule("frames.native", "PS3.5 8.1.1", "error", native),
)
