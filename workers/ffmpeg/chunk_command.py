"""The command line of one chunk: exactly its frames are encoded, its neighbours are read for the measurement alone. Pure.

Two neighbours, because VMAF's motion feature compares a reference picture with the one before and takes the lesser of that
and the next one's: without them the first and last frame of a chunk score otherwise than in the whole. Their encoded side is
a copy (tpad) of the chunk's own border frame, and their scores are dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import ffmpeg

from common.errors import UnsupportedSource
from common.media import Description
from common.orders import Part, Timeline
from common.recipes import Recipe
from workers.ffmpeg import command, x264
from workers.ffmpeg.conversion import VARIABLE_RATE_CLOCK, Conversion, Filter
from workers.ffmpeg.measurement import Measurement
from workers.ffmpeg.sample_command import Window, only
from workers.stitch import ticks

ENCODER = "libx264"
"""The one encoder whose chunks are known to fit together."""

VBV_INITIAL = 0.5
"""How full the decoder's buffer is taken to be when a chunk begins, as a part of it. x264 takes 0.9 for a whole stream; a
chunk follows another that may have used the buffer up to here. The assembly checks the joined stream exactly."""

_STITCHABLE = f"stitchable=1:vbv-init={VBV_INITIAL}"
"""x264's own option for segmented encodes: no header depends on the content or the rate factor. pic_init_qp, which follows the
crf otherwise, is 26 in every PPS."""


def chunk_command(
    program: str,
    source: command.Source,
    description: Description,
    conversion: Conversion,
    recipe: Recipe,
    part: Part,
    timeline: Timeline | None,
    *,
    output: Path,
    measurement: Measurement,
) -> list[str]:
    """Encode a part into a NUT file (exact times, no edit list) and measure it.

    Raises:
        UnsupportedSource: chunks of this encoder cannot be joined.
    """
    if recipe.encoder != ENCODER:
        raise UnsupportedSource(f"chunks of {recipe.encoder} cannot be joined")
    video = command.input_of(
        source,
        noautorotate=None,
        display_rotation="0",
        threads=str(measurement.threads),
        **command.exact_crop(description.video),
    )["V:0"]
    for step in (*_selection(part, timeline), *_placed(conversion, timeline)):
        video = video.filter(step.name, **dict(step.options))
    options = _options(recipe, conversion, source.frame_rate, description)
    leg = ffmpeg.output(video, str(output), f="nut", fflags="+bitexact", **options, fps_mode="passthrough")
    kept = Filter("trim", (("start_frame", str(part.lead_in)), ("end_frame", str(part.lead_in + part.frames))))
    pad = Filter(
        "tpad",
        (
            *(("start", str(part.lead_in)), ("stop", str(part.lead_out))),
            *(("start_mode", "clone"), ("stop_mode", "clone")),
        ),
    )
    compiled = command.compiled(program, leg)
    return command.with_measurement(compiled, (kept,), measurement, conversion, distorted=(pad,))


def chunk_sample_command(
    program: str,
    source: command.Source,
    description: Description,
    conversion: Conversion,
    recipe: Recipe,
    part: Part,
    timeline: Timeline | None,
    samples: Sequence[Window],
    *,
    output: Path,
    measurement: Measurement,
) -> list[str]:
    """Encode samples of a part one behind the other, with the options of a chunk, and measure each of their frames."""
    video = command.input_of(
        source,
        noautorotate=None,
        display_rotation="0",
        threads=str(measurement.threads),
        **command.exact_crop(description.video),
    )["V:0"]
    moved = [replace(one, first=one.first + part.lead_in, last=one.last + part.lead_in) for one in samples]
    chosen = Filter("select", (("expr", only(moved)),))
    for step in (*_selection(part, timeline), chosen, *_placed(conversion, timeline)):
        video = video.filter(step.name, **dict(step.options))
    options = _options(recipe, conversion, source.frame_rate, description)
    leg = ffmpeg.output(video, str(output), f="nut", fflags="+bitexact", **options, fps_mode="passthrough")
    return command.with_measurement(command.compiled(program, leg), (), measurement, conversion)


def _selection(part: Part, timeline: Timeline | None) -> tuple[Filter, ...]:
    """By time stamp: wherever reading began, no frame outside gets through."""
    if timeline is None or part.first_pts is None or part.last_pts is None:
        return ()
    begin, end = part.first_pts + timeline.shift, part.last_pts + timeline.shift + 1
    return (
        Filter("settb", (("expr", str(timeline.time_base)),)),
        Filter("trim", (("start_pts", str(begin)), ("end_pts", str(end)))),
    )


def _placed(conversion: Conversion, timeline: Timeline | None) -> tuple[Filter, ...]:
    """The conversion; a variable rate keeps its times relative to the whole source's first frame, as the whole encode does."""
    if timeline is None or conversion.time_base != VARIABLE_RATE_CLOCK:
        return conversion.filters
    origin = ticks((timeline.first_pts + timeline.shift) * timeline.time_base, VARIABLE_RATE_CLOCK)
    clock, _, *rest = conversion.filters
    return clock, Filter("setpts", (("expr", f"PTS-{origin}"),)), *rest


def _options(recipe: Recipe, conversion: Conversion, rate: Fraction, description: Description) -> dict[str, str]:
    options = x264.options(recipe, conversion, rate, description.video.scan)
    options["x264-params"] += f":{_STITCHABLE}"
    options["flags:v"] = options.get("flags:v", "") + "+global_header"  # parameter sets once, beside the stream
    del options["tag:v"]
    return options
