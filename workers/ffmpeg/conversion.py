"""From the source's pictures to pictures a legal stream can hold, as a list of filters. Pure; nothing is cropped.

Order and rule of each filter:
by policy, workers.ffmpeg.treatment: bwdif first of all; metadata, fps and tpad for a constant rate; zscale and tonemap
settb, setpts   constant rate: frame n stands at exactly n; variable rate: the source's own times; both from zero,
                or beside kept sound from where the video starts
scale           the colour rules (colour.py) and non-square pixels baked in; always enlarges, so no sample is lost;
                chroma comes from where the source has it and goes where an untagged H.264 stream has it
transpose, flip the rotation that players were asked to do, done in 4:4:4: chroma of 4:2:0 lies beside the left luma sample,
                and a picture turned as it is has it above, below or to the right, where no decoder looks for it
pad, fillborders odd sizes grow to even ones (4 lines for interlaced) by repeating the last row and column; in 4:4:4,
                since FFmpeg's pad would round an odd 4:2:0 picture down and paint its last row and column black
scale           chroma is reduced once the picture stands upright and has its size
setparams       every tag written, so that encoder and measurement see one and the same picture
Interlaced stays interlaced unless the policy says otherwise: H.264 High up to level 4.1 carries fields.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from common.errors import UnsupportedSource
from common.handling import AS_IT_IS, Handling
from common.media import Scan, Steady, VideoStream
from common.picture import padded_size, square_size, turned_size
from workers.ffmpeg import treatment
from workers.ffmpeg.colour import Colour, Tags, colour
from workers.ffmpeg.filters import Filter as Filter  # noqa: PLC0414 part of what this module offers
from workers.ffmpeg.measurement import to_rgb

VARIABLE_RATE_CLOCK = Fraction(1, 90_000)
"""The 90 kHz clock of ISO/IEC 13818-1."""

# swscale: exact rounding, chroma at full resolution inside, the same bits on every CPU, and no dither pattern added
_SCALE_FLAGS = "bicubic+accurate_rnd+full_chroma_int+full_chroma_inp+bitexact"
_TURNS: dict[int, tuple[tuple[str, str], ...]] = {
    0: (),
    90: (("transpose", "clock"),),
    180: (("hflip", ""), ("vflip", "")),
    270: (("transpose", "cclock"),),
}


@dataclass(frozen=True)
class Picture:
    """What enters the chain."""

    width: int
    height: int
    pixel_format: str
    frame_rate: Fraction
    full_range: bool | None = None
    matrix: str | None = None
    primaries: str | None = None
    transfer: str | None = None
    pixel_aspect: Fraction = Fraction(1)
    rotation: int = 0  # clockwise degrees
    mirrored: bool = False  # before it is turned
    scan: Scan = Scan.PROGRESSIVE
    constant_rate: bool = True
    steady: Steady | None = None
    chroma_centred: bool = False  # chroma lies between luma samples both ways (JFIF), not beside the left one

    @classmethod
    def of(cls, video: VideoStream) -> Picture:
        """A described stream, as FFmpeg decodes it."""
        names = cls.__dataclass_fields__.keys() - {"chroma_centred"}
        return cls(**{name: getattr(video, name) for name in names}, chroma_centred=video.codec == "mjpeg")


@dataclass(frozen=True)
class Conversion:
    """The chain and what comes out of it."""

    filters: tuple[Filter, ...]
    width: int
    height: int
    tags: Tags
    time_base: Fraction
    packing: int | None = None  # frame_packing_arrangement_type of two views in a frame
    after_split: int = 0  # filters from the one that may reduce the chroma on; 0: none does
    rgb: tuple[Filter, ...] = ()  # from the picture before those, to RGB of the result's size
    result_rgb: tuple[Filter, ...] = ()  # from the result to RGB


def conversion(
    picture: Picture,
    *,
    keep_start: bool = False,
    bits: int = 8,
    pixel_aspect: Fraction | None = None,
    packing: int | None = None,
    handling: Handling = AS_IT_IS,
) -> Conversion:
    """The whole chain for one source. ``keep_start``: sound is kept, so the video must not move against it. ``bits``: of a
    sample of the result, 8 or 10. ``pixel_aspect``: the shape that pixels keep; None: they are made square.
    ``packing``: how two views lie in a frame, which the encoder is told in words: FFmpeg's own message about it is dropped, since
    the loopback decoder cannot take it twice. ``handling``: the policies that change this source.

    Raises:
        UnsupportedSource: colour that cannot be carried, or interlaced video that players are asked to turn.
    """
    woven, picture = treatment.deinterlaced(picture, handling)
    if picture.scan is not Scan.PROGRESSIVE and picture.rotation:
        raise UnsupportedSource("interlaced video cannot be turned: its fields would become columns or change places")
    evened, picture = treatment.made_constant(picture, handling, keep_start=keep_start)
    mapped, picture = treatment.tone_mapped(picture, handling)
    rule = colour(
        picture.pixel_format,
        picture.full_range,
        picture.matrix,
        picture.primaries,
        picture.transfer,
        (picture.width, picture.height),
        picture.frame_rate,
        bits,
    )
    square = square_size(picture.width, picture.height, Fraction(1) if pixel_aspect else picture.pixel_aspect)
    turned = turned_size(square, picture.rotation)
    padded = padded_size(*turned, picture.scan)
    time_base = 1 / picture.frame_rate if picture.constant_rate else VARIABLE_RATE_CLOCK
    deep = "10le" if bits == 10 else ""
    told = (Filter("sidedata", (("mode", "delete"), ("type", "STEREO3D"))),) if packing is not None else ()
    before = (*told, *woven, *(evened or _timing(picture, time_base, keep_start)), *mapped)
    upright = _upright(picture)
    in_place = turned == padded and upright in ((), _UPSIDE_DOWN)
    scaled = _scale(picture, rule, square, f"yuv420p{deep}" if in_place else f"yuv444p{deep}")
    after = (
        *scaled,
        *upright,
        *_enlarged(turned, padded),
        *(() if in_place else _reduced(picture.scan, rule.tags, padded, f"yuv420p{deep}")),
        *_tags(picture.scan, rule.tags, pixel_aspect or Fraction(1)),
    )
    interlaced = picture.scan is not Scan.PROGRESSIVE
    coded = {"in_color_matrix": rule.tags.matrix, "in_range": "limited", "in_chroma_loc": "left"}
    result_rgb = to_rgb(coded, bits=bits, interlaced=interlaced)
    size = {"w": str(square[0]), "h": str(square[1])}
    whole = (
        *to_rgb(_samples_in(picture, rule), bits=bits, interlaced=interlaced, size=size),
        *upright,
        *_enlarged(turned, padded),
    )
    return Conversion(
        (*before, *after),
        *padded,
        rule.tags,
        time_base,
        packing,
        after_split=len(after) if scaled else 0,
        rgb=whole if scaled else result_rgb,
        result_rgb=result_rgb,
    )


def _timing(picture: Picture, time_base: Fraction, keep_start: bool) -> tuple[Filter, ...]:
    from_zero = "N" if picture.constant_rate else "PTS-STARTPTS"
    expression = f"{from_zero}+STARTPTS" if keep_start else from_zero
    return Filter("settb", (("expr", str(time_base)),)), Filter("setpts", (("expr", expression),))


def _scale(picture: Picture, rule: Colour, size: tuple[int, int], form: str) -> tuple[Filter, ...]:
    if not rule.convert and size == (picture.width, picture.height) and form == picture.pixel_format:
        return ()
    return _swscale(picture.scan, size, _samples_in(picture, rule), rule.tags, form)


def _samples_in(picture: Picture, rule: Colour) -> dict[str, str]:
    """What comes in, for swscale."""
    return {
        "in_color_matrix": rule.in_matrix,
        "in_range": "full" if rule.in_full_range else "limited",
        "in_chroma_loc": "center" if picture.chroma_centred else "left",  # swscale takes what is not said for centred
    }


_UPSIDE_DOWN = (Filter("vflip"),)
"""Chroma lies half-way between two rows, so it stays where it belongs."""


def _upright(picture: Picture) -> tuple[Filter, ...]:
    """What players were asked to do: mirrored first, then turned."""
    if picture.mirrored and picture.rotation == 180:
        return _UPSIDE_DOWN
    turns = (Filter(name, (("dir", value),) if value else ()) for name, value in _TURNS[picture.rotation])
    return (*((Filter("hflip"),) if picture.mirrored else ()), *turns)


def _reduced(scan: Scan, tags: Tags, size: tuple[int, int], form: str) -> tuple[Filter, ...]:
    """From whole chroma to what the stream holds."""
    return _swscale(scan, size, {"in_color_matrix": tags.matrix, "in_range": "limited"}, tags, form)


def _enlarged(size: tuple[int, int], padded: tuple[int, int]) -> tuple[Filter, ...]:
    """The last row and column repeated."""
    if size == padded:
        return ()
    right, bottom = padded[0] - size[0], padded[1] - size[1]
    return (
        Filter("pad", (("w", str(padded[0])), ("h", str(padded[1])), ("x", "0"), ("y", "0"))),
        Filter("fillborders", (("right", str(right)), ("bottom", str(bottom)), ("mode", "smear"))),
    )


def _swscale(scan: Scan, size: tuple[int, int], source: dict[str, str], tags: Tags, form: str) -> tuple[Filter, Filter]:
    """One pass of swscale to limited range, with everything said: what is left out is guessed."""
    options = {
        "w": str(size[0]),
        "h": str(size[1]),
        **source,
        "out_color_matrix": tags.matrix,
        "out_range": "limited",
        "out_chroma_loc": "left",  # H.264 E.2.1: type 0, what an untagged stream means
        "flags": _SCALE_FLAGS,
        "sws_dither": "none",
    }
    if scan is not Scan.PROGRESSIVE:
        options["interl"] = "1"
    return Filter("scale", tuple(options.items())), Filter("format", (("pix_fmts", form),))


def _tags(scan: Scan, tags: Tags, aspect: Fraction) -> tuple[Filter, ...]:
    field = {Scan.PROGRESSIVE: "prog", Scan.TOP_FIELD_FIRST: "tff", Scan.BOTTOM_FIELD_FIRST: "bff"}[scan]
    options = (
        ("field_mode", field),
        ("range", "limited"),
        ("color_primaries", tags.primaries),
        ("color_trc", tags.transfer),
        ("colorspace", tags.matrix),
        ("chroma_location", "left"),
    )
    return Filter("setparams", options), Filter("setsar", (("sar", str(aspect)),))
