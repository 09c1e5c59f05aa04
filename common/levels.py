"""What a level allows: the tables of H.264 and HEVC as data, and what a picture asks for beyond them.

The level that a stream names (level_idc) is a claim; these functions compute whether it can be true.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, isqrt

_MACROBLOCK = 16  # luma samples


@dataclass(frozen=True)
class H264Level:
    """One row of ITU-T H.264 Table A-1, and the interlace column of Table A-4."""

    name: str
    mbs_per_second: int  # MaxMBPS
    mbs_per_frame: int  # MaxFS
    dpb_mbs: int  # MaxDpbMbs
    max_br: int  # MaxBR; × cpbBrVclFactor = bit/s
    max_cpb: int  # MaxCPB; × cpbBrVclFactor = bits
    interlaced: bool  # frame_mbs_only_flag may be 0


H264_LEVELS: dict[str, H264Level] = {
    level.name: level
    for level in (
        H264Level("1", 1_485, 99, 396, 64, 175, False),
        H264Level("1b", 1_485, 99, 396, 128, 350, False),
        H264Level("1.1", 3_000, 396, 900, 192, 500, False),
        H264Level("1.2", 6_000, 396, 2_376, 384, 1_000, False),
        H264Level("1.3", 11_880, 396, 2_376, 768, 2_000, False),
        H264Level("2", 11_880, 396, 2_376, 2_000, 2_000, False),
        H264Level("2.1", 19_800, 792, 4_752, 4_000, 4_000, True),
        H264Level("2.2", 20_250, 1_620, 8_100, 4_000, 4_000, True),
        H264Level("3", 40_500, 1_620, 8_100, 10_000, 10_000, True),
        H264Level("3.1", 108_000, 3_600, 18_000, 14_000, 14_000, True),
        H264Level("3.2", 216_000, 5_120, 20_480, 20_000, 20_000, True),
        H264Level("4", 245_760, 8_192, 32_768, 20_000, 25_000, True),
        H264Level("4.1", 245_760, 8_192, 32_768, 50_000, 62_500, True),
        H264Level("4.2", 522_240, 8_704, 34_816, 50_000, 62_500, False),
        H264Level("5", 589_824, 22_080, 110_400, 135_000, 135_000, False),
        H264Level("5.1", 983_040, 36_864, 184_320, 240_000, 240_000, False),
        H264Level("5.2", 2_073_600, 36_864, 184_320, 240_000, 240_000, False),
    )
}

H264_VCL_FACTOR = {"baseline": 1_000, "main": 1_000, "extended": 1_000, "high": 1_250}
"""cpbBrVclFactor, ITU-T H.264 Table A-2."""


@dataclass(frozen=True)
class HevcLevel:
    """One row of ITU-T H.265 Tables A.8 and A.9, Main tier."""

    name: str
    luma_samples: int  # MaxLumaPs
    luma_rate: int  # MaxLumaSr, samples/s
    max_br: int  # MaxBR; × BrVclFactor (1000 for Main and Main 10) = bit/s
    max_cpb: int  # MaxCPB; × CpbVclFactor (1000) = bits


HEVC_LEVELS: dict[str, HevcLevel] = {
    level.name: level
    for level in (
        HevcLevel("1", 36_864, 552_960, 128, 350),
        HevcLevel("2", 122_880, 3_686_400, 1_500, 1_500),
        HevcLevel("2.1", 245_760, 7_372_800, 3_000, 3_000),
        HevcLevel("3", 552_960, 16_588_800, 6_000, 6_000),
        HevcLevel("3.1", 983_040, 33_177_600, 10_000, 10_000),
        HevcLevel("4", 2_228_224, 66_846_720, 12_000, 12_000),
        HevcLevel("4.1", 2_228_224, 133_693_440, 20_000, 20_000),
        HevcLevel("5", 8_912_896, 267_386_880, 25_000, 25_000),
        HevcLevel("5.1", 8_912_896, 534_773_760, 40_000, 40_000),
    )
}

HEVC_VCL_FACTOR = 1_000
"""BrVclFactor and CpbVclFactor of Main and Main 10, ITU-T H.265 Table A.10."""

NAL_PER_VCL: dict[str, Fraction] = {"h264": Fraction(6, 5), "hevc": Fraction(11, 10), "mpeg2video": Fraction(1)}
"""What a level allows all bytes over what it allows the pictures alone: cpbBrNalFactor (H.264 Table A-2), BrNalFactor
(H.265 Table A.10). MPEG-2 knows no such difference."""


@dataclass(frozen=True)
class Mpeg2Level:
    """Main profile at one level, ISO/IEC 13818-2 Tables 8-11 to 8-14."""

    name: str
    width: int  # samples
    height: int  # lines
    frame_rate: int  # frames/s
    luma_rate: int  # samples/s
    bit_rate: int  # bit/s
    buffer_bits: int  # VBV


MPEG2_LEVELS: dict[str, Mpeg2Level] = {
    level.name: level
    for level in (
        Mpeg2Level("Low", 352, 288, 30, 3_041_280, 4_000_000, 475_136),
        Mpeg2Level("Main", 720, 576, 30, 10_368_000, 15_000_000, 1_835_008),
        Mpeg2Level("High 1440", 1_440, 1_152, 60, 47_001_600, 60_000_000, 7_340_032),
        Mpeg2Level("High", 1_920, 1_152, 60, 62_668_800, 80_000_000, 9_781_248),
    )
}


def macroblocks(width: int, height: int, *, interlaced: bool = False) -> int:
    """Macroblocks of a frame. Field coding rounds the height up to 32 lines (H.264 7-18: PicHeightInMapUnits)."""
    rows = 2 * ceil(height / (2 * _MACROBLOCK)) if interlaced else ceil(height / _MACROBLOCK)
    return ceil(width / _MACROBLOCK) * rows


def h264_level_violations(
    width: int,
    height: int,
    rate: Fraction,
    level: str,
    *,
    interlaced: bool = False,
    profile: str = "high",
    bit_rate: int | None = None,
    buffer_bits: int | None = None,
    references: int | None = None,
) -> tuple[str, ...]:
    """Every limit of the level that this picture, rate (frames/s), VBV (bit/s, bits) and DPB break, in words.

    ITU-T H.264 A.3.1 and A.3.3: frame size and each side (√(8·MaxFS)), macroblock rate, bit rate, buffer, reference
    frames (MaxDpbMbs, at most 16) and interlace (Table A-4).

    Raises:
        KeyError: no such level or profile.
    """
    row, factor = H264_LEVELS[level], H264_VCL_FACTOR[profile]
    frame = macroblocks(width, height, interlaced=interlaced)
    side = isqrt(8 * row.mbs_per_frame) * _MACROBLOCK
    checks: list[tuple[str, int | Fraction | None, int, str]] = [
        ("frame size", frame, row.mbs_per_frame, "macroblocks"),
        ("longest side", max(width, height), side, "samples"),
        ("macroblock rate", frame * rate, row.mbs_per_second, "macroblocks/s"),
        ("bit rate", bit_rate, row.max_br * factor, "bit/s"),
        ("coded picture buffer", buffer_bits, row.max_cpb * factor, "bits"),
        ("reference frames", references, h264_max_references(width, height, level, interlaced=interlaced), "frames"),
    ]
    broken = _beyond(f"H.264 level {level}", checks)
    if interlaced and not row.interlaced:
        broken += (f"H.264 level {level} allows no interlaced coding",)
    return broken


def h264_minimal_level(width: int, height: int, rate: Fraction, *, interlaced: bool = False) -> str | None:
    """The lowest level that holds this picture at this rate; None when none up to 5.2 does."""
    for name in H264_LEVELS:
        if not h264_level_violations(width, height, rate, name, interlaced=interlaced):
            return name
    return None


def h264_max_references(width: int, height: int, level: str, *, interlaced: bool = False) -> int:
    """MaxDpbFrames, ITU-T H.264 A.3.1 h: min(MaxDpbMbs / frame size, 16)."""
    return min(H264_LEVELS[level].dpb_mbs // macroblocks(width, height, interlaced=interlaced), 16)


def hevc_level_violations(
    width: int,
    height: int,
    rate: Fraction,
    level: str,
    *,
    bit_rate: int | None = None,
    buffer_bits: int | None = None,
) -> tuple[str, ...]:
    """Every limit of the level (Main tier) that this picture and rate (frames/s) break, in words: H.265 A.4.1, A.4.2.

    Raises:
        KeyError: no such level.
    """
    row = HEVC_LEVELS[level]
    samples = width * height
    return _beyond(
        f"HEVC level {level}",
        [
            ("picture size", samples, row.luma_samples, "luma samples"),
            ("longest side", max(width, height), isqrt(8 * row.luma_samples), "samples"),
            ("sample rate", samples * rate, row.luma_rate, "luma samples/s"),
            ("bit rate", bit_rate, row.max_br * HEVC_VCL_FACTOR, "bit/s"),
            ("coded picture buffer", buffer_bits, row.max_cpb * HEVC_VCL_FACTOR, "bits"),
        ],
    )


def hevc_max_pictures(width: int, height: int, level: str) -> int:
    """MaxDpbSize, ITU-T H.265 A.4.2: six of the level's largest pictures, more of smaller ones, 16 at most."""
    samples, largest = width * height, HEVC_LEVELS[level].luma_samples
    for part, pictures in ((Fraction(1, 4), 16), (Fraction(1, 2), 12), (Fraction(3, 4), 8)):
        if samples <= largest * part:
            return pictures
    return 6


