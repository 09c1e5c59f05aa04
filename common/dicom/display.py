"""Stored samples → what a display shows, as 8-bit tables: the grey pipeline of PS3.4 N.2 and palettes. Pure numpy.

Grey: Modality LUT or rescale (PS3.3 C.11.1), VOI LUT or window (C.11.2), then MONOCHROME1 inverted (C.7.6.3.1.2).
The first VOI LUT is taken, else the first window: the standard leaves the choice to the viewer and lists the default
first. They hold for 8-bit samples too: a colour video stream cannot be windowed afterwards, so it must show what the
viewer of the source showed. Without either, the full range of the stored bits is shown, so nothing is clipped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from common.errors import UnreadableSource, UnsupportedSource

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Table = NDArray[np.uint8]
Values = NDArray[np.float64]

WHITE = 255
MAX_STORED_BITS = 16


@dataclass(frozen=True)
class Window:
    """Window Center and Width with VOI LUT Function, in units of the Modality LUT's output (PS3.3 C.11.2.1.2)."""

    center: float
    width: float
    function: str = "LINEAR"


@dataclass(frozen=True, eq=False)
class Lookup:
    """A Modality or VOI LUT: ``entries`` of ``bits`` bits, the first one for input ``first`` and all below (C.11.1.1)."""

    first: int
    bits: int
    entries: NDArray[np.uint16]

    def __call__(self, values: Values) -> Values:
        """Inputs beyond either end take the entry at that end."""
        index = np.clip(np.rint(values) - self.first, 0, len(self.entries) - 1).astype(np.intp)
        return cast(Values, self.entries[index].astype(np.float64))

    @property
    def top(self) -> float:
        """The largest output the LUT's bits allow."""
        return float(2**self.bits - 1)


@dataclass(frozen=True, eq=False)
class GreyPipeline:
    """How stored grey samples are shown."""

    bits_stored: int
    signed: bool
    slope: float = 1.0
    intercept: float = 0.0
    modality: Lookup | None = None  # in place of slope and intercept
    voi: Window | Lookup | None = None
    inverted: bool = False  # MONOCHROME1: the lowest value is white


def grey_table(pipeline: GreyPipeline) -> Table:
    """2^Bits Stored display values, 0 black to 255 white; the index is the stored bit pattern, unsigned."""
    stored = stored_values(pipeline.bits_stored, signed=pipeline.signed).astype(np.float64)
    if pipeline.modality is not None:
        values, low, high = pipeline.modality(stored), 0.0, pipeline.modality.top
    else:
        values = stored * pipeline.slope + pipeline.intercept
        low, high = float(values.min()), float(values.max())
    if isinstance(pipeline.voi, Lookup):
        shown = pipeline.voi(values) / pipeline.voi.top
    elif pipeline.voi is not None:
        shown = windowed(values, pipeline.voi)
    else:
        shown = (values - low) / ((high - low) or 1.0)
    table = np.rint(np.clip(shown, 0, 1) * WHITE).astype(np.uint8)
    return WHITE - table if pipeline.inverted else table


def windowed(values: Values, window: Window) -> Values:
    """Display values 0…1 by the pseudo-code of PS3.3 C.11.2.1.2.1 (LINEAR), C.11.2.1.3.1 (SIGMOID), .2 (LINEAR_EXACT)."""
    center, width = window.center, window.width
    if window.function == "SIGMOID":
        steepness = -4 * (values - center) / width
        return 1 / (1 + np.exp(np.clip(steepness, -700, 700)))  # a float64 ends at e^709
    if window.function == "LINEAR":
        center, width = center - 0.5, width - 1
    if width == 0:  # LINEAR of width 1 is a threshold
        return (values > center).astype(np.float64)
    return np.clip((values - center) / width + 0.5, 0, 1)


def stored_values(bits: int, *, signed: bool) -> NDArray[np.int32]:
    """The value of every bit pattern: 0 … 2^bits−1, or two's complement."""
    if not 1 <= bits <= MAX_STORED_BITS:
        raise UnsupportedSource(f"{bits} bits stored: no table is made for more than {MAX_STORED_BITS}")
    patterns = np.arange(2**bits, dtype=np.int32)
    return np.where(patterns >= 2 ** (bits - 1), patterns - 2**bits, patterns).astype(np.int32) if signed else patterns


def is_identity(table: Table) -> bool:
    """True when 8-bit samples are shown as they are stored."""
    return table.shape == (256,) and bool(np.array_equal(table, np.arange(256)))


def varies_by_frame(dataset: Dataset) -> bool:
    """True when a frame may have a Modality or VOI LUT of its own (PS3.3 C.7.6.16)."""
    groups = dataset.get("PerFrameFunctionalGroupsSequence") or []
    return any(name in group for group in groups for name in (_TRANSFORMATION, _FRAME_VOI))


