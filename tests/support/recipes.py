"""Built-in recipes by encoder and target, and what FFmpeg itself says of an encoder's options."""

from __future__ import annotations

import re
import subprocess
from fractions import Fraction
from functools import cache

import imageio_ffmpeg

from common.media import Scan
from common.recipes import ARCHIVE, Recipe
from workers.ffmpeg.conversion import Conversion, Picture, conversion
from workers.ffmpeg.encoders import ENCODERS

GENERIC = frozenset(
    {"c", "profile", "level", "b", "maxrate", "bufsize", "g", "bf", "flags", "tag", "global_quality"}
) | {
    *("color_range", "colorspace", "color_primaries", "color_trc", "chroma_sample_location", "enc_time_base"),
    *("keyint_min", "threads"),
}
"""Options of FFmpeg itself or of every encoder (libavcodec/options_table.h)."""


def recipe(encoder: str, target: int, rung: int = 0) -> Recipe:
    """A rung of the archive."""
    uid = f"1.2.840.10008.1.2.4.{target}"
    return next(r for r in ARCHIVE.recipes(rung) if (r.encoder, r.transfer_syntax_uid) == (encoder, uid))


def options(chosen: Recipe, rate: Fraction = Fraction(30000, 1001)) -> dict[str, str]:
    """The output options for an HD picture."""
    return ENCODERS[chosen.encoder].options(chosen, shape(chosen, rate), rate, Scan.PROGRESSIVE)


def shape(chosen: Recipe, rate: Fraction) -> Conversion:
    return conversion(Picture(1920, 1080, "yuv420p", rate, matrix="bt709", full_range=False), bits=chosen.bits)


@cache
def known_options(encoder: str) -> dict[str, set[str]]:
    """Private option → its named values (empty: a number), as ``ffmpeg -h encoder=`` lists them."""
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-h", f"encoder={encoder}"]
    text = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    found: dict[str, set[str]] = {}
    for line in text.splitlines():
        if match := re.match(r"  -(\S+)\s+<", line):
            last = found.setdefault(match[1], set())
        elif (match := re.match(r"     (\S+)\s+(?:-?\d+\s+)?E\.\.V", line)) and found:
            last.add(match[1])
    return found


def unknown(chosen: Recipe) -> list[str]:
    """Options, or named values, that this FFmpeg's encoder does not know."""
    known = known_options(chosen.encoder)
    wrong = []
    for option, value in options(chosen).items():
        name = option.partition(":")[0]
        values = known.get(name)
        if values is None and name not in GENERIC:
            wrong.append(option)
        elif values and not value.lstrip("-").isdigit() and value not in values:
            wrong.append(f"{option}={value}")
    return wrong
