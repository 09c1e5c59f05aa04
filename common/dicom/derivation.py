"""Where an instance comes from (PS3.3 C.7.6.1, C.12.4, C.12.1): Image Type, source, derivation and contributing equipment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common import __version__
from common.dicom.values import texts
from common.media import DicomFacts

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

LOSSY_COMPRESSION = ("113040", "Lossy Compression")
SPATIAL_RESAMPLING = ("113085", "Spatial resampling")
"""CID 7203 Image Derivation."""

LOSSY_PREDECESSOR = ("121330", "Lossy compressed predecessor")
UNCOMPRESSED_PREDECESSOR = ("121320", "Uncompressed predecessor")
"""CID 7202 Source Image Purpose of Reference."""

MODIFYING_EQUIPMENT = ("109103", "Modifying Equipment")
"""CID 7005 Contributing Equipment Purpose of Reference."""

MAX_SHORT_TEXT = 1024
"""Characters of an ST value (PS3.5 6.2)."""


def set_image_type(header: Dataset, *, encoded: bool) -> None:
    """Image Type, value 1 (PS3.3 C.7.6.1.1.2 and C.7.6.1.1.5): DERIVED for a compressed version of another image.

    A camera file that is only rewrapped is "originally obtained as a lossy compressed image from the sensor": ORIGINAL. A
    camera file that is encoded again is a compressed version of it: DERIVED, though the predecessor was no DICOM image. A
    rewrapped DICOM stream keeps its value, since no pixel changed. Value 2 is PRIMARY unless given; values 3 and 4 stay
    (ultrasound names examination and modes there, C.8.5.6.1.1).
    """
    present = texts(header, "ImageType")
    first, second = (*present, "", "")[:2]
    values = ["DERIVED" if encoded else first or "ORIGINAL", second or "PRIMARY", *present[2:]]
    if values != present:
        header.ImageType = values


def reference_source(header: Dataset, source: DicomFacts, *, lossy: bool) -> None:
    """Append the source to Source Image Sequence (PS3.3 C.12.4.1.2): items are the steps of a successive derivation."""
    from pydicom.dataset import Dataset

    item = Dataset()
    item.ReferencedSOPClassUID = source.sop_class_uid
    item.ReferencedSOPInstanceUID = source.sop_instance_uid
    item.PurposeOfReferenceCodeSequence = [code(*(LOSSY_PREDECESSOR if lossy else UNCOMPRESSED_PREDECESSOR))]
    append_item(header, "SourceImageSequence", item)


def describe_derivation(header: Dataset, text: str) -> None:
    """Append to Derivation Description (PS3.3 C.12.4.1.1). What was there stays whole; ours is cut where 1024 characters end."""
    before = str(header.get("DerivationDescription") or "")
    if len(before) < MAX_SHORT_TEXT:
        header.DerivationDescription = (f"{before}; {text}" if before else text)[:MAX_SHORT_TEXT]


def code_derivation(header: Dataset, *, resampled: bool) -> None:
    """Append the steps to Derivation Code Sequence, in the order they were done (PS3.3 C.12.4.1.1, CID 7203)."""
    if resampled:
        append_item(header, "DerivationCodeSequence", code(*SPATIAL_RESAMPLING))
    append_item(header, "DerivationCodeSequence", code(*LOSSY_COMPRESSION))


def add_equipment(header: Dataset, contribution: str) -> None:
    """Append Cinefarm to Contributing Equipment Sequence (PS3.3 C.12.1.1.5).

    Contribution DateTime (Type 3) is left out: the same order must give the same bytes on any day.
    """
    from pydicom.dataset import Dataset

    item = Dataset()
    item.Manufacturer = "Cinefarm"
    item.ManufacturerModelName = "Cinefarm"
    item.SoftwareVersions = __version__
    item.ContributionDescription = contribution[:MAX_SHORT_TEXT]
    item.PurposeOfReferenceCodeSequence = [code(*MODIFYING_EQUIPMENT)]
    append_item(header, "ContributingEquipmentSequence", item)


def code(value: str, meaning: str, scheme: str = "DCM") -> Dataset:
    """One coded concept (PS3.3 Table 8.8-1)."""
    from pydicom.dataset import Dataset

    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def append_item(header: Dataset, keyword: str, item: Dataset) -> None:
    """Append one item to a sequence, which may be absent or empty."""
    setattr(header, keyword, [*(header.get(keyword) or []), item])