def grey_pipeline(dataset: Dataset, frame: int = 0) -> GreyPipeline:
    """The pipeline of one frame (counted from 0) of a MONOCHROME1 or MONOCHROME2 header.

    A window whose width the standard forbids (C.11.2.1.2: at least 1, or more than 0) is passed over, as is a rescale
    that is no number.

    Raises:
        UnsupportedSource: more than 16 bits, or grey values shown in colour.
        UnreadableSource: a LUT that contradicts its own descriptor.
    """
    bits, signed = int(dataset.BitsStored), bool(dataset.get("PixelRepresentation", 0))
    if dataset.get("PixelPresentation") in ("COLOR", "MIXED") and "RedPaletteColorLookupTableDescriptor" in dataset:
        raise UnsupportedSource("grey values with a supplemental colour palette are not converted")
    transformation = _macro(dataset, _TRANSFORMATION, frame)
    slope, intercept = _first_number(transformation, "RescaleSlope"), _first_number(transformation, "RescaleIntercept")
    modality = _lookup(dataset, "ModalityLUTSequence", signed=signed)
    lowest_is_negative = signed if modality is None else False
    voi_item = _macro(dataset, _FRAME_VOI, frame)
    return GreyPipeline(
        bits_stored=bits,
        signed=signed,
        slope=slope or 1.0,
        intercept=intercept or 0.0,
        modality=modality,
        voi=_lookup(voi_item, "VOILUTSequence", signed=lowest_is_negative or (intercept or 0) < 0) or _window(voi_item),
        inverted=dataset.get("PhotometricInterpretation") == "MONOCHROME1",
    )


def palette_table(dataset: Dataset) -> Table:
    """(2^Bits Stored, 3) RGB values of a PALETTE COLOR header, segmented tables too; the index is the bit pattern.

    16-bit entries are cut to their high byte: exact for both ways of filling 16 bits from 8 (PS3.3 C.7.6.3.1.5).
    Entries declared with 16 bits that never exceed 255 are 8-bit entries under a wrong descriptor, and taken as such.

    Raises:
        UnreadableSource: a table is missing or contradicts its own descriptor.
    """
    from pydicom.pixels.processing import apply_color_lut

    patterns = stored_values(int(dataset.BitsStored), signed=bool(dataset.get("PixelRepresentation", 0)))
    try:
        colours = apply_color_lut(patterns.reshape(1, -1), dataset)[0]
    except Exception as error:  # pydicom raises what it likes on broken tables
        raise UnreadableSource("the colour palette cannot be read") from error
    if colours.dtype.itemsize > 1 and colours.max() > WHITE:
        colours = colours >> 8
    return cast(Table, np.ascontiguousarray(colours[:, :3], dtype=np.uint8))


_TRANSFORMATION = "PixelValueTransformationSequence"
_FRAME_VOI = "FrameVOILUTSequence"


def _macro(dataset: Dataset, keyword: str, frame: int) -> Dataset:
    """The item of a functional group macro: the frame's own, else the shared one, else the dataset itself."""
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    for group in (*per_frame[frame : frame + 1], *shared[:1]):
        for item in (group.get(keyword) or [])[:1]:
            return cast("Dataset", item)
    return dataset


def _window(item: Dataset) -> Window | None:
    center, width = _first_number(item, "WindowCenter"), _first_number(item, "WindowWidth")
    function = str(item.get("VOILUTFunction") or "LINEAR")
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        raise UnsupportedSource("the VOI LUT function is none of PS3.3 C.11.2.1.3")
    if center is None or width is None or width <= 0 or (function == "LINEAR" and width < 1):
        return None
    return Window(center, width, function)


def _lookup(dataset: Dataset, keyword: str, *, signed: bool) -> Lookup | None:
    """The first LUT of a sequence. ``signed``: the first mapped value may be negative (C.11.1.1.1: US or SS)."""
    for item in (dataset.get(keyword) or [])[:1]:
        try:
            count, first, bits = (int(value) for value in item.LUTDescriptor)
            entries = _entries(item.LUTData, count or 65536, little=dataset.original_encoding[1] is not False)
        except (AttributeError, TypeError, ValueError, OverflowError) as error:
            raise UnreadableSource("a lookup table contradicts its own descriptor") from error
        if not 1 <= bits <= 16:
            raise UnreadableSource("a lookup table contradicts its own descriptor")
        return Lookup(first - 65536 if signed and first > 32767 else first, bits, entries)
    return None


def _entries(data: object, count: int, *, little: bool) -> NDArray[np.uint16]:
    """LUT Data as US values or OW bytes; entries of one byte may be packed."""
    if isinstance(data, bytes):
        packed = len(data) in (count, count + count % 2)
        entries = np.frombuffer(data, np.uint8 if packed else np.dtype("<u2" if little else ">u2"))
    else:
        entries = np.atleast_1d(np.asarray(data)).astype(np.uint16)
    if len(entries) < count:
        raise ValueError("fewer entries than described")
    return entries[:count].astype(np.uint16)


def _first_number(item: Dataset, keyword: str) -> float | None:
    value = item.get(keyword)
    try:
        number = float(value[0] if hasattr(value, "append") and not isinstance(value, str) else value)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return number if math.isfinite(number) else None
