"""The Type 1 and Type 2 attributes of the IODs that Cinefarm writes (PS3.3 A.7, A.8.3, A.8.5, A.32.5–A.32.7).

Only gaps are filled; a value that the source or the mapping row gives is never replaced. Type 2 attributes that nobody knows
are empty (PS3.5 7.4.3). Type 1 attributes that nobody knows get the lawful value named beside them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.dicom.derivation import code
from common.dicom.sop_classes import MULTIFRAME_GRAYSCALE_BYTE_SC, Family, VideoClass
from common.dicom.uids import series_uid, study_uid
from common.dicom.values import has_value

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

TYPE_2 = (
    "PatientName",  # Patient (C.7.1.1)
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",  # General Study (C.7.2.1)
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
    "SeriesNumber",  # General Series (C.7.3.1)
    "Manufacturer",  # General Equipment (C.7.5.1)
    "InstanceNumber",  # General Image (C.7.6.1)
    "PatientOrientation",  # Type 2C there: no IOD of ours has Image Orientation (Patient)
)
"""Type 2 attributes of the modules that all six IODs share."""

WHOLE_BODY = ("38266002", "Entire body", "SCT")
"""CID 4 Anatomic Region, its most general code: true of any clip of a patient."""

CAMERA_CONVERSION, WORKSTATION_CONVERSION = "DI", "WSD"
"""Conversion Type (C.8.6.1). A camera clip came in by a digital interface: a file says nothing of an analogue video that was
digitised (DV). A class changed on the way from another DICOM object is a workstation's work."""

BURNED_IN = "YES"
"""Burned In Annotation (C.8.6.3) of pixels nobody has looked at: whoever de-identifies must look, so the cautious value."""

_LATERALITY_KNOWN = (
    "AnatomicRegionSequence",
    "BodyPartExamined",
    "ImageLaterality",
    "SharedFunctionalGroupsSequence",  # enhanced sources have Frame Laterality there
    "Laterality",
)


def complete(header: Dataset, video_class: VideoClass, *, converted: bool) -> None:
    """Add in place what the IOD of ``video_class`` demands and the header lacks; ``converted``: from another DICOM object."""
    _fill(header, "StudyInstanceUID", study_uid(header))
    _fill(header, "SeriesInstanceUID", series_uid(header))
    _complete_modality(header, video_class, converted=converted)
    for keyword in TYPE_2:
        if keyword not in header:
            setattr(header, keyword, None)
    match video_class.family:
        case Family.VISIBLE_LIGHT:
            _complete_visible_light(header)
        case Family.SECONDARY_CAPTURE:
            _complete_secondary_capture(
                header, grey=video_class.uid == MULTIFRAME_GRAYSCALE_BYTE_SC, converted=converted
            )
        case Family.ULTRASOUND:
            pass  # US Image (C.8.5.6) demands nothing beyond Image Pixel, Multi-frame and Image Type
    _complete_laterality(header)


def _complete_modality(header: Dataset, video_class: VideoClass, *, converted: bool) -> None:
    """The VL video IODs allow one Modality each (A.32.5.3.1, A.32.6.3.1, A.32.7.3.1): a row's SM or DMS becomes GM or XC.

    Modality belongs to the Series (C.7.3.1): that of a DICOM source is shared with its other instances and stays.
    """
    if video_class.family is Family.VISIBLE_LIGHT and not converted:
        header.Modality = video_class.modality
    _fill(header, "Modality", video_class.modality)


def _complete_visible_light(header: Dataset) -> None:
    """Acquisition Context (C.7.6.14), empty when none is known, and the region of VL Image (C.8.12.1).

    Anatomic Region Sequence is Type 1C: required of a multi-frame IOD unless the imaging subject is a specimen. The whole
    body is not paired, so Laterality may not stand beside it (C.7.3.1): what it says goes to Image Laterality.
    """
    if "AcquisitionContextSequence" not in header:
        header.AcquisitionContextSequence = []
    if has_value(header, "AnatomicRegionSequence") or has_value(header, "SpecimenDescriptionSequence"):
        return
    header.AnatomicRegionSequence = [code(*WHOLE_BODY)]
    if side := header.get("Laterality"):
        _fill(header, "ImageLaterality", side)
    if "Laterality" in header:
        del header.Laterality


def _complete_secondary_capture(header: Dataset, *, grey: bool, converted: bool) -> None:
    """SC Equipment (C.8.6.1) and SC Multi-frame Image (C.8.6.3), whose grey scale transformations are all identities."""
    _fill(header, "ConversionType", WORKSTATION_CONVERSION if converted else CAMERA_CONVERSION)
    _fill(header, "BurnedInAnnotation", BURNED_IN)
    if grey:
        header.PresentationLUTShape = "IDENTITY"
        header.RescaleIntercept, header.RescaleSlope, header.RescaleType = "0", "1", "US"


def _complete_laterality(header: Dataset) -> None:
    """Laterality (C.7.3.1) is Type 2C for a paired body part: empty where nothing says which body part was examined."""
    if not any(has_value(header, keyword) for keyword in _LATERALITY_KNOWN) and "Laterality" not in header:
        header.Laterality = None


def _fill(header: Dataset, keyword: str, value: str) -> None:
    if not has_value(header, keyword):
        setattr(header, keyword, value)
