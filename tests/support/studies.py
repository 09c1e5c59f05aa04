"""Small studies for archives: ultrasound loops of a few tiny frames, stills and a report, each with a day and an hour."""

from __future__ import annotations

import io
from datetime import date, timedelta

from pydicom.dataset import Dataset, FileMetaDataset
from support.image_files import NATIVE, head, pixels

ROOT = "1.2.826.0.1.3680043.10.954.5"
STILL = "1.2.840.10008.5.1.4.1.1.6.1"
REPORT = "1.2.840.10008.5.1.4.1.1.88.11"


def study_uid(number: int) -> str:
    return f"{ROOT}.{number}"


def instance(study: int, number: int = 1, *, series: int = 1, **changes: object) -> Dataset:
    """An ultrasound loop of three frames; study ``n`` took place on the n-th of January 2019."""
    uid = study_uid(study)
    day = date(2019, 1, 1) + timedelta(days=study)
    attributes: dict[str, object] = {
        "SOPInstanceUID": f"{uid}.{series}.{number}",
        "StudyInstanceUID": uid,
        "SeriesInstanceUID": f"{uid}.{series}",
        "PatientID": f"P-{study}",
        "PatientName": f"Doe^{study}",
        "StudyDate": f"{day:%Y%m%d}",
        "StudyTime": f"{8 + study % 10:02}{number:02}00",
        "InstanceNumber": number,
        "SeriesNumber": series,
        "AccessionNumber": f"A-{study}",
        "StudyID": "1",
    }
    return head(**(attributes | changes))


def loop(study: int, number: int = 1, **changes: object) -> bytes:
    """A DICOM file of three uncompressed frames that differ from those of every other loop."""
    made = instance(study, number, **changes)
    frames = pixels() + (study * 7 + number * 13) % 50
    made.PixelData = frames.tobytes()
    return as_file(made)


def still(study: int, number: int) -> bytes:
    """One frame in the class of ultrasound stills."""
    made = instance(
        study, number, series=2, SOPClassUID=STILL, NumberOfFrames=None, FrameTime=None, FrameIncrementPointer=None
    )
    made.PixelData = pixels()[0].tobytes()
    return as_file(made)


def report(study: int) -> bytes:
    """A structured report: nothing to see."""
    made = Dataset()
    for element in instance(study, 1, series=3, SOPClassUID=REPORT, Modality="SR"):
        if element.tag.group in (0x0008, 0x0010, 0x0020):
            made.add(element)
    return as_file(made)


def as_file(made: Dataset, syntax: str = NATIVE) -> bytes:
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    stream = io.BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
