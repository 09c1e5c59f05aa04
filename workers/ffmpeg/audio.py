"""Sound beside H.264 and HEVC in MP4 (PS3.5 8.2.7 to 8.2.11): what may stay, and how the rest is made legal."""

from __future__ import annotations

from common.media import AudioStream
from common.recipes import Audio

_MPEG_RATES = (32_000, 44_100, 48_000)
MADE_LEGAL = {"af": "aresample=osr=48000:ochl=stereo:osf=fltp", "c:a": "aac", "b:a": "192k"}
"""FFmpeg output options: AAC-LC, 48 kHz, stereo. A filter rather than -ar and -ac: our command lines convert nothing unasked."""


BESIDE_MPEG2 = {"af": "aresample=osr=48000:ochl=stereo", "c:a": "libmp3lame", "b:a": "192k"}
"""MP3 at a constant bit rate, 48 kHz, stereo: the one sound that MPEG-2 video may have beside it (PS3.5 8.2.5)."""


def made_legal(codec: str) -> dict[str, str]:
    """FFmpeg output options that make sound anew, legal beside video of this codec."""
    return dict(BESIDE_MPEG2 if codec == "mpeg2video" else MADE_LEGAL)


def is_legal(audio: AudioStream, codec: str = "h264") -> bool:
    """AAC at 48 kHz, stereo or 5.1, at most 640 kbit/s; MP2 and MP3 at the MPEG-1 rates, mono or stereo.

    Beside MPEG-2 video MP3 alone, and that at a constant bit rate, which a description does not tell: made anew.
    """
    if codec == "mpeg2video":
        return False
    if audio.codec == "aac":
        return audio.sample_rate == 48_000 and audio.channels in (2, 6) and (audio.bit_rate or 0) <= 640_000
    return audio.codec in ("mp2", "mp3") and audio.sample_rate in _MPEG_RATES and audio.channels in (1, 2)


def options(policy: Audio, streams: tuple[AudioStream, ...], codec: str = "h264") -> dict[str, str]:
    """FFmpeg output options for the first audio stream beside video of this codec: none, copied, or made legal."""
    if policy is Audio.STRIP or not streams:
        return {}
    if is_legal(streams[0], codec):
        return {"c:a": "copy"}
    return made_legal(codec)
