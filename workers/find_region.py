"""Look for the region of one source: a few small pictures of it, before it is encoded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from common.errors import CinefarmError, LeaseLost
from common.ffmpeg import ffmpeg_program
from common.media import Description
from common.picture import encoded_size
from common.process import Limits, run
from common.recipes import Gate
from common.region import Region
from workers.encode import Asked, temporary
from workers.ffmpeg.region_command import region_command
from workers.ffmpeg.sample_command import Window, windows
from workers.measuring import judged_inside
from workers.region import COLUMNS, Pictures, find_region, lay_region
from workers.target import fed_alone

if TYPE_CHECKING:
    from workers.sources import MediaInput

PLACES = 9
"""Pictures, spread over the video."""

GROUPS = 2
"""Groups of pictures a place from which key frames alone are looked at: they then are different ones."""

PIPE_SECONDS = 20.0
"""Of what comes through a pipe only the beginning is looked at: all that lies before a picture has to be decoded."""


@dataclass(frozen=True)
class RegionLook:
    """The region that figures are taken in a second time, or why there is none. ``asked``: automatic, given or none."""

    region: Region | None
    asked: str = "automatic"
    why_not: str = ""
    first_seconds_only: float | None = None  # how much of a pipe was looked at

    def json(self) -> dict[str, Any]:
        """For the evidence."""
        found = self.region.model_dump(mode="json", exclude={"automatic"}) if self.region else {"shape": "none"}
        looked = {"first_seconds_only": self.first_seconds_only} if self.first_seconds_only else {}
        return found | {"asked": self.asked, "why_not": self.why_not} | looked


def look_for_region(
    media: MediaInput,
    description: Description,
    asked: Region | None,
    size: tuple[int, int],
    scratch: Path,
    *,
    limits: Limits,
    cancelled: Asked | None = None,
) -> RegionLook:
    """The region in pixels of a result of ``size``; ``asked``: a given one, or None to find it.

    A source that gives no pictures has no region: the encode says what is wrong with it.

    Raises:
        PolicyError: a given one does not lie in the pictures.
        LeaseLost: nobody waits for the answer any more.
    """
    if asked is not None:
        if asked.shape == "none":
            return RegionLook(None, "none", "not looked for")
        return RegionLook(lay_region(asked, *size), "given")
    places, looked = _places(description, anywhere=media.seekable or media.frames_apart)
    try:
        pictures = _pictures(media, description, places, size, scratch, limits, cancelled)
    except LeaseLost:
        raise
    except CinefarmError as error:
        return RegionLook(None, why_not=f"no pictures could be had: {error.code}")
    region, why_not = find_region(pictures, *size)
    return RegionLook(region, why_not=why_not, first_seconds_only=looked)


def given_gate(gate: Gate, description: Description) -> tuple[Gate, RegionLook]:
    """For a video that many workers make: a given region is laid into its pictures, and none is looked for.

    Raises:
        PolicyError: it does not lie in them.
    """
    asked = gate.region
    if asked is None or asked.shape == "none":
        return judged_inside(gate, None), RegionLook(None, "none", "not looked for in videos that are made by chunks")
    region = lay_region(asked, *encoded_size(description.video))
    return judged_inside(gate, region), RegionLook(region, "given")


def _places(description: Description, *, anywhere: bool) -> tuple[tuple[Window, ...], float | None]:
    video = description.video
    rate = float(video.frame_rate)
    frames = video.frame_count if anywhere else min(video.frame_count, max(PLACES, int(PIPE_SECONDS * rate)))
    count = min(PLACES, frames)
    spans = windows(frames, frames / rate, share=count / frames, count=count)
    # half a frame early, so that rounded clocks do not lose it
    places = tuple(Window(span.first, span.first + 1, max(0.0, span.start - 0.5 / rate), 1 / rate) for span in spans)
    return places, None if frames == video.frame_count else round(frames / rate, 3)


def _pictures(
    media: MediaInput,
    description: Description,
    places: tuple[Window, ...],
    size: tuple[int, int],
    scratch: Path,
    limits: Limits,
    cancelled: Asked | None,
) -> Pictures:
    """Upright, and in the shape that the result has."""
    video, small = description.video, scratch / "region.gray"
    columns, rows = COLUMNS, max(1, round(COLUMNS * size[1] / size[0]))
    turned = video.rotation in (90, 270)
    shape = (rows, columns) if turned else (columns, rows)
    if media.frames_apart:
        media, places = fed_alone(media, places), tuple(Window(n, n + 1, 0, 0) for n in range(len(places)))
    gop = video.coding.longest_gop if video.coding else None
    argv = region_command(
        ffmpeg_program(),
        media,
        places,
        size=shape,
        seekable=media.seekable,
        key_frames=gop is not None and video.frame_count >= GROUPS * PLACES * gop,
        output=small,
    )
    with temporary(small):
        run(argv, name="ffmpeg", limits=limits, feed=media.feed, cancelled=cancelled, cwd=scratch)
        samples = np.fromfile(small, dtype=np.uint8)
    pictures = samples[: len(samples) // (columns * rows) * columns * rows].reshape(-1, shape[1], shape[0])
    mirrored = pictures[:, :, ::-1] if video.mirrored else pictures
    return np.rot90(mirrored, k=-(video.rotation // 90), axes=(1, 2))
