"""One frame of values → its coded image, by the recipe's codec."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from common.errors import InternalFault, ProgramMissing
from common.frame_recipes import FrameRecipe
from workers.frames import gdcm_image
from workers.frames.decoders import Samples
from workers.frames.stored import Shape, as_signed

Encode = Callable[[Samples], bytes]

BY_LINE = 1
"""JPEG-LS colour interleaved by line (ITU-T T.87 C.2.3): FFmpeg reads that rightly, and colour by sample wrongly."""


@dataclass(frozen=True)
class Encoder:
    """How frames are coded, and by whom."""

    encode: Encode
    tool: str  # library and version


def encoder(recipe: FrameRecipe, shape: Shape) -> Encoder:
    """The coder of all frames of this shape.

    Raises:
        ProgramMissing: no library that codes it is installed.
    """
    makers = {"jpegls": _jpegls, "jpeg2000": _jpeg2000, "htj2k": _htj2k, "rle": _rle, "jpeg": _jpeg}
    return makers[recipe.codec](recipe, shape)


def _jpegls(recipe: FrameRecipe, shape: Shape) -> Encoder:
    """Bits Stored is said: left to itself CharLS takes the precision from the largest value, which DICOM readers refuse."""
    if find_spec("jpeg_ls") is None:  # no wheel for Python 3.14
        return Encoder(
            lambda values: gdcm_image.encode(values, shape, recipe.transfer_syntax_uid), _tool("python-gdcm")
        )
    import jpeg_ls

    def encode(values: Samples) -> bytes:
        return bytes(
            jpeg_ls.encode_buffer(
                values.tobytes(),
                rows=shape.rows,
                columns=shape.columns,
                samples_per_pixel=shape.samples,
                bits_stored=shape.stored,
                interleave_mode=BY_LINE if shape.samples == 3 else 0,
            )
        )

    return Encoder(encode, _tool("pyjpegls"))


def _jpeg2000(_recipe: FrameRecipe, shape: Shape) -> Encoder:
    """The reversible component transform for RGB, which makes it YBR_RCT, and none for anything else (PS3.5 8.2.4)."""
    from openjpeg.utils import encode_array

    rgb, grey, ycc = 1, 2, 3  # OpenJPEG's colour spaces
    model = grey if shape.samples == 1 else rgb if shape.photometric == "RGB" else ycc

    def encode(values: Samples) -> bytes:
        given = as_signed(values, shape) if shape.signed else values
        return bytes(
            encode_array(given, bits_stored=shape.stored, photometric_interpretation=model, use_mct=model == rgb)
        )

    return Encoder(encode, _tool("pylibjpeg-openjpeg"))


def _htj2k(_recipe: FrameRecipe, shape: Shape) -> Encoder:
    if find_spec("imagecodecs") is None:
        raise ProgramMissing(
            "no encoder of High-Throughput JPEG 2000 is installed", hint="Install it: pip install 'cinefarm[htj2k]'."
        )
    import imagecodecs

    def encode(values: Samples) -> bytes:
        given = as_signed(values, shape) if shape.signed else values
        return bytes(imagecodecs.htj2k_encode(given, rgb=shape.photometric == "RGB", reversible=True))

    return Encoder(encode, _tool("imagecodecs"))


def _rle(recipe: FrameRecipe, shape: Shape) -> Encoder:
    """GDCM, which is twenty times as fast as pydicom, but aborts on planes of an odd number of pixels."""
    if shape.rows * shape.columns % 2 == 0:
        return Encoder(
            lambda values: gdcm_image.encode(values, shape, recipe.transfer_syntax_uid), _tool("python-gdcm")
        )
    from pydicom.pixels.encoders.base import RLELosslessEncoder

    options: dict[str, Any] = {
        "encoding_plugin": "pydicom",
        "rows": shape.rows,
        "columns": shape.columns,
        "samples_per_pixel": shape.samples,
        "bits_allocated": 8 * shape.dtype.itemsize,
        "bits_stored": shape.stored,
        "pixel_representation": 0,
        "photometric_interpretation": "RGB" if shape.samples == 3 else "MONOCHROME2",
        "number_of_frames": 1,
    }
    if shape.samples == 3:
        options["planar_configuration"] = 0
    return Encoder(lambda values: bytes(RLELosslessEncoder.encode(values, **options)), _tool("pydicom"))


def _jpeg(recipe: FrameRecipe, shape: Shape) -> Encoder:
    from PIL import Image

    if recipe.quality is None:
        raise InternalFault("a JPEG recipe without a quality")
    quality, mode = recipe.quality, {"RGB": "RGB", "YBR_FULL": "YCbCr"}.get(shape.photometric, "L")

    def encode(values: Samples) -> bytes:
        out = io.BytesIO()
        image = Image.frombuffer(mode, (shape.columns, shape.rows), values.tobytes(), "raw", mode, 0, 1)
        options = {} if mode == "L" else {"subsampling": recipe.sampling}
        image.save(out, "JPEG", quality=quality, **options)
        return out.getvalue()

    return Encoder(encode, _tool("pillow"))


def _tool(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return package
