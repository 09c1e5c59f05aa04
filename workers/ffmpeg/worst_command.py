"""The command line that draws a few frames of source and result side by side, with their difference. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ffmpeg

from workers.ffmpeg.command import Source, input_of
from workers.ffmpeg.filters import Filter
from workers.ffmpeg.sample_command import Window, selected, sought

AMPLIFIED = 8
"""Differences of 1 of 255 cannot be seen; coding noise of 4 becomes a clear grey, and what is wrong is bright."""

PATTERN = "worst-%d.jpg"
LOG = "worst.log"

_JPEG = {"c:v": "mjpeg", "q:v": 4}
"""No coding noise of ours to speak of beside the encoder's."""


@dataclass(frozen=True)
class Reading:
    """How FFmpeg gets the frames of one side: sought one by one, counted from the beginning, or fed alone."""

    source: Source
    how: str  # sought, counted, picked
    options: dict[str, str | None]
    filters: tuple[Filter, ...] = ()
    filtered_first: bool = False  # the filters change which frames there are: count behind them


def worst_command(
    program: str, before: Reading, after: Reading, frames: Sequence[Window], panel: tuple[int, int], bits: int
) -> list[str]:
    """Pictures ``PATTERN`` in order of time, each source | result | difference, ``panel`` (width, height) each; ``bits`` of a sample.

    PSNR of each pair at full size goes to ``LOG``: it proves that these are the frames that were measured.
    """
    reference, result = (_numbered(_stream(side, frames), bits) for side in (before, after))
    first, second = reference.filter_multi_output("split", 3), result.filter_multi_output("split", 2)
    proven = ffmpeg.filter([second[0], first[0]], "psnr", stats_file=LOG)
    apart = [first[1].filter("format", "gbrp"), second[1].filter("format", "gbrp")]
    difference = _small(ffmpeg.filter(apart, "blend", all_mode="difference"), panel)
    louder = difference.filter("lutrgb", **dict.fromkeys("rgb", f"val*{AMPLIFIED}"))
    sheet = ffmpeg.filter([_small(first[2], panel), _small(proven, panel), louder], "hstack", inputs=3)
    coded = sheet.filter("scale", out_range="full", out_color_matrix="bt601").filter("format", "yuvj444p")
    leg = ffmpeg.output(coded, PATTERN, f="image2", fps_mode="passthrough", vframes=len(frames), **_JPEG)
    return [program, "-hide_banner", "-nostdin", "-loglevel", "error", *ffmpeg.get_args(leg.overwrite_output())]


def _stream(side: Reading, frames: Sequence[Window]) -> Any:
    if side.how == "sought":
        video = sought(side.source, side.options, frames)
    elif side.how == "picked" or side.filtered_first:
        video = input_of(side.source, **side.options)["V:0"]
    else:
        video = selected(side.source, side.options, frames)
    for step in side.filters:
        video = video.filter(step.name, **dict(step.options))
    if side.filtered_first and side.how == "counted":
        video = video.filter("select", expr="+".join(f"eq(n,{frame.first})" for frame in frames))
    return video


def _numbered(video: Any, bits: int) -> Any:
    # as the encoder had them: what follows wants RGB, and a filter that may choose would be asked for that
    video = video.filter("format", pix_fmts="yuv420p10le" if bits > 8 else "yuv420p|yuvj420p")
    # far apart: the clock of an encoder of pictures is as coarse as the video's rate
    return video.filter("settb", expr="1").filter("setpts", expr="N*100")


def _small(video: Any, panel: tuple[int, int]) -> Any:
    width, height = panel
    return video.filter("scale", width, height, flags="area").filter("format", "gbrp")
