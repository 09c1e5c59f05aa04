"""The FFmpeg output options that every encoder shares: what the stream must be, whoever writes it."""

from __future__ import annotations

from fractions import Fraction

from common.recipes import Recipe
from workers.ffmpeg.conversion import Conversion

_TAGS = {"h264": "avc1", "hevc": "hvc1"}  # parameter sets in the container only, as browsers want it


def stream_options(recipe: Recipe, conversion: Conversion, frame_rate: Fraction) -> dict[str, str]:
    """Encoder, profile, VBV, group length, colour tags and clock. ``level:v`` is each encoder's own: spellings differ."""
    options = {
        "c:v": recipe.encoder,
        "profile:v": recipe.profile,
        "maxrate": f"{recipe.max_rate_kbit}k",
        "bufsize": f"{recipe.buffer_kbit}k",
        "g": str(max(1, int(recipe.gop_seconds * frame_rate))),
        "bf": str(recipe.b_frames),
        "color_range": "tv",
        "colorspace": conversion.tags.matrix,
        "color_primaries": conversion.tags.primaries,
        "color_trc": conversion.tags.transfer,
        "chroma_sample_location": "left",
        "enc_time_base:v": str(conversion.time_base),
    }
    return options | {"tag:v": _TAGS[recipe.codec]} if recipe.codec in _TAGS else options
