"""libx264 options for the H.264 transfer syntaxes."""

from __future__ import annotations

from fractions import Fraction

from common.media import Scan
from common.recipes import Recipe
from workers.ffmpeg.conversion import Conversion
from workers.ffmpeg.stream_options import stream_options

_FIELD_ORDER = {Scan.TOP_FIELD_FIRST: "tt", Scan.BOTTOM_FIELD_FIRST: "bb"}


def options(recipe: Recipe, conversion: Conversion, frame_rate: Fraction, scan: Scan) -> dict[str, str]:
    """FFmpeg output options. Constant quality under the level's VBV; closed GOPs, every I picture an IDR picture.

    The reference count is the preset's, lowered by FFmpeg's libx264 wrapper to MaxDpbFrames of the level.
    """
    chosen = stream_options(recipe, conversion, frame_rate) | {
        "preset": recipe.preset,
        "level:v": recipe.level,
        "crf": str(recipe.crf),
        "keyint_min": "1",  # a scene cut soon after an IDR picture is an IDR picture too, no plain I picture
        "threads": str(recipe.threads),
        # cpu-independent: no algorithm is chosen by the CPU at hand, so two nodes write the same bytes
        "x264-params": f"open-gop=0:cpu-independent=1:fps={frame_rate.numerator}/{frame_rate.denominator}",
    }
    if scan is not Scan.PROGRESSIVE:
        chosen |= {"flags:v": "+ildct+ilme", "field_order": _FIELD_ORDER[scan]}
    if scan is Scan.BOTTOM_FIELD_FIRST:
        # FFmpeg tells x264 too late for its SEI: pic_struct would say top field first (H.264 D.2.2), against the order counts
        chosen["x264-params"] += ":bff=1"
    return chosen
