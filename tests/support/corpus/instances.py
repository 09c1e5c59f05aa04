"""DICOM files around clips, written by pydicom and by hand: nothing of the code that is judged has a part in them."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from io import BytesIO

from pydicom import dcmwrite
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import generate_uid
from support.corpus.streams import Edit, Stream

ROOT = "1.2.840.10008.1.2.4"
ENDOSCOPIC = "1.2.840.10008.5.1.4.1.1.77.1.1.1"
METHODS = {"100": "ISO_13818_2", "101": "ISO_13818_2", "107": "ISO_23008_2", "108": "ISO_23008_2"}
FRAME_TIME, FRAME_TIME_VECTOR = 0x00181063, 0x00181065
ITEM, DELIMITER = 0xFFFEE000, 0xFFFEE0DD

Mutation = Callable[[Dataset], None]


@dataclass(frozen=True)
class PixelData:
    """How the stream lies in Pixel Data, and what (7FE0,0003) says of it."""

    fragments: int = 1
    offsets: tuple[int, ...] = ()  # Basic Offset Table
    vr: bytes = b"OB"
    padded: bool = True
    pad: bytes = b"\0"
    native: bool = False
    total_off: int | None = 0  # bytes added to the true length; None: the attribute is absent
    delimiter: bool = True
    extra: bytes = b""  # behind the stream, not counted in its length

    def element(self, stream: bytes) -> bytes:
        """The element (7FE0,0010)."""
        stream += self.extra
        if self.native:
            stream += b"\0" * (len(stream) % 2)
            return struct.pack("<HH2sHI", 0x7FE0, 0x0010, self.vr, 0, len(stream)) + stream
        head = struct.pack("<HH2sHI", 0x7FE0, 0x0010, self.vr, 0, 0xFFFFFFFF)
        table = _item(struct.pack(f"<{len(self.offsets)}I", *self.offsets))
        tail = _tag(DELIMITER) + bytes(4) if self.delimiter else b""
        return head + table + b"".join(map(_item, self._parts(stream))) + tail

    def _parts(self, stream: bytes) -> list[bytes]:
        if not self.fragments:
            return []
        step = len(stream) // self.fragments // 2 * 2
        parts = [stream[n * step : (n + 1) * step] for n in range(self.fragments - 1)]
        last = stream[(self.fragments - 1) * step :]
        if not self.padded:
            last = last if len(last) % 2 else last + b"\0"
        elif len(last) % 2:
            last += self.pad
        return [*parts, last]


@dataclass(frozen=True)
class Instance:
    """One DICOM video: a clip, the syntax it is labelled with, and what differs from a right header.

    ``changes``: keyword → value, None: absent. ``meta``: the same for the file meta information.
    """

    stream: Stream
    syntax: str
    changes: Mapping[str, object] = field(default_factory=dict)
    meta: Mapping[str, object] = field(default_factory=dict)
    pixels: PixelData = field(default_factory=PixelData)
    edit: Edit | None = None  # of the whole file

    def build(self, payload: bytes) -> bytes:
        """The whole file."""
        dataset = header(self.stream, self.syntax, len(payload))
        if self.pixels.total_off is not None:
            dataset.EncapsulatedPixelDataValueTotalLength = len(payload) + self.pixels.total_off
        dataset.file_meta, dataset.preamble = file_meta(dataset, self.syntax), b"\0" * 128
        with disable_value_validation(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's words on values that are meant to be illegal
            _change(dataset, self.changes)
            _change(dataset.file_meta, self.meta)
            out = BytesIO()
            dcmwrite(out, dataset, implicit_vr=False, little_endian=True, enforce_file_format=False)
        data = out.getvalue() + self.pixels.element(payload)
        return self.edit(data) if self.edit else data


def header(stream: Stream, syntax: str, length: int) -> Dataset:
    """A right header for the clip: Video Endoscopic Image with all that its modules demand. ``length``: bytes of the stream."""
    columns, rows = stream.size
    ten, rate = syntax == "108", Fraction(stream.rate)
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.SOPClassUID, dataset.SOPInstanceUID = ENDOSCOPIC, generate_uid(entropy_srcs=[repr(stream), syntax])
    dataset.StudyDate = dataset.ContentDate = "20240229"
    dataset.StudyTime = dataset.ContentTime = "143000"
    dataset.AccessionNumber = dataset.ReferringPhysicianName = dataset.StudyID = ""
    dataset.Modality, dataset.Manufacturer = "ES", "Test"
    dataset.PatientName, dataset.PatientID = "Corpus^Case", "P-1"
    dataset.PatientBirthDate = dataset.PatientSex = ""
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3.5", "1.2.3.6"
    dataset.SeriesNumber, dataset.InstanceNumber = 1, 1
    dataset.PatientOrientation = ""
    dataset.AcquisitionContextSequence = []
    dataset.AnatomicRegionSequence = [_code("69536005", "SCT", "Head")]
    dataset.BurnedInAnnotation = "NO"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "YBR_PARTIAL_420", 0
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = stream.frames, rows, columns
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = (16, 10, 9) if ten else (8, 8, 7)
    dataset.PixelRepresentation = 0
    dataset.FrameIncrementPointer, dataset.FrameTime = FRAME_TIME, f"{float(1000 / rate):.6g}"
    dataset.CineRate = dataset.RecommendedDisplayFrameRate = round(rate)
    dataset.LossyImageCompression = "01"
    raw = columns * rows * stream.frames * 3 // 2
    dataset.LossyImageCompressionRatio = f"{raw / length:.2f}"
    dataset.LossyImageCompressionMethod = METHODS.get(syntax.partition(".")[0], "ISO_14496_10")
    if syntax.startswith(("105", "106")):
        dataset.StereoPairsPresent = "YES"
    return dataset


def file_meta(dataset: Dataset, syntax: str) -> FileMetaDataset:
    """File meta information that agrees with the data set."""
    meta = FileMetaDataset()
    meta.FileMetaInformationGroupLength, meta.FileMetaInformationVersion = 0, b"\0\1"  # pydicom counts it anew
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    meta.TransferSyntaxUID, meta.ImplementationClassUID = f"{ROOT}.{syntax}", "1.2.3.9"
    return meta


def _change(dataset: Dataset, changes: Mapping[str, object]) -> None:
    for keyword, value in changes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _tag(tag: int) -> bytes:
    return struct.pack("<HH", tag >> 16, tag & 0xFFFF)


def _item(value: bytes) -> bytes:
    return _tag(ITEM) + struct.pack("<I", len(value)) + value
