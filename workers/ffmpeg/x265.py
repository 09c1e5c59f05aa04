"""libx265 options for the HEVC transfer syntaxes .107 and .108."""

from __future__ import annotations

from fractions import Fraction

from common.media import Scan
from common.recipes import Recipe
from workers.ffmpeg.conversion import Conversion
from workers.ffmpeg.stream_options import stream_options


def options(recipe: Recipe, conversion: Conversion, frame_rate: Fraction, _scan: Scan) -> dict[str, str]:
    """FFmpeg output options. Constant quality under the VBV of the Main tier; closed GOPs, every I picture an IDR picture.

    The level is x265's own setting: FFmpeg's wrapper knows no ``level:v``.
    """
    params = {
        "level-idc": recipe.level,
        "high-tier": "0",
        "open-gop": "0",
        "const-vbv": "1",  # the VBV decides the same way in every run
        "info": "0",  # x265's SEI names the CPU at hand: two nodes would not write the same bytes
        "log-level": "error",
        "fps": f"{frame_rate.numerator}/{frame_rate.denominator}",
    }
    return stream_options(recipe, conversion, frame_rate) | {
        "preset": recipe.preset,
        "crf": str(recipe.crf),
        "keyint_min": "1",  # as with x264: a scene cut is an IDR picture, never a plain I picture
        "threads": str(recipe.threads),  # frame threads; the pool below them does not shape the bytes
        "x265-params": ":".join(f"{name}={value}" for name, value in params.items()),
    }
