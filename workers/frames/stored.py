"""The stored values of a source's frames, one frame at a time: what a lossless coding has to give back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from common.dicom.display import palette_table
from common.dicom.pixel_stream import read_header
from common.frame_recipes import FrameRecipe
from workers.frames.decoders import Samples, decoder
from workers.frames.layout import GREY, HALF_CHROMA, Layout, read_layout
from workers.frames.render import patterns
from workers.frames.stream import extents, frame_bytes, naming

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_OVERLAY_GROUPS = range(0x6000, 0x601F, 2)


@dataclass(frozen=True)
class Shape:
    """One frame of values: bit patterns of ``stored`` bits, colour by pixel."""

    rows: int
    columns: int
    samples: int  # per pixel
    stored: int  # bits
    signed: bool
    photometric: str

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest unsigned integers that hold the patterns."""
        return np.dtype(np.uint8 if self.stored <= 8 else "<u2")

    @property
    def array(self) -> tuple[int, ...]:
        """(rows, columns) or (rows, columns, 3)."""
        return (self.rows, self.columns) if self.samples == 1 else (self.rows, self.columns, self.samples)


@dataclass(frozen=True, eq=False)
class Frame:
    """``values`` as Shape says; ``cells``: the same with all bits of their containers, where the source has such."""

    values: Samples
    cells: Samples | None = None


@dataclass(frozen=True)
class Form:
    """What of a frame is coded, and how it lies there."""

    shape: Shape
    pick: Callable[[Frame], Samples]


@dataclass(frozen=True)
class StoredFrames:
    """A DICOM file's frames as values."""

    path: Path
    layout: Layout
    shape: Shape
    overlays: bool  # planes in unused bits of the samples (PS3.5 8.1.1, retired)

    def __iter__(self) -> Iterator[Frame]:
        """Decode one frame after the other.

        Raises:
            TruncatedSource, UnreadableSource: a frame is not whole or not like the others; the message names it, from 1.
        """
        with self.each() as one:
            yield from map(one, range(self.layout.frames))

    @contextmanager
    def each(self) -> Iterator[Callable[[int], Frame]]:
        """A function that decodes the frame of a number, from 0; forked processes may share it. Raises: like iterating."""
        decode, found = decoder(self.layout), extents(read_header(self.path), self.layout)
        with self.path.open("rb") as file:

            def one(number: int) -> Frame:
                with naming(number, self.layout):
                    decoded = decode(frame_bytes(file, found[number], self.layout)).samples
                return Frame(_values(self.layout, decoded, self.shape), decoded if self.layout.cells else None)

            yield one


def stored_frames(path: Path) -> StoredFrames:
    """The frames of a DICOM file as they are stored.

    Raises:
        UnreadableSource, UnsupportedSource, ProgramMissing: see workers.frames.layout and workers.frames.decoders.
    """
    header = read_header(path)
    layout = read_layout(header)
    decoder(layout)
    shape = Shape(layout.rows, layout.columns, layout.samples, layout.stored, layout.signed, _model(layout))
    return StoredFrames(path, layout, shape, _has_embedded_overlays(header.dataset))


def form_for(frames: StoredFrames, recipe: FrameRecipe) -> Form:
    """What this recipe codes of each frame: its values; whole cells under RLE; the colours of a palette under JPEG."""
    shape = frames.shape
    if recipe.codec == "rle":
        return _cells(frames.layout, shape)
    if recipe.codec == "jpeg" and shape.photometric == "PALETTE COLOR":
        table = palette_table(read_header(frames.path).dataset)
        return Form(replace(shape, samples=3, stored=8, photometric="RGB"), lambda frame: table[frame.values])
    return Form(shape, lambda frame: frame.values)


def as_signed(values: Samples, shape: Shape) -> NDArray[np.signedinteger[Any]]:
    """Bit patterns as the signed integers that they stand for."""
    sign = 1 << (shape.stored - 1)
    return ((values.astype(np.int32) ^ sign) - sign).astype(f"i{shape.dtype.itemsize}")


def _cells(layout: Layout, shape: Shape) -> Form:
    """Containers of Bits Allocated (PS3.5 G.2): those of the source, bits around the values too, else the values in new ones."""
    whole = replace(shape, stored=layout.allocated, signed=False)

    def pick(frame: Frame) -> Samples:
        if frame.cells is not None and frame.cells.shape == whole.array:
            return np.ascontiguousarray(frame.cells, dtype=whole.dtype)
        if shape.signed:
            return as_signed(frame.values, shape).astype(f"i{whole.dtype.itemsize}").view(whole.dtype)
        return frame.values.astype(whole.dtype)

    return Form(whole, pick)


def _model(layout: Layout) -> str:
    """The Photometric Interpretation of decoded values: codecs undo their own transforms."""
    if layout.photometric in GREY or layout.samples == 1:
        return layout.photometric
    lossy_jpeg = layout.syntax in ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")
    return "YBR_FULL" if layout.photometric.startswith("YBR_FULL") and not lossy_jpeg else "RGB"


def _values(layout: Layout, decoded: Samples, shape: Shape) -> Samples:
    if layout.cells and layout.photometric == HALF_CHROMA:
        decoded = _full_chroma(decoded).reshape(shape.array)
    return cast(Samples, np.ascontiguousarray(patterns(layout, decoded), dtype=shape.dtype))


def _full_chroma(packed: Samples) -> Samples:
    """Native 4:2:2 (Y Y Cb Cr for two pixels) with each chroma sample written for both: every second one gives it back."""
    luma, chroma = packed[..., :2, np.newaxis], packed[..., np.newaxis, 2:]
    return cast(Samples, np.concatenate([luma, np.repeat(chroma, 2, axis=-2)], axis=-1))


def _has_embedded_overlays(dataset: Dataset) -> bool:
    """Overlay Bits Allocated (60xx,0100) beyond 1 says that a plane lies in the samples' unused bits."""
    return any(
        int(element.value) > 1
        for group in _OVERLAY_GROUPS
        if (element := dataset.get((group, 0x0100))) is not None and element.value is not None
    )
