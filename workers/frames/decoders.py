"""One frame's bytes → its samples, as unsigned integers in the photometric interpretation that they really have."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from common.errors import CinefarmError, ProgramMissing, TruncatedSource, UnreadableSource, UnsupportedSource
from workers.frames.jpeg import BASELINE, EXTENDED, parse_head, whole
from workers.frames.layout import DEFLATED_FRAMES, EXPLICIT_BIG, HALF_CHROMA, NATIVE, RLE, Layout

_JPEG_LOSSLESS = ("1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70")
_JPEG_LS = ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81")
_JPEG_2000 = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91")
_HTJ2K = ("1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203")
_MARKED = (BASELINE, EXTENDED, *_JPEG_LOSSLESS, *_JPEG_LS)
_SIZ = b"\xff\x4f\xff\x51"  # SOC, SIZ: a bare JPEG 2000 codestream (ITU-T T.800 A.5.1)

PLUGINS: dict[str, tuple[str, ...]] = {
    RLE: ("pylibjpeg", "pydicom"),
    **dict.fromkeys((BASELINE, EXTENDED), ("pillow", "gdcm")),
    **dict.fromkeys(_JPEG_LOSSLESS, ("gdcm", "pylibjpeg")),
    **dict.fromkeys(_JPEG_LS, ("pyjpegls", "gdcm")),
    **dict.fromkeys(_JPEG_2000, ("pylibjpeg", "gdcm")),  # pillow cuts colour of more than 8 bits
    **dict.fromkeys(_HTJ2K, ("pylibjpeg",)),
}
"""pydicom's plugins, best first; the first one installed decodes all frames of a source. Measured at 512×512: JPEG by
pillow 220 frames/s, by pylibjpeg 132; JPEG-LS by pyjpegls 85, by pydicom's own order 16."""

Samples = NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True, eq=False)
class Decoded:
    """One frame: (rows, columns), (rows, columns, 3), or native 4:2:2 as (rows, columns/2, 4) with Y Y Cb Cr."""

    samples: Samples
    photometric: str


Decode = Callable[[bytes], Decoded]


def decoder(layout: Layout) -> Decode:
    """The decoder of all frames of this layout. What it decodes is exactly one frame of the layout's size.

    It raises TruncatedSource or UnreadableSource for a frame that is not.

    Raises:
        UnsupportedSource: none is known for this transfer syntax.
        ProgramMissing: one is known and not installed.
    """
    if layout.syntax in NATIVE:
        return lambda data: _native(layout, data)
    if layout.syntax == DEFLATED_FRAMES:
        return lambda data: _native(layout, _inflated(data, layout.native_bytes))
    if layout.syntax not in PLUGINS:
        raise UnsupportedSource(f"no decoder is known for transfer syntax {layout.syntax}")
    if layout.syntax == EXTENDED and layout.stored > 8:
        return _guarded(layout, lambda data: _twelve_bits(layout, data))
    return _guarded(layout, _by_plugin(layout))


