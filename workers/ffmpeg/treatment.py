"""What the policies of a job do to the pictures: filters, and the picture that comes out of them. Pure.

All of it happens before the pictures are split into the encoder's and the reference: the gate judges the encoder by the
treated picture, not the treatment by the source.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from common.errors import UnsupportedSource
from common.handling import HDR_TRANSFERS, DynamicRange, Handling, Interlaced, RatePolicy
from common.media import Scan
from workers.ffmpeg.colour import BT709, Model, samples
from workers.ffmpeg.filters import Filter

if TYPE_CHECKING:
    from workers.ffmpeg.conversion import Picture

PLACES = "places.txt"
"""Where a constant rate's chain logs which frame of the output each decoded frame begins, in the working directory."""

_PLANAR = {"yuyv422": "yuv422p", "uyvy422": "yuv422p", "yvyu422": "yuv422p", "nv12": "yuv420p", "nv16": "yuv422p"}
_PLANAR |= {"p010le": "yuv420p10le", "p210le": "yuv422p10le"}
"""What bwdif cannot take as it lies → the same samples, plane by plane."""

_FINE = 1000
"""Ticks of a frame of the constant rate while places are computed."""

_NOMINAL_PEAK = "100"
"""cd/m² of linear 1.0: the reference white that FFmpeg's tonemap counts the mastering display's peak in."""

_OPERATOR = "hable"

_HDR_SIDE_DATA = ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL", "DYNAMIC_HDR_PLUS", "DOVI_METADATA")


@dataclass(frozen=True)
class Shown:
    """Consecutive frames of the source that are each shown equally often."""

    first: int  # number of the first, from 0
    count: int
    times: int

    @property
    def frames(self) -> int:
        """Frames of the output."""
        return self.count * self.times


def runs(places: Sequence[int], hold: int) -> tuple[Shown, ...]:
    """The mapping from source to output in compact form: ``places`` where each frame begins, ``hold`` the last one's length."""
    times = [after - before for before, after in pairwise(places)] + [hold]
    found: list[Shown] = []
    for number, (each, same) in enumerate((key, len(list(group))) for key, group in groupby(times)):
        first = found[-1].first + found[-1].count if number else 0
        found.append(Shown(first, same, each))
    return tuple(found)


def deinterlaced(picture: Picture, handling: Handling) -> tuple[tuple[Filter, ...], Picture]:
    """One progressive frame for each coded frame: bwdif, whose missing lines come from the frames before and after too.

    Raises:
        UnsupportedSource: samples that bwdif does not take.
    """
    if handling.interlaced is Interlaced.KEEP or picture.scan is Scan.PROGRESSIVE:
        return (), picture
    if samples(picture.pixel_format).model is Model.RGB:
        raise UnsupportedSource(
            "interlaced RGB is not deinterlaced", hint="Migrate it with its fields: --interlaced keep."
        )
    planar = _PLANAR.get(picture.pixel_format)
    unpacked = (Filter("scale", (("interl", "1"),)), Filter("format", (("pix_fmts", planar),))) if planar else ()
    parity = "tff" if picture.scan is Scan.TOP_FIELD_FIRST else "bff"
    bwdif = Filter("bwdif", (("mode", "send_frame"), ("parity", parity), ("deint", "all")))
    return (*unpacked, bwdif), replace(picture, scan=Scan.PROGRESSIVE, pixel_format=planar or picture.pixel_format)


def made_constant(picture: Picture, handling: Handling, *, keep_start: bool) -> tuple[tuple[Filter, ...], Picture]:
    """Each frame at the nearest free place of a constant rate, and shown until the next one's: none is left out.

    The last metadata filter logs the place of every frame that was decoded: the proof, and the mapping on the record.
    """
    if handling.rate is RatePolicy.KEEP or picture.steady is None:
        return (), picture
    rate, start = picture.steady.rate, "STARTPTS+" if keep_start else ""
    before = "(PREV_OUTPTS-STARTPTS)" if keep_start else "PREV_OUTPTS"
    # max: its first argument is no number at the first frame, and then the second counts
    place = f"{_FINE}*max({before}/{_FINE}+1,floor((PTS-STARTPTS)/{_FINE}+0.5))"
    steps = (
        Filter("settb", (("expr", str(1 / (rate * _FINE))),)),
        Filter("setpts", (("expr", start + place),)),
        Filter("settb", (("expr", str(1 / rate)),)),
        Filter("metadata", (("mode", "add"), ("key", "place"), ("value", "1"))),
        Filter("metadata", (("mode", "print"), ("file", PLACES))),
        Filter("fps", (("fps", str(rate)), ("round", "near"), ("eof_action", "pass"))),
        Filter("tpad", (("stop", str(picture.steady.hold - 1)), ("stop_mode", "clone"))),
    )
    return steps, replace(picture, frame_rate=Fraction(rate), constant_rate=True)


def tone_mapped(picture: Picture, handling: Handling) -> tuple[tuple[Filter, ...], Picture]:
    """BT.2100 to BT.709: linear light, BT.709 primaries, highlights rolled off by Hable's curve up to the source's peak.

    The peak is the source's own (MaxCLL, else its mastering display's maximum, else the transfer function's): tonemap
    reads it from the frames. Chroma stays whole until the colour rules halve it.

    Raises:
        UnsupportedSource: HDR samples that are no limited-range Y'CbCr.
    """
    if handling.dynamic_range is DynamicRange.KEEP or picture.transfer not in HDR_TRANSFERS:
        return (), picture
    form = samples(picture.pixel_format)
    if form.model is not Model.YCBCR or picture.full_range or picture.scan is not Scan.PROGRESSIVE:
        raise UnsupportedSource(
            f"HDR video in {picture.pixel_format} that is full-range or interlaced is not tone-mapped"
        )
    coded = (
        ("matrixin", picture.matrix or "bt2020nc"),
        ("primariesin", picture.primaries or "bt2020"),
        ("transferin", picture.transfer),
        ("rangein", "limited"),
    )
    linear = (("transfer", "linear"), ("primaries", "bt2020"), ("matrix", "gbr"), ("npl", _NOMINAL_PEAK))
    steps = (
        Filter("zscale", (*coded, *linear)),
        Filter("format", (("pix_fmts", "gbrpf32le"),)),
        Filter("zscale", (("primaries", "bt709"),)),
        Filter("tonemap", (("tonemap", _OPERATOR), ("desat", "0"))),
        Filter("zscale", (("transfer", "bt709"), ("matrix", "bt709"), ("range", "limited"))),
        Filter("format", (("pix_fmts", "yuv444p10le"),)),
        # what was said of the HDR picture is not true of this one, and x264 would write it
        *(Filter("sidedata", (("mode", "delete"), ("type", kind))) for kind in _HDR_SIDE_DATA),
    )
    tags = BT709
    return steps, replace(
        picture,
        pixel_format="yuv444p10le",
        full_range=False,
        matrix=tags.matrix,
        primaries=tags.primaries,
        transfer=tags.transfer,
    )
