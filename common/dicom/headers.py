"""The DICOM header around a video stream: pure, and the same request always gives the same header.

What the source header or the mapping row says is kept; what described the old pixels goes; what the stream, the IOD and the
standard demand is written. Attributes of a source class whose modules the new class lacks stay, which makes the instance a
Standard Extended SOP Class (PS3.2 3.11.2), except those that the new IOD forbids (image_pixel.OLD_PIXELS).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from common.dicom import derivation
from common.dicom.explicit import explicit_copy
from common.dicom.geometry import Geometry, adapt_coordinates
from common.dicom.identifiers import Identifiers, coerce
from common.dicom.image_pixel import describe_pixels, drop_old_pixels, photometric
from common.dicom.lossy import LossyStep, append_step, raw_bytes, record_proven_step, source_step
from common.dicom.modules import complete
from common.dicom.portions import Portion, cut_values, tell_of_parts
from common.dicom.sop_classes import MULTIFRAME_GRAYSCALE_BYTE_SC, Family, VideoClass, video_class
from common.dicom.timing import read_timing, write_timing
from common.dicom.transfer_syntaxes import VideoSyntax, by_uid, certain_lossy_method
from common.dicom.values import has_value
from common.errors import CinefarmError, InternalFault, MissingMetadata, UnreadableSource
from common.handling import DynamicRange, Interlaced, RatePolicy
from common.media import Description, Kind
from common.orders import Path, Plan

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


@dataclass(frozen=True)
class HeaderRequest:
    """All that a header depends on."""

    source: Dataset | None  # header of a DICOM source, without pixel data; None for plain video
    supplied: Dataset | None  # patient and study data of plain video; None for a DICOM source
    description: Description  # of the source
    output: Description  # of the produced stream
    plan: Plan
    sop_instance_uid: str
    video_bytes: int  # of the produced stream, container and sound included
    vector_ms: tuple[float, ...] | None = None  # increments between the stream's frames, where its rate is not constant
    portion: Portion | None = None  # of a source that becomes several instances: which one this is
    rules: Identifiers | None = None  # of the site, for identifiers; applied as of the plan's moment

    @cached_property
    def target(self) -> VideoClass:
        """The SOP class to write."""
        return video_class(self.plan.sop_class_uid)

    @cached_property
    def syntax(self) -> VideoSyntax:
        """The transfer syntax to write."""
        return by_uid(self.plan.transfer_syntax_uid)

    @property
    def encoded(self) -> bool:
        """True when the pixels went through an encoder on their way here."""
        return self.plan.path is Path.ENCODE

    @cached_property
    def geometry(self) -> Geometry:
        """From the pixel grid that the source header speaks of to the output's; a rewrapped stream keeps its grid."""
        if not self.encoded:
            return Geometry()
        dicom, video, output = self.description.dicom, self.description.video, self.output.video
        before = (dicom.columns or video.width, dicom.rows or video.height) if dicom else (video.width, video.height)
        return Geometry.between(before, (output.width, output.height), video.rotation or int(video.mirrored))

    @property
    def grey(self) -> bool:
        """MONOCHROME2: demanded by Grayscale Byte SC (PS3.3 A.8.3.4), else only where a rewrapped stream is so labelled."""
        if self.plan.sop_class_uid == MULTIFRAME_GRAYSCALE_BYTE_SC:
            return True
        dicom = self.description.dicom
        labelled = dicom is not None and not self.encoded and dicom.photometric == "MONOCHROME2"
        return labelled and "MONOCHROME2" in self.syntax.photometrics


def build_header(request: HeaderRequest) -> Dataset:
    """The data set of the new instance without its pixel data; the request's own data sets are not touched.

    Raises:
        MissingMetadata: plain video without patient and study data.
        NoLegalPath: class or transfer syntax of the plan is none that carries video.
        UnreadableSource: a value of the source's header that had to be read is broken.
        BadIdentifiers: the site's rules give it no legal identifiers.
        InternalFault: KEEP was asked for, which changes no byte and so needs no header.
    """
    if request.plan.path is Path.KEEP:
        raise InternalFault("a source that is kept keeps its header")
    with values_of(request.source):
        return _built(request)


@contextmanager
def values_of(source: Dataset | None) -> Iterator[None]:
    """Work with the values of a source's header, which may be broken; without a source a fault is ours.

    Raises:
        UnreadableSource: one that had to be read is.
    """
    from pydicom.config import disable_value_validation

    try:
        with disable_value_validation():  # pydicom's complaints about a source's values would name them in a log
            yield
    except CinefarmError:
        raise
    except Exception as error:  # pydicom raises what it likes on broken values
        if source is None:
            raise
        raise UnreadableSource("a value of the source's header is not what its type demands") from error


def _built(request: HeaderRequest) -> Dataset:
    header = kept_values(request.source, request.supplied)
    coerce_as_planned(header, request.rules, request.plan)
    lost = drop_old_pixels(header, keep_overlays=request.target.family is Family.ULTRASOUND)
    lost += adapt_coordinates(header, request.geometry)
    if request.plan.handling.rate is RatePolicy.CONSTANT and "PerFrameFunctionalGroupsSequence" in header:
        del header.PerFrameFunctionalGroupsSequence  # one item a frame (C.7.6.16), and there are more frames now
        lost += ("per-frame functional groups",)
    if request.portion is not None:
        cut_values(header, request.portion)
    describe_pixels(header, request.output.video, request.syntax, grey=request.grey)
    _write_timing(header, request)
    _record_compression(header, request)
    _record_derivation(header, request, lost)
    header.SOPClassUID = request.plan.sop_class_uid
    header.SOPInstanceUID = request.sop_instance_uid
    if request.portion is not None:
        tell_of_parts(header, request.portion)
    complete(header, request.target, converted=request.source is not None)
    return header


