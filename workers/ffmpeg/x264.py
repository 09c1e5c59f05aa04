"""libx264 options for the H.264 transfer syntaxes."""

from __future__ import annotations

from fractions import Fraction

from common.dicom.transfer_syntaxes import ROOT
from common.media import Scan
from common.recipes import Recipe
from workers.ffmpeg.conversion import Conversion
from workers.ffmpeg.stream_options import stream_options

BLU_RAY = f"{ROOT}.103"
_BLU_RAY = {
    "bluray-compat": "1",  # weighting, references, picture structure and groups as players want them
    "nal-hrd": "vbr",
    "aud": "1",
    "slices": "4",  # level 4.1 decoders of players work in four
    "b-pyramid": "strict",
}
"""What BD-ROM Part 3 asks of a High@4.1 stream beyond H.264, in x264's words (PS3.5 8.2.7: 'BD-compatible')."""

_FIELD_ORDER = {Scan.TOP_FIELD_FIRST: "tt", Scan.BOTTOM_FIELD_FIRST: "bb"}


def options(recipe: Recipe, conversion: Conversion, frame_rate: Fraction, scan: Scan) -> dict[str, str]:
    """FFmpeg output options. Constant quality under the level's VBV; closed GOPs, every I picture an IDR picture.

    The reference count is the preset's, lowered by FFmpeg's libx264 wrapper to MaxDpbFrames of the level.
    """
    params = {
        "open-gop": "0",
        "cpu-independent": "1",  # no algorithm is chosen by the CPU at hand, so two nodes write the same bytes
        "fps": f"{frame_rate.numerator}/{frame_rate.denominator}",
        **(_BLU_RAY if recipe.transfer_syntax_uid == BLU_RAY else {}),
        **({} if conversion.packing is None else {"frame-packing": str(conversion.packing)}),
    }
    chosen = stream_options(recipe, conversion, frame_rate) | {
        "preset": recipe.preset,
        "level:v": recipe.level,
        "crf": str(recipe.crf),
        "keyint_min": "1",  # a scene cut soon after an IDR picture is an IDR picture too, no plain I picture
        "threads": str(recipe.threads),
        "x264-params": ":".join(f"{name}={value}" for name, value in params.items()),
    }
    if scan is not Scan.PROGRESSIVE:
        chosen |= {"flags:v": "+ildct+ilme", "field_order": _FIELD_ORDER[scan]}
    if scan is Scan.BOTTOM_FIELD_FIRST:
        # FFmpeg tells x264 too late for its SEI: pic_struct would say top field first (H.264 D.2.2), against the order counts
        chosen["x264-params"] += ":bff=1"
    return chosen
