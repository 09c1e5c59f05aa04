"""When the encoder's pictures are decoded on its own device. Pure. The reference is decoded on the CPU in every case.

The judge needs the CPU's pictures whoever encodes, so a device saves no decoding. What it saves is the copy of large pictures
into its memory; what it costs is a second reading of the source. So it is used only where all of this holds:

1. No sample has to change: no conversion of colour, depth or size, no turn, no padding. Those are exact on the CPU alone.
2. The codec is H.264 or HEVC, which every right decoder decodes to the same bits.
3. The picture is larger than level 4.1 holds (4K): below that the copy is less than 200 MB/s.
4. The source is a file of this machine, and its sound is not kept.

Broken decoding shows against the reference: ``workers.transcode`` asks more of each frame than the gate does.
"""

from __future__ import annotations

from common import queues
from common.levels import HEVC_LEVELS
from common.media import VideoStream
from common.recipes import Recipe
from workers.ffmpeg.conversion import Conversion

_OPTIONS = {
    queues.of_encoder("h264_nvenc"): ("-hwaccel", "cuda", "-hwaccel_output_format", "cuda"),
    queues.of_encoder("h264_vaapi"): ("-hwaccel", "vaapi", "-hwaccel_output_format", "vaapi"),
}
"""Input options by queue; Quick Sync gets its pictures from system memory."""

_SPARE_PICTURES = "32"  # that the encoder may hold beside the decoder's own: look-ahead, B pictures, what is in flight
_EXACT = ("h264", "hevc")
_SAME_SAMPLES = frozenset({"settb", "setpts", "setparams", "setsar"})


def decode_options(
    recipe: Recipe, video: VideoStream, conversion: Conversion, location: str, *, sound: bool
) -> tuple[str, ...]:
    """FFmpeg's options for reading the source a second time, for the encoder alone; nothing where that does not help.

    ``location``: what FFmpeg is told to open.
    """
    options = _OPTIONS.get(queues.of_encoder(recipe.encoder), ())
    same = all(step.name in _SAME_SAMPLES for step in conversion.filters)
    large = conversion.width * conversion.height > HEVC_LEVELS["4.1"].luma_samples
    file = location.startswith("/")
    if not options or not same or not large or not file or sound or video.codec not in _EXACT or video.trimmed:
        return ()
    return (*options, "-extra_hw_frames", _SPARE_PICTURES)


def used(argv: tuple[str, ...]) -> bool:
    """True when this command decoded on a device."""
    return "-hwaccel" in argv
