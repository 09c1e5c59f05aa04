"""The DICOM header around frames that were coded one by one: pure, and the same request always gives the same header.

A lossless transcode of DICOM frames is the same SOP Instance in another transfer syntax: of its header only what PS3.5 8.2.1–8.2.4
tie to the coding changes. Everything else that is coded anew is a derived image and says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.dicom import derivation
from common.dicom.frame_syntaxes import FrameSyntax, frame_syntax
from common.dicom.headers import coerce_as_planned, kept_values, values_of
from common.dicom.identifiers import Identifiers
from common.dicom.lossy import LossyStep, append_step, raw_bytes, record_proven_step, source_step
from common.dicom.modules import complete
from common.dicom.sop_classes import video_class
from common.dicom.timing import write_timing
from common.dicom.transfer_syntaxes import certain_lossy_method
from common.errors import InternalFault
from common.media import Description, Kind
from common.orders import Plan

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

PALETTE = "PaletteColorLookupTable"
_OF_LOSSLESS_VALUES = ("SmallestImagePixelValue", "LargestImagePixelValue")
_SIGNATURES = ("MACParametersSequence", "DigitalSignaturesSequence")


@dataclass(frozen=True)
class CodedImage:
    """What the coded frames say of themselves."""

    frames: int
    rows: int
    columns: int
    samples: int  # per pixel
    photometric: str
    allocated: int  # bits
    stored: int
    high: int
    signed: bool
    planar: bool  # Planar Configuration 1


@dataclass(frozen=True)
class FrameHeaderRequest:
    """All that such a header depends on."""

    source: Dataset | None  # header of a DICOM source, without pixel data; None for plain video
    supplied: Dataset | None  # patient and study data of plain video; None for a DICOM source
    description: Description  # of the source
    plan: Plan
    image: CodedImage
    coded_bytes: int  # of all frames
    sop_instance_uid: str
    rules: Identifiers | None = None  # of the site, for identifiers; applied as of the plan's moment

    @property
    def syntax(self) -> FrameSyntax:
        """The transfer syntax to write."""
        return frame_syntax(self.plan.transfer_syntax_uid)

    @property
    def same_instance(self) -> bool:
        """The order gave the source's own UID: nothing was lost, so nothing is derived."""
        dicom = self.description.dicom
        return dicom is not None and dicom.sop_instance_uid == self.sop_instance_uid


def build_frame_header(request: FrameHeaderRequest) -> Dataset:
    """The data set of the new instance without its pixel data; the request's own data sets are not touched.

    Raises:
        MissingMetadata: plain video without patient and study data.
        NoLegalPath: no frames are written under the plan's syntax.
        UnreadableSource: a value of the source's header that had to be read is broken.
    """
    with values_of(request.source):
        return _built(request)


def _built(request: FrameHeaderRequest) -> Dataset:
    header = kept_values(request.source, request.supplied)
    coerce_as_planned(header, request.rules, request.plan)
    before = str(header.get("PhotometricInterpretation") or "")
    _describe_image(header, request.image)
    if request.same_instance:
        return header
    if before == "PALETTE COLOR" != request.image.photometric:
        _drop_palette(header)
    for keyword in (*_SIGNATURES, *(() if request.syntax.lossless else _OF_LOSSLESS_VALUES)):
        if keyword in header:
            delattr(header, keyword)
    _record_compression(header, request)
    _record_derivation(header, request, before)
    header.SOPClassUID = request.plan.sop_class_uid
    header.SOPInstanceUID = request.sop_instance_uid
    if request.description.kind is not Kind.DICOM_FRAMES:
        write_timing(header, request.description.video.frame_rate, None)
    if request.source is None:
        complete(header, video_class(request.plan.sop_class_uid), converted=False)
    return header


def _describe_image(header: Dataset, image: CodedImage) -> None:
    """The Image Pixel module (PS3.3 C.7.6.3) as PS3.5 8.2.1–8.2.4 tie it to the coding; what is right already is not touched."""
    values: dict[str, object] = {
        "SamplesPerPixel": image.samples,
        "PhotometricInterpretation": image.photometric,
        "Rows": image.rows,
        "Columns": image.columns,
        "NumberOfFrames": image.frames,
        "BitsAllocated": image.allocated,
        "BitsStored": image.stored,
        "HighBit": image.high,
        "PixelRepresentation": int(image.signed),
    }
    if image.samples == 3:
        values["PlanarConfiguration"] = int(image.planar)
    for keyword, value in values.items():
        if keyword not in header or header.get(keyword) != value:
            setattr(header, keyword, value)


def _drop_palette(header: Dataset) -> None:
    """The colours are in the pixels now (PS3.3 C.7.9)."""
    for keyword in header.dir(PALETTE):
        delattr(header, keyword)


def _record_compression(header: Dataset, request: FrameHeaderRequest) -> None:
    """The lossy steps of the source, then ours when there was one (PS3.3 C.7.6.1.1.5): once lossy, always lossy."""
    if step := source_step(request.description):
        record_proven_step(header, step)
    if not request.syntax.lossless:
        ours = _our_step(request)
        append_step(header, ours.ratio, ours.method)


def _our_step(request: FrameHeaderRequest) -> LossyStep:
    return LossyStep.of(raw_bytes(request.description), request.coded_bytes, request.syntax.method)


def _record_derivation(header: Dataset, request: FrameHeaderRequest, before: str) -> None:
    """Where the instance comes from, and what was done: see common.dicom.derivation for the clauses."""
    recipe, image = request.plan.frame_recipe, request.image
    if recipe is None:
        raise InternalFault("frames were planned without a recipe")
    done = [f"Coded frame by frame as {recipe.words}"]
    if not request.syntax.lossless:
        done = [f"Lossy compression to {recipe.words}, ratio {_our_step(request).ratio:.1f}:1"]
    if before and before != image.photometric:
        done.append(f"{before} converted to {image.photometric}")
    elif request.description.kind is not Kind.DICOM_FRAMES:
        done.append("decoded video converted to RGB")
    derivation.set_image_type(header, encoded=True)
    if source := request.description.dicom:
        lossy = source.lossy or certain_lossy_method(source.transfer_syntax_uid) is not None
        derivation.reference_source(header, source, lossy=lossy)
    derivation.describe_derivation(header, "; ".join(done))
    if not request.syntax.lossless:
        derivation.code_derivation(header, resampled=False)
    derivation.add_equipment(header, "; ".join(done))
