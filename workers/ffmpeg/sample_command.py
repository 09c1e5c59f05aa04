"""The command line that encodes and measures a few samples of a video, joined, as the whole would be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ffmpeg

from common.media import Description
from common.recipes import Recipe, Search
from workers.ffmpeg.command import Source, compiled, exact_crop, input_of, with_measurement
from workers.ffmpeg.conversion import Conversion
from workers.ffmpeg.encoders import encoder_of
from workers.ffmpeg.measurement import Measurement


@dataclass(frozen=True)
class Window:
    """One sample: frames ``first`` to ``last`` (exclusive, from 0), which begin at ``start`` seconds."""

    first: int
    last: int
    start: float
    seconds: float


def sample_windows(frames: int, seconds: float, search: Search, group_seconds: float) -> tuple[Window, ...]:
    """What a search looks at: ``search.share`` of the video, and at least ``search.least_seconds``, in a place for each
    ``search.apart_seconds``, within the search's bounds of their number.

    Each is as long as whole groups of pictures are (``group_seconds``): half a group more is a key picture more, which looks
    better than the whole will (0.6 dB of VMAF on cuts every second).
    """
    count = max(search.samples, min(search.most_samples, round(seconds / search.apart_seconds)))
    wanted = max(search.share * seconds, search.least_seconds)
    groups = max(1, round(wanted / count / group_seconds))
    return windows(frames, seconds, share=min(1.0, groups * group_seconds * count / max(seconds, 1e-3)), count=count)


def windows(frames: int, seconds: float, *, share: float, count: int) -> tuple[Window, ...]:
    """Samples in the middles of ``count`` equal stretches, together about ``share`` of the video; never beyond its ends."""
    count = max(1, min(count, frames))
    length = max(1, round(frames * share / count))
    spans = []
    for number in range(count):
        begin, end = frames * number // count, frames * (number + 1) // count
        taken = min(length, end - begin)
        first = begin + (end - begin - taken) // 2
        spans.append((first, first + taken))
    return tuple(Window(a, b, seconds * a / frames, seconds * (b - a) / frames) for a, b in spans)


def sample_command(
    program: str,
    source: Source,
    description: Description,
    conversion: Conversion,
    recipe: Recipe,
    samples: Sequence[Window],
    *,
    seekable: bool,
    output: Path,
    measurement: Measurement,
    render_node: str = "",
) -> list[str]:
    """Encode the samples one behind the other and measure each of their frames.

    A file is sought at each sample; what comes through a pipe is decoded as a whole, and the rest dropped. Without
    ``samples`` nothing else comes through it.

    Raises:
        UnsupportedSource: no command is written for this encoder.
    """
    encoder = encoder_of(recipe, description.video.scan)
    options: dict[str, str | None] = {
        "noautorotate": None,
        "display_rotation": "0",
        "threads": str(measurement.threads),
    }
    options |= exact_crop(description.video)
    video = sought(source, options, samples) if seekable else selected(source, options, samples)
    for step in conversion.filters:
        video = video.filter(step.name, **dict(step.options))
    coded = encoder.options(recipe, conversion, source.frame_rate, description.video.scan)
    leg = ffmpeg.output(video, str(output), f="nut", **coded, fps_mode="passthrough")
    device = ("-vaapi_device", render_node) if encoder.opens_render_node else ()
    return with_measurement(compiled(program, leg, *device), encoder.upload(recipe.bits), measurement, conversion)


def sought(source: Source, options: dict[str, str | None], samples: Sequence[Window]) -> Any:
    """The samples of a file, one behind the other; each is sought, and what lies between is not decoded."""
    inlets = [
        input_of(source, **options, ss=f"{sample.start:.6f}", t=f"{sample.seconds:.6f}")["V:0"] for sample in samples
    ]
    return inlets[0] if len(inlets) == 1 else ffmpeg.concat(*inlets, v=1, a=0)


def selected(source: Source, options: dict[str, str | None], samples: Sequence[Window]) -> Any:
    """The samples of what comes through a pipe, where nothing can be sought."""
    if not samples:
        return input_of(source, **options)["V:0"]
    return input_of(source, **options)["V:0"].filter("select", expr=only(samples))


def only(samples: Sequence[Window]) -> str:
    """FFmpeg's ``select`` expression for the frames of these samples."""
    return "+".join(f"between(n,{sample.first},{sample.last - 1})" for sample in samples)
