"""libx264 options for the H.264 transfer syntaxes."""

from __future__ import annotations

from fractions import Fraction

from common.errors import NoLegalPath
from common.levels import h264_level_violations, h264_minimal_level
from common.media import Scan
from common.recipes import Recipe
from workers.ffmpeg.conversion import Conversion

_FIELD_ORDER = {Scan.TOP_FIELD_FIRST: "tt", Scan.BOTTOM_FIELD_FIRST: "bb"}


def check_level(width: int, height: int, rate: Fraction, recipe: Recipe, *, interlaced: bool = False) -> None:
    """Refuse to write a level that the picture, its rate or the recipe's VBV breaks: an encoder would not.

    Raises:
        NoLegalPath: with each limit and the value beyond it (ITU-T H.264 Table A-1).
    """
    broken = h264_level_violations(
        width,
        height,
        rate,
        recipe.level,
        interlaced=interlaced,
        profile=recipe.profile,
        bit_rate=recipe.max_rate_kbit * 1000,
        buffer_bits=recipe.buffer_kbit * 1000,
    )
    if not broken:
        return
    needed = h264_minimal_level(width, height, rate, interlaced=interlaced)
    hint = f"It needs level {needed}: choose a profile whose target allows it." if needed else ""
    raise NoLegalPath(f"{width}×{height} at {float(rate):.6g} frames/s: {'; '.join(broken)}", hint=hint)


def options(recipe: Recipe, conversion: Conversion, frame_rate: Fraction, scan: Scan) -> dict[str, str]:
    """FFmpeg output options. Constant quality under the level's VBV; closed GOPs, every I picture an IDR picture.

    The reference count is the preset's, lowered by FFmpeg's libx264 wrapper to MaxDpbFrames of the level.
    """
    chosen = {
        "c:v": "libx264",
        "preset": recipe.preset,
        "profile:v": recipe.profile,
        "level:v": recipe.level,
        "crf": str(recipe.crf),
        "maxrate": f"{recipe.max_rate_kbit}k",
        "bufsize": f"{recipe.buffer_kbit}k",
        "g": str(max(1, int(recipe.gop_seconds * frame_rate))),
        "keyint_min": "1",  # a scene cut soon after an IDR picture is an IDR picture too, no plain I picture
        "bf": str(recipe.b_frames),
        "color_range": "tv",
        "colorspace": conversion.tags.matrix,
        "color_primaries": conversion.tags.primaries,
        "color_trc": conversion.tags.transfer,
        "chroma_sample_location": "left",
        "enc_time_base": str(conversion.time_base),
        "threads": str(recipe.threads),
        # cpu-independent: no algorithm is chosen by the CPU at hand, so two nodes write the same bytes
        "x264-params": f"open-gop=0:cpu-independent=1:fps={frame_rate.numerator}/{frame_rate.denominator}",
        "tag:v": "avc1",
    }
    if scan is not Scan.PROGRESSIVE:
        chosen |= {"flags:v": "+ildct+ilme", "field_order": _FIELD_ORDER[scan]}
    return chosen
