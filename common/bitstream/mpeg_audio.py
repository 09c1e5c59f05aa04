"""Frame headers of MPEG audio (ISO/IEC 11172-3 2.4.1.3): what each frame says of its bit rate."""

from __future__ import annotations

_LAYER_3 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
"""kbit/s by bitrate_index from 1 on, MPEG-1 Layer III (2.4.2.3)."""


def layer3_bit_rate(frame: bytes) -> int | None:
    """bit/s that an MPEG-1 Layer III frame names; None: no such frame, or the free format."""
    if len(frame) < 4 or frame[0] != 0xFF or frame[1] & 0xFE != 0xFA:
        return None
    index = frame[2] >> 4
    return 1000 * _LAYER_3[index - 1] if 0 < index < 15 else None
