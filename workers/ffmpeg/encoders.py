"""The encoders that have a command line, what each needs around it, and when a device is to blame for a failure."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction

from common import queues
from common.errors import (
    CinefarmError,
    HardwareFailed,
    InternalFault,
    NoLegalPath,
    ProgramFailed,
    ResourceLimit,
    UnsupportedSource,
)
from common.levels import h264_minimal_level, hevc_minimal_level, level_violations
from common.media import Scan
from common.recipes import Recipe
from common.targets import FIELD_ENCODERS
from workers.ffmpeg import mpeg2, nvenc, qsv, vaapi, x264, x265
from workers.ffmpeg.conversion import Conversion, Filter

CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)
"""Signals of a program that broke; not SIGKILL, which means out of memory."""

_DEVICE_WORDS = (
    "Error while opening encoder",  # no device, no driver, or one that lacks profile, level, B pictures or 10 bits
    "Device creation failed",
    "Could not dynamically load CUDA",
    "No VA display found",
    "Error creating a MFX session",
    "implib-gen: ",  # the driver's library cannot be loaded: FFmpeg aborts
    "Error reinitializing filters",  # a device that gave up decoding: its pictures are no longer where the encoder looks
    "hwupload",  # [Parsed_hwupload_3 @ …] Failed to …: the device went away between two pictures
    "Error submitting video frame to the encoder",
    "Error sending a frame for encoding",
    "Error encoding a frame",
)
"""FFmpeg's words when the device, not the source, is at fault: captured in tests/golden/hardware or, for a device that is
lost half-way, taken from FFmpeg's sources (fftools/ffmpeg_enc.c, libavfilter/vf_hwupload.c)."""


@dataclass(frozen=True)
class Encoder:
    """What a command line needs to know of one FFmpeg encoder."""

    options: Callable[[Recipe, Conversion, Fraction, Scan], dict[str, str]]
    upload: Callable[[int], tuple[Filter, ...]] = (
        lambda _bits: ()
    )  # from plain pictures of so many bits to the device's
    opens_render_node: bool = False


_NVENC = Encoder(nvenc.options, nvenc.upload)
_QSV = Encoder(qsv.options, qsv.upload)
_VAAPI = Encoder(vaapi.options, vaapi.upload, opens_render_node=True)

ENCODERS: dict[str, Encoder] = {
    "libx264": Encoder(x264.options),
    "libx265": Encoder(x265.options),
    "mpeg2video": Encoder(mpeg2.options),
    **{f"{codec}_nvenc": _NVENC for codec in ("h264", "hevc")},
    **{f"{codec}_qsv": _QSV for codec in ("h264", "hevc")},
    **{f"{codec}_vaapi": _VAAPI for codec in ("h264", "hevc")},
}
"""By FFmpeg's name. One file per family."""


def encoder_of(recipe: Recipe, scan: Scan) -> Encoder:
    """The recipe's encoder.

    Raises:
        UnsupportedSource: no command is written for it, or for fields in it.
    """
    if recipe.encoder not in ENCODERS:
        raise UnsupportedSource(f"no command line is known for encoder {recipe.encoder}")
    if scan is not Scan.PROGRESSIVE and recipe.encoder not in FIELD_ENCODERS:
        raise UnsupportedSource(f"{recipe.encoder} encodes no interlaced video")
    return ENCODERS[recipe.encoder]


def on_device(recipe: Recipe) -> bool:
    """True when the encoder needs a device."""
    return queues.of_encoder(recipe.encoder) != queues.CPU


def check_level(width: int, height: int, rate: Fraction, recipe: Recipe, *, interlaced: bool = False) -> None:
    """Refuse to write a level that the picture, its rate or the recipe's VBV breaks: an encoder would not.

    Raises:
        NoLegalPath: with each limit and the value beyond it (ITU-T H.264 Table A-1, H.265 Tables A.8 and A.9).
    """
    if recipe.codec == "mpeg2video":  # what a level holds is what the tables of PS3.5 list: common.targets.check_target
        return
    broken = level_violations(
        recipe.codec,
        width,
        height,
        rate,
        recipe.level,
        interlaced=interlaced,
        bit_rate=recipe.max_rate_kbit * 1000,
        buffer_bits=recipe.buffer_kbit * 1000,
    )
    if not broken:
        return
    if recipe.codec == "hevc":
        needed = hevc_minimal_level(width, height, rate)
    else:
        needed = h264_minimal_level(width, height, rate, interlaced=interlaced)
    hint = f"It needs level {needed}: choose a profile whose target allows it." if needed else ""
    raise NoLegalPath(f"{width}×{height} at {float(rate):.6g} frames/s: {'; '.join(broken)}", hint=hint)


def device_fault(recipe: Recipe, error: CinefarmError) -> HardwareFailed | None:
    """The device's failure behind an encode's error, or None when the device is not to blame.

    In doubt, as after a crash, a hang or a broken output, it is: the CPU tries once more, and its word on the source is
    final.
    """
    if not on_device(recipe) or not isinstance(error, ProgramFailed | ResourceLimit | InternalFault):
        return None
    if not isinstance(error, ProgramFailed):
        return HardwareFailed(f"{recipe.encoder} on this worker: {error.message}")
    named = any(words in error.stderr_tail for words in _DEVICE_WORDS)
    if not named and -error.exit_code not in CRASHES:
        return None
    return HardwareFailed(
        f"{recipe.encoder} failed on this worker (FFmpeg's exit code {error.exit_code})", stderr_tail=error.stderr_tail
    )


@contextmanager
def blaming_device(recipe: Recipe) -> Iterator[None]:
    """Errors of the block that are the device's fault leave it as HardwareFailed."""
    try:
        yield
    except CinefarmError as error:
        if fault := device_fault(recipe, error):
            raise fault from error
        raise
