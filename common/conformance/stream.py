"""Rules on the video bitstream. A breach of an error here can only be mended by encoding anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from common.conformance.coding import HEVC_PROFILES
from common.conformance.rules import OF_SYNTAX, Breach, Rule, StreamCase
from common.dicom.transfer_syntaxes import ROOT
from common.media import Scan

PROFILES: dict[str, tuple[str, ...]] = {
    "Main": ("Main",),
    "Main 10": ("Main 10",),
    "High": ("High", "Constrained High", "Progressive High"),
    "Stereo High": ("Stereo High", "Multiview High"),
}
"""Profile of the syntax → profiles that are it, or it with further constraints (H.264 A.2.4.1, A.2.4.2)."""

DECODABLE: dict[tuple[str, str], tuple[str, ...]] = {
    ("mpeg2video", "Main"): ("Simple",),
    ("h264", "High"): ("Main", "Constrained Baseline"),
    ("h264", "Stereo High"): ("High", "Constrained High", "Progressive High", "Main", "Constrained Baseline"),
    ("hevc", "Main"): ("Main Still Picture",),
}
"""(codec, profile of the syntax) → other profiles that every decoder of it must decode (ISO 13818-2 8; H.264 A.2.4; H.265 A.3)."""

FULL_RANGE_FORMATS = "yuvj"
"""FFmpeg's names of full-range formats begin so."""

WIDE_GAMUT = frozenset({"bt2020", "bt2020nc", "bt2020ncl", "bt2020c", "bt2020cl", "smpte2084", "arib-std-b67", "ictcp"})
"""FFmpeg's names of the matrices, primaries and transfers of BT.2020 and BT.2100."""

NOT_YCBCR = frozenset({"gbr", "rgb", "ycgco", "ycgco-re", "ycgco-ro"})
"""Matrices whose samples are no Y, Cb and Cr."""

NOT_YCBCR_CODES = {0: "gbr", 8: "ycgco", 16: "ycgco-re", 17: "ycgco-ro"}
"""matrix_coefficients of these, ITU-T H.273 Table 4."""

_RATE_TOLERANCE = Fraction(1, 5000)  # a fifth of the distance between 29.97 and 30

_SD = Fraction(30000, 1001), Fraction(30)


@dataclass(frozen=True)
class Format:
    """A picture format that a table of PS3.5 lists: samples, frames/s."""

    width: int
    height: int
    rates: tuple[Fraction, ...]
    interlaced: bool | None = None  # None: either


_NTSC_FILM = Fraction(24000, 1001)
_NTSC_FIELD = Fraction(60000, 1001)

MAIN_LEVEL = (Format(720, 480, _SD), Format(720, 576, (Fraction(25),)))
"""PS3.5 Table 8-1: the largest pictures."""

FORMATS: dict[str, tuple[Format, ...]] = {
    f"{ROOT}.101": (
        Format(1920, 1080, (Fraction(25), *_SD)),
        Format(1280, 720, (Fraction(25), *_SD, Fraction(50), _NTSC_FIELD, Fraction(60)), interlaced=False),
    ),
    f"{ROOT}.103": (
        Format(1920, 1080, (Fraction(25), _SD[0]), interlaced=True),
        Format(1920, 1080, (Fraction(24), _NTSC_FILM), interlaced=False),
        Format(1280, 720, (Fraction(50), _NTSC_FIELD, Fraction(24), _NTSC_FILM), interlaced=False),
    ),
}
"""PS3.5 8.2.6 with Table 8-2 and the table of examples; PS3.5 Table 8-4. Exactly these pictures."""


def codec(case: StreamCase) -> Iterator[Breach]:
    """The stream is coded as the transfer syntax names."""
    if case.video.codec != case.syntax.codec:
        yield Breach(f"a {case.video.codec} stream", f"{case.syntax.codec} video")


def profile(case: StreamCase) -> Iterator[Breach]:
    """The profile is the syntax's, or one that every decoder of that profile must decode.

    Baseline without constraint_set1_flag and Extended are not decodable by a High profile decoder (H.264 A.2.4). An HEVC
    stream conforms to every profile whose general_profile_compatibility_flag it sets (H.265 A.3.2, A.3.3).
    """
    syntax, found = case.syntax, case.video.profile
    known = (*PROFILES[syntax.profile], *DECODABLE.get((syntax.codec, syntax.profile), ()))
    if case.video.codec == syntax.codec and found is not None and found not in known and not _compatible(case):
        yield Breach(f"{found} profile", f"{syntax.profile} profile")


