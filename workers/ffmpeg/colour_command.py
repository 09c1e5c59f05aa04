"""The command line that shows a few small RGB pictures of a video, by zimg, each by the tags that its decoder gives it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workers.ffmpeg.command import Source
from workers.ffmpeg.sample_command import Window, selected, sought

SIDE = 48
"""Pixels a side: coding noise averages out, and a picture is 7 KB."""


def colour_command(
    program: str,
    source: Source,
    samples: Sequence[Window],
    *,
    seekable: bool,
    ycbcr: bool,
    odd: bool,
    matrix: str | None,
    output: Path,
) -> list[str]:
    """Raw planar pictures of SIDE × SIDE, in the order green, blue, red, into a file.

    ``ycbcr``: False for RGB and grey; ``odd``: zimg takes no odd size with chroma that is
    subsampled, so it gets a whole one; ``matrix``: what untagged Y'CbCr is taken for, None where its decoder tags it.
    """
    import ffmpeg

    options: dict[str, str | None] = {"noautorotate": None, "display_rotation": "0"}
    video: Any = (sought if seekable else selected)(source, options, samples)
    size = {"w": SIDE, "h": SIDE, "filter": "bilinear"}
    if ycbcr:
        given = {"matrixin": matrix} if matrix else {}
        if odd:
            video = video.filter("format", pix_fmts="yuv444p|yuvj444p|yuv444p10le|yuv444p12le")
        video = video.filter("zscale", **size, **given, matrix="gbr", range="full")
    else:
        video = video.filter("format", pix_fmts="gbrp").filter("zscale", **size)
    leg = ffmpeg.output(video.filter("format", pix_fmts="gbrp"), str(output), f="rawvideo", fps_mode="passthrough")
    return [program, "-hide_banner", "-nostdin", "-loglevel", "error", *ffmpeg.get_args(leg.overwrite_output())]