def _native(layout: Layout, data: bytes) -> Decoded:
    if len(data) < layout.native_bytes:
        raise TruncatedSource(f"{len(data)} of {layout.native_bytes} bytes")
    samples: Samples = np.frombuffer(data, np.uint8, layout.native_bytes)
    if layout.allocated == 16:
        samples = samples.view(">u2" if layout.syntax == EXPLICIT_BIG else "<u2")
    elif layout.syntax == EXPLICIT_BIG and layout.words:
        if layout.native_bytes % 2:
            raise UnsupportedSource("big-endian words that two frames share")
        samples = samples.view(np.uint16).byteswap().view(np.uint8)
    rows, columns = layout.rows, layout.columns
    if layout.photometric == HALF_CHROMA:
        return Decoded(samples.reshape(rows, columns // 2, 4), layout.photometric)
    if layout.samples == 1:
        return Decoded(samples.reshape(rows, columns), layout.photometric)
    if layout.planar:
        return Decoded(samples.reshape(3, rows, columns).transpose(1, 2, 0), layout.photometric)
    return Decoded(samples.reshape(rows, columns, 3), layout.photometric)


def _inflated(data: bytes, expected: int) -> bytes:
    """A raw deflate stream (RFC 1951) of one native frame (PS3.5 A.4.13); never more than a frame is unpacked."""
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, expected)
    except zlib.error as error:
        raise UnreadableSource("a broken deflate stream") from error


def _by_plugin(layout: Layout) -> Decode:
    from pydicom.encaps import encapsulate
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    codec = get_decoder(UID(layout.syntax))
    installed = [name for name in PLUGINS[layout.syntax] if name in codec.available_plugins]
    if not installed:
        raise ProgramMissing(f"no plugin that decodes {layout.syntax} is installed")
    # a JPEG frame that FFmpeg may not judge becomes RGB here, by pydicom's reading of its markers
    options: dict[str, Any] = {
        "raw": layout.syntax not in (BASELINE, EXTENDED),
        "decoding_plugin": installed[0],
        "rows": layout.rows,
        "columns": layout.columns,
        "samples_per_pixel": layout.samples,
        "bits_allocated": layout.allocated,
        "bits_stored": layout.stored,
        "pixel_representation": int(layout.signed),
        "photometric_interpretation": layout.photometric,
        "number_of_frames": 1,
        "pixel_keyword": "PixelData",
    }
    if layout.samples > 1:
        options["planar_configuration"] = 0  # RLE's own decoder knows better, all other codecs decode by pixel
    if layout.cells:
        options["correct_unused_bits"] = False  # the bits are picked by High Bit later

    def decode(data: bytes) -> Decoded:
        samples, properties = codec.as_array(encapsulate([data], has_bot=False), **options)
        return Decoded(_unsigned(samples), str(properties["photometric_interpretation"]))

    return decode


def _twelve_bits(layout: Layout, data: bytes) -> Decoded:
    """JPEG Extended with 12 bits, straight by GDCM: pydicom's plugin declines it, yet its pixels equal dcmdjpeg's."""
    import gdcm

    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(data)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((layout.columns, layout.rows, 1))
    image.SetDataElement(element)
    model = gdcm.PhotometricInterpretation.GetPIType(layout.photometric)
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(model))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(layout.syntax)))
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, layout.stored, layout.stored - 1, int(layout.signed)))
    pixels = image.GetBuffer().encode("utf-8", "surrogateescape")  # GDCM gives char* as str
    return Decoded(np.frombuffer(pixels, "<u2").reshape(layout.rows, layout.columns), layout.photometric)


def _guarded(layout: Layout, decode: Decode) -> Decode:
    """The same, with the frame's own size checked first and whatever a decoder raises made one of our errors."""
    shape = (layout.rows, layout.columns) if layout.samples == 1 else (layout.rows, layout.columns, 3)

    def guarded(data: bytes) -> Decoded:
        _check(layout, data)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                decoded = decode(data)
        except (CinefarmError, MemoryError):
            raise
        except Exception as error:  # plugins raise what they like
            raise UnreadableSource("it cannot be decoded") from error
        if decoded.samples.shape != shape:
            raise UnreadableSource(f"it is not {layout.size}")
        return decoded

    return guarded


def _check(layout: Layout, data: bytes) -> None:
    """A codestream of another size than the header's, or without its end marker, is not decoded at all."""
    if layout.syntax in _MARKED:
        head = parse_head(data)
        whole(data)
        found, samples = (head.width, head.height), len(head.component_ids)
    elif data[:4] == _SIZ and len(data) >= 42:
        edges = [int.from_bytes(data[at : at + 4], "big") for at in (8, 12, 16, 20)]
        found, samples = (edges[0] - edges[2], edges[1] - edges[3]), int.from_bytes(data[40:42], "big")
    else:
        return
    if found != (layout.columns, layout.rows) or samples != layout.samples:
        raise UnreadableSource(f"it is {found[0]}×{found[1]}, and the header says {layout.size}")


def _unsigned(samples: NDArray[Any]) -> Samples:
    """The same bits without their sign."""
    return cast(Samples, samples.view(f"u{samples.dtype.itemsize}"))