def mpeg2_level_violations(
    width: int, height: int, rate: Fraction, level: str, *, bit_rate: int | None = None
) -> tuple[str, ...]:
    """Every limit of the level that this picture, rate (frames/s) and bit/s break, in words: 13818-2 Tables 8-11 to 8-13.

    Raises:
        KeyError: no such level.
    """
    row = MPEG2_LEVELS[level]
    return _beyond(
        f"MPEG-2 {level} level",
        [
            ("width", width, row.width, "samples"),
            ("height", height, row.height, "lines"),
            ("frame rate", rate, row.frame_rate, "frames/s"),
            ("sample rate", width * height * rate, row.luma_rate, "luma samples/s"),
            ("bit rate", bit_rate, row.bit_rate, "bit/s"),
        ],
    )


def level_budget(codec: str, level: str) -> tuple[int, int]:
    """(bit/s, bits of buffer) that a level of H.264 High, HEVC Main tier or MPEG-2 Main allows the pictures.

    Raises:
        KeyError: no such codec or level.
    """
    if codec == "mpeg2video":
        return MPEG2_LEVELS[level].bit_rate, MPEG2_LEVELS[level].buffer_bits
    if codec == "h264":
        return (
            H264_LEVELS[level].max_br * H264_VCL_FACTOR["high"],
            H264_LEVELS[level].max_cpb * H264_VCL_FACTOR["high"],
        )
    return HEVC_LEVELS[level].max_br * HEVC_VCL_FACTOR, HEVC_LEVELS[level].max_cpb * HEVC_VCL_FACTOR