def kept_values(source: Dataset | None, supplied: Dataset | None) -> Dataset:
    """A copy of the source's header, undecoded, or of the row's data with what follows from it.

    Raises:
        MissingMetadata: there is neither.
    """
    if source is not None:
        return explicit_copy(source)
    if supplied is None:
        raise MissingMetadata("plain video came without patient and study data")
    header = explicit_copy(supplied)
    if not has_value(header, "SpecificCharacterSet"):
        header.SpecificCharacterSet = "ISO_IR 192"
    _fill_content_moment(header)
    return header


def coerce_as_planned(header: Dataset, rules: Identifiers | None, plan: Plan) -> None:
    """Give the header the identifiers that the site's rules make, where the plan asks for it. Raises: see ``coerce``."""
    if rules is not None and plan.coercion is not None:
        coerce(header, rules, plan.coercion.moment)


def _fill_content_moment(header: Dataset) -> None:
    """Content Date and Time of a camera clip are those of its acquisition (PS3.3 C.7.6.1), where the row gives them."""
    moment = str(header.get("AcquisitionDateTime") or "")
    date, time = moment[:8], moment[8:].partition("+")[0].partition("-")[0]
    for keyword, value, full in (("ContentDate", date, 8), ("ContentTime", time, 2)):
        if len(value) >= full and not has_value(header, keyword):
            setattr(header, keyword, value)


def _write_timing(header: Dataset, request: HeaderRequest) -> None:
    """The stream's rate, and a vector where its frames do not last equally long (PS3.3 C.7.6.5, C.7.6.6): the stream's own; of
    a loop the source's, digit by digit.
    """
    video, vector = request.output.video, request.vector_ms
    loop = request.description.kind is Kind.DICOM_FRAMES and request.plan.handling.rate is RatePolicy.KEEP
    if request.source is not None and loop:
        vector = read_timing(request.source, video.frame_count).vector_ms
    write_timing(header, video.frame_rate, vector)


def _record_compression(header: Dataset, request: HeaderRequest) -> None:
    """The lossy steps of the source, then ours when there was one (PS3.3 C.7.6.1.1.5): once lossy, always lossy."""
    if step := source_step(request.description):
        record_proven_step(header, step)
    if request.encoded:
        ours = _our_step(request)
        append_step(header, ours.ratio, ours.method)


def _our_step(request: HeaderRequest) -> LossyStep:
    raw, portion = raw_bytes(request.description), request.portion
    if portion is not None:
        raw = raw * portion.frames // portion.total_frames
    return LossyStep.of(raw, request.video_bytes, request.syntax.method)


def _record_derivation(header: Dataset, request: HeaderRequest, lost: tuple[str, ...]) -> None:
    """Where the instance comes from, and what was done: see common.dicom.derivation for the clauses."""
    derivation.set_image_type(header, encoded=request.encoded)
    if source := request.description.dicom:
        lossy = source.lossy or certain_lossy_method(source.transfer_syntax_uid) is not None
        derivation.reference_source(header, source, lossy=lossy)
    done = _what_was_done(request, lost)
    if request.encoded:
        derivation.describe_derivation(header, done)
        derivation.code_derivation(header, resampled=not request.geometry.same_grid)
    derivation.add_equipment(header, done)


def _what_was_done(request: HeaderRequest, lost: tuple[str, ...]) -> str:
    """One sentence in ASCII: it must fit any character set of the source."""
    if not request.encoded:
        sound = ", sound encoded again" if request.plan.path is Path.REAUDIO else ""
        return f"Video stream taken over bit for bit{sound}; header rewritten"
    recipe, output = request.plan.recipe, request.output.video
    finest, coarsest = request.plan.qualities or ((recipe.crf, recipe.crf) if recipe else (0, 0))
    number = str(finest) if finest == coarsest else f"{finest} to {coarsest}"
    how = f" by {recipe.encoder} crf {number}" if recipe else ""
    parts = [f"Lossy compression to {request.syntax.name}{how}, ratio {_our_step(request).ratio:.1f}:1"]
    parts += _treatment(request)
    before = request.description.dicom.photometric if request.description.dicom else ""
    if before and before != photometric(request.syntax, grey=request.grey):
        parts.append(f"{before} converted to {photometric(request.syntax, grey=request.grey)}")
    if not request.geometry.same_grid:
        parts.append(f"resampled to {output.width} x {output.height}")
    if lost:
        parts.append(f"left out: {', '.join(lost)}")
    return "; ".join(parts)


def _treatment(request: HeaderRequest) -> list[str]:
    """What the policies of the job did to the pictures."""
    handling, rate = request.plan.handling, request.output.video.frame_rate
    done = {
        "deinterlaced": handling.interlaced is Interlaced.DEINTERLACE,
        f"variable frame rate made constant at {float(rate):.6g}/s by repeating frames": handling.rate
        is RatePolicy.CONSTANT,
        "high dynamic range tone-mapped": handling.dynamic_range is DynamicRange.TONE_MAP,
    }
    return [words for words, applies in done.items() if applies]
