"""The second opinion on a coded frame: another program's decoder gives back the very values, or the frame is not right."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import InternalFault
from common.frame_recipes import FrameRecipe
from workers.frames import gdcm_image
from workers.frames.stored import Shape

Decode = Callable[[bytes], NDArray[Any]]


@dataclass(frozen=True)
class Prover:
    """Decodes what we have coded. It shares no code with the coder but where ``name`` says so."""

    decode: Decode
    name: str

    def digest(self, data: bytes) -> str:
        """SHA-256 of the values in a coded frame; empty where it cannot be read."""
        try:
            return digest(self.decode(data))
        except Exception:  # whatever a decoder raises on our own frame is its verdict
            return ""


def digest(values: NDArray[Any]) -> str:
    """SHA-256 over a frame's values: row by row, colour by pixel, one byte each or two, little-endian; hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()


def prover(recipe: FrameRecipe, shape: Shape) -> Prover:
    """Who looks at frames of this codec and shape.

    CharLS is checked by FFmpeg, which reads no colour of more than 8 bits: there by GDCM, which has a CharLS of its own.
    OpenJPEG is checked by FFmpeg, OpenJPH by OpenJPEG, GDCM's RLE by pydicom's.
    """
    if recipe.codec == "jpegls" and shape.samples == 3 and shape.stored > 8:
        return Prover(lambda data: gdcm_image.decode(data, shape, recipe.transfer_syntax_uid), "GDCM (CharLS)")
    if recipe.codec in ("jpegls", "jpeg2000"):
        return Prover(_by_ffmpeg(recipe.codec, shape), "FFmpeg")
    if recipe.codec == "htj2k":
        return Prover(_by_openjpeg(shape), "OpenJPEG")
    if recipe.codec == "rle":
        return Prover(_by_pydicom(recipe, shape), "pydicom")
    raise InternalFault(f"{recipe.codec} frames are measured, not proven")


def _by_ffmpeg(codec: str, shape: Shape) -> Decode:
    """FFmpeg fills 8 or 16 bits from above, and lifts signed JPEG 2000 samples by half their range."""
    import av

    shift = 8 * shape.dtype.itemsize - shape.stored
    lifted = 1 << (shape.stored - 1) if shape.signed and codec == "jpeg2000" else 0

    def decode(data: bytes) -> NDArray[Any]:
        context: Any = av.CodecContext.create(codec, "r")  # PyAV types it without decode
        context.thread_count = 1
        frames = [*context.decode(av.Packet(data)), *context.decode(None)]
        pixels = frames[0].to_ndarray().reshape(shape.array)
        return np.asarray((pixels >> shift) ^ lifted, dtype=shape.dtype)

    return decode


def _by_openjpeg(shape: Shape) -> Decode:
    import io

    from openjpeg.utils import decode as read

    def decode(data: bytes) -> NDArray[Any]:
        pixels = np.asarray(read(io.BytesIO(data))).reshape(shape.array)
        return np.asarray(pixels.view(f"u{pixels.dtype.itemsize}"), dtype=shape.dtype)

    return decode


def _by_pydicom(recipe: FrameRecipe, shape: Shape) -> Decode:
    from pydicom.encaps import encapsulate
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    codec = get_decoder(UID(recipe.transfer_syntax_uid))
    options: dict[str, Any] = {
        "raw": True,
        "decoding_plugin": "pydicom",
        "rows": shape.rows,
        "columns": shape.columns,
        "samples_per_pixel": shape.samples,
        "bits_allocated": 8 * shape.dtype.itemsize,
        "bits_stored": shape.stored,
        "pixel_representation": 0,
        "photometric_interpretation": "RGB" if shape.samples == 3 else "MONOCHROME2",
        "number_of_frames": 1,
        "pixel_keyword": "PixelData",
    }
    if shape.samples == 3:
        options["planar_configuration"] = 0
    return lambda data: codec.as_array(encapsulate([data], has_bot=False), **options)[0]
