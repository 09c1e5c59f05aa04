"""h264_nvenc and hevc_nvenc options. Checked against ``ffmpeg -h encoder=…`` of FFmpeg 9.0.2; not run on a device."""

from __future__ import annotations

from fractions import Fraction

from common.media import Scan
from common.recipes import Recipe
from workers.ffmpeg.conversion import Conversion, Filter
from workers.ffmpeg.stream_options import stream_options


def options(recipe: Recipe, conversion: Conversion, frame_rate: Fraction, _scan: Scan) -> dict[str, str]:
    """FFmpeg output options: VBR at a target quality (``cq``) below a peak rate; closed GOPs that begin with IDR pictures.

    FFmpeg's wrapper drops ``bufsize`` in this mode and keeps ``maxrate`` (nvenc.c): the conformance check of the finished
    stream holds its rate against the level's buffer.
    """
    chosen = stream_options(recipe, conversion, frame_rate) | {
        "preset": recipe.preset,
        "tune": "hq",
        "level:v": recipe.level,
        "rc": "vbr",
        "cq": str(recipe.crf),
        "b:v": "0",  # else 2 Mbit/s, FFmpeg's default, would be the mean
        "flags:v": "+cgop",
        "forced-idr": "1",
        "no-scenecut": "1",  # NVENC's scene cuts are plain I pictures
        "rc-lookahead": "16",
        "b_adapt": "0",  # always two B pictures
        "b_ref_mode": "disabled",
    }
    return chosen if recipe.codec == "h264" else chosen | {"tier": "main"}


def upload(bits: int) -> tuple[Filter, ...]:
    """NVENC takes yuv420p from system memory as it is, but 10 bits only as P010; the samples stay the same."""
    return (Filter("scale"), Filter("format", (("pix_fmts", "p010le"),))) if bits == 10 else ()
