"""What a Blu-ray player asks beyond PS3.5: warnings under .103.

PS3.5 8.2.7 and 10.10 limit .103 to the pictures and rates of Table 8-4, "HD video formats that are supported by Blu-ray
(BDRWP 2.B)"; that is ``stream.geometry``, an error. The rest of the disc's rules DICOM does not repeat. A stream that breaks
them is legal DICOM all the same, but no disc can be made of it without encoding anew. The numbers are those that
x264 --bluray-compat holds and authoring programs check.
"""

from __future__ import annotations

from collections.abc import Iterator

from common.conformance.level import overflowing
from common.conformance.rules import Breach, Rule, StreamCase
from common.dicom.transfer_syntaxes import ROOT
from common.media import Coding

MAX_RATE, MAX_BUFFER = 40_000_000, 30_000_000
"""bit/s, and bits of the coded picture buffer."""

LONG_GOP_RATE = 15_000_000
"""Up to this bit rate (bit/s) a key frame every two seconds is enough, else every second."""

MIN_SLICES, MAX_B_PICTURES = 4, 3
"""Slices of each picture at level 4.1, and B pictures in a row."""

MAX_DECODED = {1080: 4, 720: 6}
"""Lines → decoded frames to be held."""

_LEVEL_41 = 41


def key_frames(case: StreamCase) -> Iterator[Breach]:
    """A key frame comes every second; every two where the HRD names at most 15 Mbit/s."""
    coding, rate = _coding(case), case.video.frame_rate
    slow = coding.nal_hrd is not None and coding.nal_hrd.bit_rate <= LONG_GOP_RATE
    seconds = 2 if slow else 1
    if coding.longest_gop and coding.longest_gop > seconds * max(1, round(rate)):
        yield Breach(f"{coding.longest_gop} frames without a key frame", f"one in {seconds * round(rate)}")


def rate(case: StreamCase) -> Iterator[Breach]:
    """The stream needs no more than 40 Mbit/s and a buffer of 30 Mbit, by its HRD and by its busiest frames."""
    coding = _coding(case)
    if coding.nal_hrd and coding.nal_hrd.bit_rate > MAX_RATE:
        yield Breach(f"an HRD of {coding.nal_hrd.bit_rate:,} bit/s", f"at most {MAX_RATE:,} bit/s")
    if coding.nal_hrd and coding.nal_hrd.buffer_bits > MAX_BUFFER:
        yield Breach(f"an HRD with a buffer of {coding.nal_hrd.buffer_bits:,} bits", f"at most {MAX_BUFFER:,} bits")
    for frames, bits in overflowing(case.video, coding, MAX_RATE, MAX_BUFFER):
        yield Breach(f"{frames} frames of {bits:,} bits in a row", f"what {MAX_RATE:,} bit/s bring in their time")
        return


def hrd(case: StreamCase) -> Iterator[Breach]:
    """The stream has NAL HRD parameters, by which a player fills its buffer."""
    if case.video.coding and _is_bluray(case) and not _coding(case).nal_hrd:
        yield Breach("no NAL HRD parameters", "nal_hrd_parameters_present_flag 1")


def slices(case: StreamCase) -> Iterator[Breach]:
    """At level 4.1 each picture has at least four slices."""
    fewest = _coding(case).slices
    if case.video.level_idc == _LEVEL_41 and fewest and fewest < MIN_SLICES:
        yield Breach(f"{fewest} slices in a picture", f"at least {MIN_SLICES}")


def b_pictures(case: StreamCase) -> Iterator[Breach]:
    """At most three B pictures follow each other."""
    longest = _coding(case).b_pictures or 0
    if longest > MAX_B_PICTURES * (2 if "field pictures" in _coding(case).tools else 1):
        yield Breach(f"{longest} B pictures in a row", f"at most {MAX_B_PICTURES}")


def decoded(case: StreamCase) -> Iterator[Breach]:
    """A player holds four decoded frames of 1080 lines, six of 720."""
    needed, held = _coding(case).decoded_frames, MAX_DECODED.get(case.video.height)
    if needed and held and needed > held:
        yield Breach(f"{needed} decoded frames to be held", f"at most {held}")


def delimiters(case: StreamCase) -> Iterator[Breach]:
    """Every picture begins with an access unit delimiter."""
    if _coding(case).delimiters is False:
        yield Breach("pictures without access unit delimiter", "one before each")


def _is_bluray(case: StreamCase) -> bool:
    return case.base_uid == f"{ROOT}.103" and case.video.codec == "h264"


def _coding(case: StreamCase) -> Coding:
    return (case.video.coding if _is_bluray(case) else None) or Coding()


_CLAUSE = "PS3.5 10.10 (BDRWP 2.B)"

BLURAY_RULES: tuple[Rule[StreamCase], ...] = (
    Rule("stream.bluray.key_frames", _CLAUSE, "warning", key_frames),
    Rule("stream.bluray.rate", _CLAUSE, "warning", rate),
    Rule("stream.bluray.hrd", _CLAUSE, "warning", hrd),
    Rule("stream.bluray.slices", _CLAUSE, "warning", slices),
    Rule("stream.bluray.b_pictures", _CLAUSE, "warning", b_pictures),
    Rule("stream.bluray.decoded", _CLAUSE, "warning", decoded),
    Rule("stream.bluray.delimiters", _CLAUSE, "warning", delimiters),
)
