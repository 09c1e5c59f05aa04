"""Instances as workers leave them for viewers: in the store with their companion, and in the ledger's list of what lies there."""

from __future__ import annotations

from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pydicom
from dicomweb_client.api import DICOMwebClient
from pydicom.dataset import Dataset
from support.desk import ffmpeg
from support.web_server import Served

from common.dicom.encapsulation import write_instance
from common.orders import TranscodeDone, Verdict
from common.store import ObjectStore
from orchestrator import viewable
from workers.instance_writer import instance_writer

H264, H264_MANY, MPEG2, HEVC = (f"1.2.840.10008.1.2.4.{number}" for number in ("102", "102.1", "100", "107"))
ENDOSCOPIC = "1.2.840.10008.5.1.4.1.1.77.1.1.1"
SCENE = ("-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=2")
TAGGED = ("-pix_fmt", "yuv420p", "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709")


@cache
def clip(*options: str, suffix: str = ".mp4") -> bytes:
    """Two seconds of a test picture, 50 frames of 320×240; made once."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"clip{suffix}"
        ffmpeg(*SCENE, *TAGGED, *(options or ("-c:v", "libx264", "-g", "10", "-movflags", "+faststart")), str(path))
        return path.read_bytes()


def header(study: str = "1.2.3", series: str = "1.2.3.1", instance: str = "1.2.3.1.1", **values: object) -> Dataset:
    """A header of endoscopic video."""
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    made.SOPClassUID, made.SOPInstanceUID = ENDOSCOPIC, instance
    made.StudyInstanceUID, made.SeriesInstanceUID = study, series
    made.PatientName, made.PatientID, made.Modality = "Müller^Änne", "P-1", "ES"
    made.StudyDate, made.StudyTime, made.AccessionNumber = "20240229", "101500", "A-1"
    made.Rows, made.Columns, made.NumberOfFrames = 240, 320, 50
    made.SamplesPerPixel, made.BitsAllocated, made.BitsStored, made.HighBit = 3, 8, 8, 7
    made.PhotometricInterpretation, made.PixelRepresentation, made.PlanarConfiguration = "YBR_PARTIAL_420", 0, 0
    for name, value in values.items():
        setattr(made, name, value)
    return made


def video(stream: bytes, syntax: str = H264, *, fragment_bytes: int = 1 << 20, **values: str) -> bytes:
    """A DICOM file that holds a stream."""
    out = BytesIO()
    write_instance(out, header(**values), syntax, [stream], len(stream), fragment_bytes=fragment_bytes)
    return out.getvalue()


def keep(served: Served, data: bytes, key: str = "", *, item: str = "i1") -> str:
    """Put a DICOM file where a worker would; its key in the store."""
    made = pydicom.dcmread(BytesIO(data), stop_before_pixels=True)
    key = key or f"results/aa/{made.SOPInstanceUID}/x/instance.dcm"
    keep_in(served.farm.store, data, key)
    done = TranscodeDone(
        instance_key=key,
        instance_digest="d",
        instance_bytes=len(data),
        study_uid=made.StudyInstanceUID,
        series_uid=made.SeriesInstanceUID,
        sop_instance_uid=made.SOPInstanceUID,
        sop_class_uid=made.SOPClassUID,
        transfer_syntax_uid=made.file_meta.TransferSyntaxUID,
        verdict=Verdict(passed=True, misses=()),
    )
    with served.farm.ledger.begin() as session:
        session.info["viewable"] = viewable.rows_of(item, done)
        viewable.write(session)
    return key


def keep_in(store: ObjectStore, data: bytes, key: str) -> None:
    """As workers write."""
    with instance_writer(store, key) as writer:
        writer.write(data)


def client_of(served: Served) -> DICOMwebClient:
    """A client that knows the service."""
    return DICOMwebClient(url=f"{served.url}/dicomweb")


def at(study: str = "1.2.3", series: str = "1.2.3.1", instance: str = "1.2.3.1.1") -> str:
    """Path of an instance."""
    return f"/dicomweb/studies/{study}/series/{series}/instances/{instance}"