def hevc_minimal_level(width: int, height: int, rate: Fraction) -> str | None:
    """The lowest level that holds this picture at this rate; None when none up to 5.1 does."""
    for name in HEVC_LEVELS:
        if not hevc_level_violations(width, height, rate, name):
            return name
    return None


def level_violations(
    codec: str,
    width: int,
    height: int,
    rate: Fraction,
    level: str,
    *,
    interlaced: bool = False,
    bit_rate: int | None = None,
    buffer_bits: int | None = None,
) -> tuple[str, ...]:
    """H.264 High or HEVC, by FFmpeg's codec name: every limit of the level that is broken, in words.

    Interlaced HEVC would code each field as a picture of its own (H.265 D.3.3), which viewers show at half height.

    Raises:
        KeyError: no such level.
    """
    if codec == "hevc":
        fields = ("HEVC has no interlaced frames, only fields as pictures of their own",) if interlaced else ()
        return fields + hevc_level_violations(width, height, rate, level, bit_rate=bit_rate, buffer_bits=buffer_bits)
    return h264_level_violations(
        width, height, rate, level, interlaced=interlaced, bit_rate=bit_rate, buffer_bits=buffer_bits
    )


def _beyond(level: str, checks: list[tuple[str, int | Fraction | None, int, str]]) -> tuple[str, ...]:
    """Sentences for the values above their limit; None is not asked."""
    return tuple(
        f"{what} {float(value):,.10g} {unit} is above the {limit:,} of {level}"
        for what, value, limit, unit in checks
        if value is not None and value > limit
    )
