"""A worklist in Orthanc's plugin: scheduled procedure steps as files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from support.orthanc import serve

PLUGIN = Path("/usr/share/orthanc/plugins/libModalityWorklists.so")
"""Debian's orthanc installs it there."""


@dataclass
class Schedule:
    """A worklist server and its entries."""

    folder: Path
    port: int

    @property
    def uri(self) -> str:
        return f"dicom://ORTHANC@127.0.0.1:{self.port}"

    def add(self, accession: str, *, step: str = "S1", modality: str = "ES", **values: object) -> None:
        """One scheduled procedure step."""
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.276.0.7230010.3.1.0.1", generate_uid()
        entry = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        entry.SpecificCharacterSet = "ISO_IR 100"
        entry.PatientName, entry.PatientID, entry.IssuerOfPatientID = "Müller^Jörg", "P-7", "HIS"
        entry.PatientBirthDate, entry.PatientSex = "19700131", "M"
        entry.AccessionNumber, entry.ReferringPhysicianName = accession, "House^G"
        entry.StudyInstanceUID = f"1.2.826.0.1.{accession.strip('A')}"
        entry.RequestedProcedureID, entry.RequestedProcedureDescription = "RP1", "Koloskopie"
        scheduled = Dataset()
        scheduled.Modality, scheduled.ScheduledStationAETitle = modality, "SCOPE"
        scheduled.ScheduledProcedureStepStartDate, scheduled.ScheduledProcedureStepStartTime = "20261120", "101500"
        scheduled.ScheduledProcedureStepID = step
        entry.ScheduledProcedureStepSequence = [scheduled]
        for keyword, value in values.items():
            setattr(entry, keyword, value)
        entry.save_as(self.folder / f"{accession}-{step}.wl", enforce_file_format=True)


@contextmanager
def worklist(folder: Path, dicom_port: int, http_port: int) -> Iterator[Schedule]:
    """A server with no entries yet; files that come later are found too."""
    entries = folder / "worklist"
    entries.mkdir()
    options = {"Plugins": [str(PLUGIN)], "Worklists": {"Enable": True, "Database": str(entries)}}
    with serve(folder, dicom_port, http_port, DicomAlwaysAllowFindWorklist=True, **options):
        yield Schedule(entries, dicom_port)
