"""The command line that shows a few small grey pictures of a video, spread over it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workers.ffmpeg.command import Source, input_of
from workers.ffmpeg.sample_command import Window, selected, sought


def region_command(
    program: str,
    source: Source,
    places: Sequence[Window],
    *,
    size: tuple[int, int],
    seekable: bool,
    key_frames: bool,
    output: Path,
) -> list[str]:
    """One full-range grey picture of ``size`` (columns, rows) a place, raw, into a file; of a pipe, reading ends with the last.

    ``key_frames``: the key frame before each place will do, and nothing else is decoded.
    """
    import ffmpeg

    options: dict[str, str | None] = {"noautorotate": None, "display_rotation": "0"}
    take = _key_frames if seekable and key_frames else sought if seekable else selected
    video = take(source, options, places)
    video = video.filter("scale", w=size[0], h=size[1], flags="area", out_range="full").filter(
        "format", pix_fmts="gray"
    )
    leg = ffmpeg.output(video, str(output), f="rawvideo", fps_mode="passthrough", **{"frames:v": len(places)})
    return [program, "-hide_banner", "-nostdin", "-loglevel", "error", *ffmpeg.get_args(leg.overwrite_output())]


def _key_frames(source: Source, options: dict[str, str | None], places: Sequence[Window]) -> Any:
    import ffmpeg

    keys = options | {"skip_frame": "nokey", "noaccurate_seek": None}
    inlets = [input_of(source, **keys, ss=f"{place.start:.6f}")["V:0"].filter("trim", end_frame=1) for place in places]
    return inlets[0] if len(inlets) == 1 else ffmpeg.concat(*inlets, v=1, a=0)
