"""Messages of supplemental enhancement information that rules and encoders ask for (ITU-T H.264 Annex D, H.265 Annex D)."""

from __future__ import annotations

from common.bitstream.bits import BitReader
from common.media import ContentLight, MasteringDisplay

MASTERING_DISPLAY, CONTENT_LIGHT = 137, 144
"""SEI payload types; both standards have the same."""


def mastering_display(payload: bytes) -> MasteringDisplay:
    """mastering_display_colour_volume (H.265 D.2.28): green, blue, red, as the standard suggests and all encoders do.

    Raises:
        BitstreamError: it ends early.
    """
    bits = BitReader(payload)
    green, blue, red, white = ((bits.u(16), bits.u(16)) for _ in range(4))
    return MasteringDisplay(
        red=red, green=green, blue=blue, white_point=white, max_luminance=bits.u(32), min_luminance=bits.u(32)
    )


def content_light(payload: bytes) -> ContentLight:
    """content_light_level_info (H.265 D.2.35).

    Raises:
        BitstreamError: it ends early.
    """
    bits = BitReader(payload)
    return ContentLight(max_cll=bits.u(16), max_fall=bits.u(16))


def frame_packing(payload: bytes) -> int | None:
    """frame_packing_arrangement_type (H.264 Table D-8): 3 side by side, 4 top and bottom, 5 in turn; None: it is cancelled.

    Raises:
        BitstreamError: it ends early.
    """
    bits = BitReader(payload)
    bits.ue()
    return None if bits.flag() else bits.u(7)
