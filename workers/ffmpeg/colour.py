"""Which samples a source has and which our H.264 gets: the colour rules, pure.

1. Limited-range Y'CbCr keeps its matrix; 4:2:0 with as many bits as the result keeps its very samples. Only the tags are
   made whole.
2. Untagged limited-range Y'CbCr is BT.709 when it is HD (wider than 1279 or higher than 576), else BT.601: what
   players assume, written down so that nobody needs to assume it again.
3. RGB, palette, grey and full-range Y'CbCr become BT.709 limited range. Grey gets neutral chroma.
4. HDR in fewer bits than it has, as RGB or in full range, and wide-gamut colour in full range would need a change of
   content: refused. Tone mapping (treatment.py) comes before these rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from common.errors import UnsupportedSource
from common.handling import HDR_BITS, HDR_TRANSFERS

_HD_WIDTH, _HD_HEIGHT = 1280, 576
MATRIX_CODES: dict[int, str | None] = {
    1: "bt709",
    2: None,  # untagged
    4: "fcc",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    9: "bt2020nc",
}
"""ITU-T H.273 Table 4 → FFmpeg's names, for the matrices that we carry."""

_MATRICES = {  # matrix (ITU-T H.273 names) → the primaries and transfer that belong to it
    "bt709": ("bt709", "bt709"),
    "smpte170m": ("smpte170m", "smpte170m"),
    "bt470bg": ("bt470bg", "smpte170m"),  # BT.601-7, 625 lines: 525's transfer, its own primaries
    "fcc": ("bt470m", "bt470m"),
    "smpte240m": ("smpte240m", "smpte240m"),
    "bt2020nc": ("bt2020", "bt2020-10"),
}
_CONVERTIBLE = {"bt709", "smpte170m", "bt470bg", "fcc", "smpte240m"}  # one gamut, near enough; swscale knows the matrix


class Model(StrEnum):
    """What the samples mean."""

    RGB = "rgb"
    GREY = "grey"
    YCBCR = "ycbcr"


@dataclass(frozen=True)
class Samples:
    """A pixel format, taken apart."""

    model: Model
    bits: int
    chroma: tuple[int, int]  # luma samples per chroma sample, across and down: (2, 2) is 4:2:0


@dataclass(frozen=True)
class Tags:
    """The colour description of H.264 E.2.1, in FFmpeg's names."""

    matrix: str
    primaries: str
    transfer: str


@dataclass(frozen=True)
class Colour:
    """What to do with the samples, and what the result is."""

    tags: Tags
    convert: bool  # False: the samples stay as they are
    in_matrix: str
    in_full_range: bool


BT709 = Tags("bt709", "bt709", "bt709")


def samples(pixel_format: str) -> Samples:
    """Take FFmpeg's pixel format apart.

    Raises:
        UnsupportedSource: a format that FFmpeg does not know, or one with no plain samples (hardware, Bayer).
    """
    from av.video.format import VideoFormat

    try:
        form = VideoFormat(pixel_format, 64, 64)
    except ValueError as error:
        raise UnsupportedSource(f"pixel format {pixel_format!r} is unknown") from error
    parts = form.components
    if not parts or pixel_format.startswith("bayer"):
        raise UnsupportedSource(f"pixel format {pixel_format} holds no plain samples")
    bits = max(part.bits for part in parts)
    if form.is_rgb or form.has_palette:
        return Samples(Model.RGB, bits, (1, 1))
    if len(parts) < 3:  # grey, or grey with alpha
        return Samples(Model.GREY, bits, (1, 1))
    return Samples(Model.YCBCR, bits, (64 // form.chroma_width(64), 64 // form.chroma_height(64)))


def colour(
    pixel_format: str,
    full_range: bool | None,
    matrix: str | None,
    primaries: str | None,
    transfer: str | None,
    size: tuple[int, int],
    frame_rate: Fraction,
    bits: int = 8,
) -> Colour:
    """Apply the four rules to one source. ``size``: width, height; ``bits``: of a sample of the result, 8 or 10.

    Raises:
        UnsupportedSource: rule 4, or a matrix nobody can name.
    """
    what = samples(pixel_format)
    full = full_range if full_range is not None else pixel_format.startswith("yuvj") or what.model is not Model.YCBCR
    if what.model is not Model.YCBCR:
        _refuse_hdr(transfer)
        return Colour(BT709, True, "bt709", full)
    tags = _complete(matrix or _assumed_matrix(size, frame_rate), primaries, transfer)
    if full:
        _refuse_hdr(tags.transfer)
        if tags.matrix not in _CONVERTIBLE:
            raise UnsupportedSource(f"full-range colour with matrix {tags.matrix} cannot become BT.709 without loss")
        return Colour(BT709, True, tags.matrix, True)
    kept = pixel_format == ("yuv420p10le" if bits == 10 else "yuv420p")
    if not kept and bits < HDR_BITS:
        _refuse_hdr(tags.transfer)
    return Colour(tags, not kept, tags.matrix, False)


def _assumed_matrix(size: tuple[int, int], frame_rate: Fraction) -> str:
    """Rule 2. 625-line systems run at 25 frames/s, 525-line systems at 30 (BT.601); their matrix is the same."""
    if size[0] >= _HD_WIDTH or size[1] > _HD_HEIGHT:
        return "bt709"
    return "bt470bg" if frame_rate in (25, 50) or size[1] == _HD_HEIGHT else "smpte170m"


def _complete(matrix: str, primaries: str | None, transfer: str | None) -> Tags:
    """Fill what is untagged from the matrix."""
    if matrix not in _MATRICES:
        raise UnsupportedSource(f"colour matrix {matrix} is not one we can carry into DICOM video")
    own_primaries, own_transfer = _MATRICES[matrix]
    return Tags(matrix, primaries or own_primaries, transfer or own_transfer)


def _refuse_hdr(transfer: str | None) -> None:
    if transfer in HDR_TRANSFERS:
        raise UnsupportedSource(
            f"HDR video ({transfer}) would lose its highlights in 8-bit BT.709",
            hint="Use --dynamic-range tone-map, or a destination that takes .108 (HEVC Main 10).",
        )
