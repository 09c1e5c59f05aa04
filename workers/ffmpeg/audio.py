"""Sound beside H.264 and HEVC in MP4 (PS3.5 8.2.7 to 8.2.11): what may stay, and how the rest is made legal."""

from __future__ import annotations

from common.conformance.audio import may_stay
from common.media import AudioStream
from common.recipes import Audio

MADE_LEGAL = {"af": "aresample=osr=48000:ochl=stereo:osf=fltp", "c:a": "aac", "b:a": "192k"}
"""FFmpeg output options: AAC-LC, 48 kHz, stereo. A filter rather than -ar and -ac: our command lines convert nothing unasked."""


_STEREO_48K = {"af": "aresample=osr=48000:ochl=stereo:osf=fltp"}
MADE_MP3 = _STEREO_48K | {"c:a": "libmp3lame", "b:a": "192k"}
"""Beside MPEG-2 video MP3 at a constant bit rate is the one legal sound (PS3.5 8.2.5)."""


def made_legal(codec: str) -> dict[str, str]:
    """FFmpeg output options for sound made anew beside video of this codec."""
    return dict(MADE_MP3 if codec == "mpeg2video" else MADE_LEGAL)


def is_legal(audio: AudioStream, codec: str = "h264") -> bool:
    """What the checker's rules let stand beside H.264 and HEVC in MP4: AAC at 48 kHz, stereo or 5.1; MP3 at a constant bit rate, and
    MP2 in stereo, at the MPEG-1 rates.

    Beside MPEG-2 video MP3 alone: made anew.
    """
    return codec != "mpeg2video" and may_stay(audio)


def options(policy: Audio, streams: tuple[AudioStream, ...], codec: str = "h264") -> dict[str, str]:
    """FFmpeg output options for the first audio stream beside video of this codec: none, copied, or made legal."""
    if policy is Audio.STRIP or not streams:
        return {}
    if is_legal(streams[0], codec):
        return {"c:a": "copy"}
    return made_legal(codec)