def lesser_profile(case: StreamCase) -> Iterator[Breach]:
    """The profile is the syntax's own. A stream of a lesser profile is kept: encoding it anew would only lose quality."""
    syntax, found = case.syntax, case.video.profile
    if case.video.codec != syntax.codec:
        return
    if found is None:
        yield Breach("a profile that could not be read", f"{syntax.profile} profile")
    elif found in DECODABLE.get((syntax.codec, syntax.profile), ()):
        yield Breach(f"{found} profile, which a {syntax.profile} profile decoder decodes", f"{syntax.profile} profile")


def chroma(case: StreamCase) -> Iterator[Breach]:
    """The chroma format is 4:2:0 (fixed by MPEG-2 Main; notes to the clauses of H.264 and HEVC)."""
    coded = case.video.coding.chroma if case.video.coding else None
    if (coded or case.video.chroma) != "4:2:0":
        yield Breach(f"{coded or case.video.chroma} chroma", "4:2:0 chroma")


def bits(case: StreamCase) -> Iterator[Breach]:
    """The samples have as many bits as Bits Stored under this syntax."""
    stored = case.syntax.bits.stored
    if case.video.bit_depth != stored:
        yield Breach(f"{case.video.bit_depth} bits a sample", f"{stored} bits a sample")


def geometry(case: StreamCase) -> Iterator[Breach]:
    """Frame size, rate and scan are in the tables of the MPEG-2 syntaxes and of the BD-compatible one (.100, .101, .103)."""
    if case.base_uid == f"{ROOT}.100" and not any(_fits(case, row) for row in MAIN_LEVEL):
        yield Breach(_picture(case), "at most 720×480 at 29.97 or 30, or 720×576 at 25 frames/s")
    rows = FORMATS.get(case.base_uid, ())
    if rows and not any(_equals(case, row) for row in rows):
        yield Breach(_picture(case), "one of " + ", ".join(map(_words, rows)))


def packing(case: StreamCase) -> Iterator[Breach]:
    """Frame packing for stereo is absent under .104 and present under .105 (PS3.5 Table 8-8)."""
    if case.base_uid == f"{ROOT}.104" and case.video.frame_packed:
        yield Breach("frame packing for stereo", "none", "Use .105 for frame-packed stereo.")
    if case.base_uid == f"{ROOT}.105" and not case.video.frame_packed:
        yield Breach("no frame packing", "frame packing for stereo", "Use .104 for plain video.")


def aspect(case: StreamCase) -> Iterator[Breach]:
    """Pixels are square: aspect_ratio_idc 1, or display aspect ratio 16:9 of a 16:9 picture (all syntaxes but .100)."""
    if case.base_uid != f"{ROOT}.100" and case.video.pixel_aspect != 1:
        yield Breach(f"pixel aspect ratio {case.video.pixel_aspect}", "square pixels")


def sample_range(case: StreamCase) -> Iterator[Breach]:
    """Samples are coded in partial range, black at 16: that is what YBR_PARTIAL_420 means."""
    if case.video.full_range or case.video.pixel_format.startswith(FULL_RANGE_FORMATS):
        yield Breach("full-range samples", "partial range (YBR_PARTIAL_420)")


def matrix(case: StreamCase) -> Iterator[Breach]:
    """Samples are luma and two colour differences, not RGB or YCgCo."""
    code = case.video.coding.matrix_code if case.video.coding else None
    named = case.video.matrix or NOT_YCBCR_CODES.get(code if code is not None else 2)
    if named in NOT_YCBCR:
        yield Breach(f"colour matrix {named}", "Y, Cb and Cr samples")


def gamut(case: StreamCase) -> Iterator[Breach]:
    """Colours are those of BT.601 or BT.709; no photometric interpretation announces BT.2020 or HDR to a viewer."""
    tags = {case.video.matrix, case.video.primaries, case.video.transfer} & WIDE_GAMUT
    if tags:
        yield Breach(f"colours tagged {', '.join(sorted(map(str, tags)))}", "BT.601 or BT.709 colours")


