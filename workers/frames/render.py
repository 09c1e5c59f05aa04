"""Decoded samples → the bytes of one frame in the form that FFmpeg is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from common.dicom.display import Table, grey_pipeline, grey_table, is_identity, palette_table, varies_by_frame
from common.errors import UnreadableSource
from workers.frames.decoders import Decoded, Samples
from workers.frames.jpeg import BASELINE, EXTENDED
from workers.frames.layout import GREY, HALF_CHROMA, Layout

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

BT601 = "bt470bg"
"""DICOM's Y'CbCr is CCIR 601-2's (PS3.3 C.7.6.3.1.2), as JFIF's is; FFmpeg's MJPEG decoder calls the matrix so."""

Render = Callable[[int, Decoded], bytes | memoryview]


@dataclass(frozen=True)
class Form:
    """What FFmpeg gets: its pixel format, and for Y'CbCr range and matrix."""

    pixel_format: str
    full_range: bool | None = None
    matrix: str | None = None
    passed_through: bool = False  # JPEG frames as they are; else raw frames


def decoded_form(layout: Layout) -> Form:
    """The raw form that keeps the samples as they are: no Y'CbCr is turned into RGB on the way.

    (JPEG's lossy colour that comes here is RGB in truth or by pydicom's doing, see decoders.)
    """
    if layout.photometric in GREY:
        return Form("gray")
    if not layout.photometric.startswith("YBR_FULL") or layout.syntax in (BASELINE, EXTENDED):
        return Form("rgb24")
    packed = layout.photometric == HALF_CHROMA and layout.cells
    return Form("yuv422p" if packed else "yuv444p", full_range=True, matrix=BT601)


def renderer(layout: Layout, dataset: Dataset, form: Form) -> Render:
    """From (frame number from 0, decoded frame) to the frame's bytes."""
    if layout.photometric in GREY:
        return _grey(layout, dataset)
    if layout.samples == 1:
        palette = palette_table(dataset)
        return lambda _, decoded: _contiguous(palette[patterns(layout, decoded.samples)])
    return lambda _, decoded: _colour(layout, form, decoded)


def shown_as_stored(layout: Layout, dataset: Dataset) -> bool:
    """True when grey 8-bit samples need no change at all."""
    return (
        layout.stored == 8
        and not layout.signed
        and not varies_by_frame(dataset)
        and is_identity(grey_table(grey_pipeline(dataset)))
    )


def _grey(layout: Layout, dataset: Dataset) -> Render:
    if layout.allocated == 8 and shown_as_stored(layout, dataset):
        return lambda _, decoded: _contiguous(decoded.samples)
    one = None if varies_by_frame(dataset) else grey_table(grey_pipeline(dataset))

    def render(number: int, decoded: Decoded) -> memoryview:
        table: Table = grey_table(grey_pipeline(dataset, number)) if one is None else one
        return _contiguous(table[patterns(layout, decoded.samples)])

    return render


def patterns(layout: Layout, samples: Samples) -> NDArray[Any]:
    """The Bits Stored of each sample, free of overlays and unused bits around them (PS3.5 8.1.1)."""
    low = layout.high + 1 - layout.stored if layout.cells else 0
    if layout.stored == 8 * samples.dtype.itemsize:
        return samples
    return cast("NDArray[Any]", (samples >> low) & (2**layout.stored - 1))


def _colour(layout: Layout, form: Form, decoded: Decoded) -> bytes | memoryview:
    samples = decoded.samples
    if form.pixel_format == "yuv422p":
        luma, chroma = samples[..., :2], samples[..., 2:]
        return b"".join(part.tobytes() for part in (luma, chroma[..., 0], chroma[..., 1]))
    if layout.stored > 8:
        samples = (patterns(layout, samples) >> (layout.stored - 8)).astype(np.uint8)
    elif samples.dtype.itemsize > 1:
        samples = patterns(layout, samples).astype(np.uint8)
    wanted = "RGB" if form.pixel_format == "rgb24" else "YBR_FULL"
    samples = _in_model(samples, decoded.photometric, wanted)
    return _contiguous(samples if wanted == "RGB" else samples.transpose(2, 0, 1))


def _in_model(samples: Samples, found: str, wanted: str) -> Samples:
    """A codestream's markers can contradict the header; then the samples are brought to what FFmpeg was told."""
    from pydicom.pixels.processing import convert_color_space

    held = "YBR_FULL" if found.startswith("YBR") else "RGB"
    if held == wanted:
        return samples
    if found in ("YBR_ICT", "YBR_RCT"):
        raise UnreadableSource("its decoder left the colour transform undone")
    return cast(Samples, convert_color_space(samples, held, wanted))


def _contiguous(samples: NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(samples).data.cast("B")
