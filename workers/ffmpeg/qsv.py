"""h264_qsv and hevc_qsv options. Checked against ``ffmpeg -h encoder=…`` of FFmpeg 9.0.2; not run on a device."""

from __future__ import annotations

from fractions import Fraction

from common.media import Scan
from common.recipes import Recipe
from workers.ffmpeg.conversion import Conversion, Filter
from workers.ffmpeg.stream_options import stream_options


def options(recipe: Recipe, conversion: Conversion, frame_rate: Fraction, _scan: Scan) -> dict[str, str]:
    """FFmpeg output options: QVBR, which FFmpeg chooses when a quality, a mean and a higher peak rate are given (qsvenc.c)."""
    chosen = stream_options(recipe, conversion, frame_rate) | {
        "preset": recipe.preset,
        "level:v": recipe.level.replace(".", ""),  # a plain number here: 41, and 51 for HEVC 5.1
        "global_quality:v": str(recipe.crf),
        "b:v": f"{recipe.max_rate_kbit * 9 // 10}k",  # equal to the peak it would be constant bit rate
        "flags:v": "+cgop",
        "forced_idr": "1",
        "idr_interval": "0",  # every I picture is an IDR picture
        "adaptive_i": "0",  # no scene cut moves a picture's type
        "adaptive_b": "0",
        "b_strategy": "0",
        "look_ahead_depth": "0",
    }
    return chosen if recipe.codec == "h264" else chosen | {"tier": "main"}  # FFmpeg's default is the high tier


def upload(bits: int) -> tuple[Filter, ...]:
    """Quick Sync takes NV12 or P010 from system memory: the same samples, chroma interleaved."""
    return Filter("scale"), Filter("format", (("pix_fmts", "p010le" if bits == 10 else "nv12"),))