def rotation(case: StreamCase) -> Iterator[Breach]:
    """The picture stands upright as coded: DICOM has no display matrix."""
    if case.video.rotation % 360:
        yield Breach(f"a picture to be turned by {case.video.rotation} degrees", "an upright picture")
    if case.video.mirrored:
        yield Breach("a picture to be mirrored", "a picture that is shown as it is coded")


def interlaced_hevc(case: StreamCase) -> Iterator[Breach]:
    """HEVC codes fields as pictures of their own, which viewers show at half height (field_seq_flag, H.265 E.3.1)."""
    if case.video.codec == "hevc" and (case.video.scan is not Scan.PROGRESSIVE or _codes_fields(case)):
        yield Breach("interlaced HEVC", "progressive video")


def constant_rate(case: StreamCase) -> Iterator[Breach]:
    """Every frame lasts equally long; else the header needs a Frame Time Vector that fits it.

    Of a DICOM file the rules on its header say whether it does.
    """
    if not case.video.constant_rate and case.description.dicom is None:
        yield Breach("a variable frame rate", "a constant one, or a Frame Time Vector")


def _compatible(case: StreamCase) -> bool:
    coding = case.video.coding
    return coding is not None and HEVC_PROFILES.get(case.syntax.profile) in coding.compatible_profiles


def _codes_fields(case: StreamCase) -> bool:
    return case.video.coding is not None and case.video.coding.progressive_only is False


def _picture(case: StreamCase) -> str:
    scan = "p" if case.video.scan is Scan.PROGRESSIVE else "i"
    return f"{case.video.width}×{case.video.height} at {float(case.video.frame_rate):.5g} frames/s {scan}"


def _words(row: Format) -> str:
    scan = {None: " p or i", True: " i", False: " p"}[row.interlaced]
    return f"{row.width}×{row.height} at {'/'.join(f'{float(rate):.5g}' for rate in row.rates)}{scan}"


def _fits(case: StreamCase, row: Format) -> bool:
    video = case.video
    return video.width <= row.width and video.height <= row.height and _at(video.frame_rate, row.rates)


def _equals(case: StreamCase, row: Format) -> bool:
    interlaced = case.video.scan is not Scan.PROGRESSIVE
    scans = {None, interlaced}
    if case.syntax.codec == "h264" and _codes_fields(case):
        scans.add(True)  # progressive frames coded as interlaced ones, as Blu-ray has 25 and 29.97 frames/s
    same_size = (case.video.width, case.video.height) == (row.width, row.height)
    return same_size and row.interlaced in scans and _at(case.video.frame_rate, row.rates)


def _at(found: Fraction, rates: tuple[Fraction, ...]) -> bool:
    return any(abs(found - rate) <= rate * _RATE_TOLERANCE for rate in rates)


STREAM_RULES: tuple[Rule[StreamCase], ...] = (
    Rule("stream.codec", OF_SYNTAX, "error", codec),
    Rule("stream.profile", OF_SYNTAX, "error", profile),
    Rule("stream.profile.lesser", OF_SYNTAX, "warning", lesser_profile),
    Rule("stream.chroma", OF_SYNTAX, "error", chroma),
    Rule("stream.bits", OF_SYNTAX, "error", bits),
    Rule("stream.geometry", OF_SYNTAX, "error", geometry),
    Rule("stream.packing", OF_SYNTAX, "error", packing),
    Rule("stream.aspect", OF_SYNTAX, "error", aspect),
    Rule("stream.range", "PS3.3 C.7.6.3.1.2", "error", sample_range),
    Rule("stream.matrix", "PS3.3 C.7.6.3.1.2", "error", matrix),
    Rule("stream.gamut", "PS3.3 C.7.6.3.1.2", "warning", gamut),
    Rule("stream.rotation", OF_SYNTAX, "error", rotation),
    Rule("stream.scan", OF_SYNTAX, "warning", interlaced_hevc),
    Rule("stream.rate", "PS3.3 C.7.6.5", "warning", constant_rate),
)
