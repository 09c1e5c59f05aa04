"""Does the result show the source's colours? Seen by another road than the one that made it.

The scores compare the encoder's output with what the encoder was given: an error before it, or in the tags that players go by,
leaves them perfect. Here some pictures of the source and of the result, each read by its own tags, become RGB by zimg (the
product converts with swscale), are made small, and compared.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from common.errors import InternalFault, UnreadableSource
from common.ffmpeg import ffmpeg_program
from common.handling import DynamicRange
from common.media import Description
from common.orders import Plan
from common.process import Limits, run
from workers.encode import Asked, temporary
from workers.ffmpeg.colour import Model, samples
from workers.ffmpeg.colour_command import SIDE, colour_command
from workers.ffmpeg.sample_command import Window, windows

if TYPE_CHECKING:
    from workers.ffmpeg.command import Source
    from workers.sources import MediaInput

PLACES = 5
"""Where pictures are taken, spread over the video."""

AROUND = 3
"""Pictures a place: one road may stop a picture before the other, so each of the result is held against the nearest of the source."""

LIMIT = 2.0
"""Mean shift of the pictures' own colours, of 255. Coding noise has no direction: the coarsest encodes stay below 0.4, and swscale's
rounding of full-range chroma adds up to 1.3. BT.601 read as BT.709 moves the red of tissue (180, 80, 70) by 6.6, limited range read as
full moves everything by 8 and more (tests/integration/workers/test_colour_check.py)."""

_STIFFNESS = 1e-3
"""Of the fit: colours that no picture shows are taken to stay as they are."""

HD_WIDTH, HD_HEIGHT = 1280, 576
"""From here on untagged Y'CbCr is taken for BT.709, as players do; below, for BT.601."""

_Pictures = NDArray[np.float64]  # (pictures, SIDE, SIDE, 3)


@dataclass(frozen=True)
class ColourCheck:
    """What the look showed, of 255: how far colours were moved as a whole, and how far pixels are apart; None: it was not taken."""

    shift: float | None
    distance: float | None
    pictures: int = 0
    why_not: str = ""

    @property
    def misses(self) -> tuple[str, ...]:
        """What is wrong, in words."""
        if self.shift is None or self.shift <= LIMIT:
            return ()
        return (f"colours are shifted by {self.shift:.1f} of 255 (at most {LIMIT:g}): matrix, range or tags are wrong",)

    def json(self) -> dict[str, Any]:
        """For the evidence."""
        return asdict(self) | {"limit": LIMIT}


def check_colours(
    media: MediaInput,
    description: Description,
    plan: Plan,
    result: Path,
    scratch: Path,
    *,
    limits: Limits,
    cancelled: Asked | None = None,
) -> ColourCheck:
    """Compare the colours of a source and of the file that was made of it.

    Raises:
        UnreadableSource: no picture of the source could be had.
        InternalFault: none of the result, or it has no tags to be read by.
        ResourceLimit, LeaseLost, ProgramFailed: see common.process.run.
    """
    if plan.handling.dynamic_range is DynamicRange.TONE_MAP:
        return ColourCheck(None, None, why_not="the policy maps its colours to another range")
    video = description.video
    places = _places(video.frame_count, video.frame_rate)
    model = samples(media.pixel_format).model
    assumed = "709" if video.width >= HD_WIDTH or video.height > HD_HEIGHT else "470bg"

    def look(seekable: bool) -> ColourCheck:
        read = partial(_pictures, places=places, scratch=scratch, limits=limits, cancelled=cancelled, seekable=seekable)
        odd = bool((media.width | media.height) & 1)
        before = read(media, ycbcr=model is Model.YCBCR, odd=odd, matrix=None if media.matrix else assumed)
        after = read(_File(result), ycbcr=True, odd=False, matrix=None)
        if not len(before):
            raise UnreadableSource("no picture of the source could be had to compare colours with")
        if not len(after):
            raise InternalFault("no picture of the result could be had to compare colours with")
        return compare(_upright(before, video.rotation, mirrored=video.mirrored), after)

    check = look(media.seekable)
    # some containers are sought by guessing: nobody is accused on pictures that were not counted
    return look(False) if check.misses and media.seekable else check


def compare(before: _Pictures, after: _Pictures) -> ColourCheck:
    """Each picture of the result against the nearest one of the source; then the one affine map of colours that fits all of them.

    A wrong matrix or range is such a map (BT.709 3, H.273 8.3), and noise is not.
    """
    apart = np.array([np.abs(before - one).mean(axis=(1, 2, 3)) for one in after])
    was = before[apart.argmin(axis=1)].reshape(-1, 3) / 255
    is_ = after.reshape(-1, 3) / 255
    known = np.column_stack((was, np.ones(len(was))))
    stiff = _STIFFNESS * len(was) * np.eye(4)
    moved = np.linalg.solve(known.T @ known + stiff, known.T @ (is_ - was))
    return ColourCheck(float(255 * np.abs(known @ moved).mean()), float(apart.min(axis=1).mean()), len(after))


@dataclass(frozen=True)
class _File:
    """A result, as FFmpeg reads it."""

    path: Path

    @property
    def args(self) -> tuple[str, ...]:
        return ("-i", str(self.path.absolute()))

    frame_rate = Fraction(0)
    feed = None


def _places(frames: int, rate: Fraction) -> tuple[Window, ...]:
    """AROUND pictures at each place; sought half a frame early, so that rounded clocks do not lose the first."""
    spans = windows(frames, float(frames / rate), share=min(1.0, PLACES * AROUND / frames), count=PLACES)
    half = float(1 / rate / 2)
    return tuple(Window(span.first, span.last, max(0.0, span.start - half), span.seconds) for span in spans)


def _pictures(
    source: MediaInput | _File,
    *,
    places: tuple[Window, ...],
    scratch: Path,
    limits: Limits,
    cancelled: Asked | None,
    seekable: bool,
    ycbcr: bool,
    odd: bool,
    matrix: str | None,
) -> _Pictures:
    small = scratch / "colours.rgb"
    readable: Source = source
    argv = colour_command(
        ffmpeg_program(), readable, places, seekable=seekable, ycbcr=ycbcr, odd=odd, matrix=matrix, output=small
    )
    with temporary(small):
        run(argv, name="ffmpeg", limits=limits, feed=source.feed, cancelled=cancelled, cwd=scratch)
        planes = np.fromfile(small, dtype=np.uint8)
    pictures = planes[: len(planes) // (3 * SIDE * SIDE) * (3 * SIDE * SIDE)].reshape(-1, 3, SIDE, SIDE)
    return np.moveaxis(pictures, 1, -1).astype(np.float64)


def _upright(pictures: _Pictures, rotation: int, *, mirrored: bool) -> _Pictures:
    """As players are asked to show them: mirrored first, then turned clockwise."""
    shown = pictures[:, :, ::-1] if mirrored else pictures
    return np.rot90(shown, k=-(rotation // 90), axes=(1, 2))
