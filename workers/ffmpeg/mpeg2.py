"""mpeg2video options for .100 (Main Profile at Main Level) and .101 (at High Level): ISO/IEC 13818-2.

Quality is the finest quantiser scale (``qmin``) under a mean rate just below the level's: what is easy is coded at that scale, what
is hard gets what the buffer allows. A fixed scale (``q:v``) would spend the buffer on one picture and code the next again and again
until it fits: thirty times slower on noise, and worse.
"""

from __future__ import annotations

from fractions import Fraction

from common.media import Scan
from common.recipes import Recipe
from workers.ffmpeg.conversion import Conversion
from workers.ffmpeg.stream_options import stream_options

LAMBDA_PER_SCALE = 118
"""FFmpeg's Lagrange factor of quantiser scale 1 (FF_QP2LAMBDA)."""

_CODED_HERE = "cgop+bitexact"  # closed groups; the same arithmetic on every CPU
_FIELDS = "+ildct+ilme"  # each macroblock coded by frame or by field, whichever is cheaper


def options(recipe: Recipe, conversion: Conversion, frame_rate: Fraction, scan: Scan) -> dict[str, str]:
    """FFmpeg output options. The rates stand in the sequence header; FFmpeg codes a picture again that would empty the VBV."""
    finest = str(LAMBDA_PER_SCALE * recipe.crf)
    return stream_options(recipe, conversion, frame_rate) | {
        "level:v": recipe.level,
        "b:v": f"{recipe.max_rate_kbit * 9 // 10}k",
        "qmin": str(recipe.crf),
        "lmin": finest,
        "mblmin": finest,
        "sc_threshold": "1000000000",  # a scene cut would break a closed group in two: FFmpeg refuses both together
        "flags:v": f"{'' if scan is Scan.PROGRESSIVE else _FIELDS}+{_CODED_HERE}",
        "dct": "int",  # one transform for all CPUs, and the decoder's own
        "idct": "simple",
        "mbd": "rd",
        "trellis": "1",
        "intra_vlc": "1",
        "intra_dc_precision": "2",  # 10 bits, the most that Main profile has (Table 8-5)
        "me_range": "255",  # half samples: vectors that vertical f_code 5 holds (Table 8-8)
        "threads": str(recipe.threads),
    }
