"""How a source is handled where its result can be more than one honest thing: the policies of a job, as one frozen value."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from common.media import Scan, Value, VideoStream

HDR_TRANSFERS = {"smpte2084": "PQ", "arib-std-b67": "HLG"}
"""FFmpeg's names of the transfer functions of BT.2100 → the standard's."""


HDR_BITS = 10
"""Of a sample: fewer show bands (BT.2100 Table 4 begins with ten)."""


class Interlaced(StrEnum):
    """What becomes of fields."""

    KEEP = "keep"  # fields stay fields; a target that holds none is not chosen
    DEINTERLACE = "deinterlace"  # one progressive frame for each coded frame (bwdif)


class RatePolicy(StrEnum):
    """What becomes of a variable frame rate."""

    KEEP = "keep"  # each frame at its own time; the header gets a Frame Time Vector
    CONSTANT = "constant"  # a constant rate at which every frame is shown; some are shown twice or more


class DynamicRange(StrEnum):
    """What becomes of HDR (BT.2100 PQ and HLG)."""

    KEEP = "keep"  # ten bits with its tags and mastering metadata; a target of 8 bits is not chosen
    TONE_MAP = "tone-map"  # BT.709 of standard range


class Stereo(StrEnum):
    """How a source that does not say so itself packs two views into a frame."""

    NONE = "none"
    SIDE_BY_SIDE = "side-by-side"
    TOP_BOTTOM = "top-bottom"


class Handling(Value):
    """The policies of a job; in a plan, those of them that change this item.

    A policy is about results: with ``deinterlace`` no result is interlaced, so a legal interlaced stream is encoded as well.
    """

    interlaced: Interlaced = Field(default=Interlaced.KEEP, description="keep or deinterlace")
    rate: RatePolicy = Field(default=RatePolicy.KEEP, description="keep or constant")
    dynamic_range: DynamicRange = Field(default=DynamicRange.KEEP, description="keep or tone-map")
    stereo: Stereo = Field(default=Stereo.NONE, description="none, side-by-side or top-bottom")


AS_IT_IS = Handling()
"""Nothing is changed that a target can hold."""


def is_hdr(video: VideoStream) -> bool:
    """True for the transfer functions of BT.2100."""
    return video.transfer in HDR_TRANSFERS


def effective(asked: Handling, video: VideoStream) -> Handling:
    """The policies that change this video: the others are as if they had not been asked for."""
    fields = video.scan is not Scan.PROGRESSIVE
    return Handling(
        interlaced=asked.interlaced if fields else Interlaced.KEEP,
        rate=asked.rate if video.steady is not None else RatePolicy.KEEP,
        dynamic_range=asked.dynamic_range if is_hdr(video) else DynamicRange.KEEP,
        stereo=Stereo.NONE if video.frame_packed else asked.stereo,
    )


def treated(video: VideoStream, handling: Handling) -> VideoStream:
    """The stream as the encoder gets it to see: what a target must hold."""
    changes: dict[str, object] = {}
    if handling.interlaced is Interlaced.DEINTERLACE:
        changes["scan"] = Scan.PROGRESSIVE
    if handling.rate is RatePolicy.CONSTANT and video.steady is not None:
        changes |= {"frame_rate": video.steady.rate, "constant_rate": True, "frame_count": video.steady.frames}
    if handling.dynamic_range is DynamicRange.TONE_MAP and is_hdr(video):
        changes |= {"bit_depth": 8, **dict.fromkeys(("matrix", "primaries", "transfer"), "bt709")}
    return video.model_copy(update=changes)


def wishes(handling: Handling) -> str:
    """Why a stream that is legal as it is is not kept so, or nothing. ``handling``: the effective one."""
    if handling.interlaced is Interlaced.DEINTERLACE:
        return "its fields are to be deinterlaced"
    if handling.rate is RatePolicy.CONSTANT:
        return "its variable rate is to be made constant"
    if handling.dynamic_range is DynamicRange.TONE_MAP:
        return "its high dynamic range is to be tone-mapped"
    if handling.stereo is not Stereo.NONE:
        return f"its {handling.stereo} views are to be announced as stereo"
    return ""
