"""h264_vaapi and hevc_vaapi options. Checked against ``ffmpeg -h encoder=…`` of FFmpeg 9.0.2; not run on a device."""

from __future__ import annotations

from fractions import Fraction

from common.media import Scan
from common.recipes import Recipe
from workers.ffmpeg.conversion import Conversion, Filter
from workers.ffmpeg.stream_options import stream_options


def options(recipe: Recipe, conversion: Conversion, frame_rate: Fraction, _scan: Scan) -> dict[str, str]:
    """FFmpeg output options: QVBR with its buffer. A driver without this mode fails at once, and the CPU does the work."""
    chosen = stream_options(recipe, conversion, frame_rate) | {
        "level:v": recipe.level,
        "rc_mode": "QVBR",
        "global_quality:v": str(recipe.crf),
        "b:v": f"{recipe.max_rate_kbit * 9 // 10}k",
        "flags:v": "+cgop",
        "idr_interval": "0",  # every I picture is an IDR picture; VAAPI knows no scene cuts
        "b_depth": "1",  # no B picture is a reference
    }
    # no SEI that names the driver: the same order on the same device gives the same bytes
    return chosen | ({"sei": "timing"} if recipe.codec == "h264" else {"tier": "main", "sei": "0"})


def upload(bits: int) -> tuple[Filter, ...]:
    """VAAPI encodes from device memory: NV12 or P010, uploaded; the same samples, chroma interleaved."""
    form = Filter("format", (("pix_fmts", "p010le" if bits == 10 else "nv12"),))
    return Filter("scale"), form, Filter("hwupload")
