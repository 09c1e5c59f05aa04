"""Multi-frame objects with whole headers, of every kind of pixel that frame-based targets must carry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

ULTRASOUND = "1.2.840.10008.5.1.4.1.1.3.1"
Pixels = NDArray[Any]


def picture(frames: int = 3, rows: int = 48, columns: int = 64) -> Pixels:
    """Frames of 0 to 1 that differ: a ramp, an edge, a little noise."""
    y, x = np.mgrid[0:rows, 0:columns]
    noise = np.random.default_rng(7).random((frames, rows, columns)) * 0.05
    first = (x / columns * 0.6 + y / rows * 0.3 + (x > columns // 2) * 0.05)[np.newaxis]
    return np.stack([np.roll(first[0], 3 * n, axis=1) for n in range(frames)]) * 0.95 + noise


def grey(bits: int, *, signed: bool = False, allocated: int = 0, **size: int) -> Pixels:
    """Values of so many bits over their whole range."""
    values = (picture(**size) * (2**bits - 1)).astype(np.int64)
    values[0, 0, :2] = 0, 2**bits - 1
    if signed:
        values -= 2 ** (bits - 1)
    return values.astype(f"{'i' if signed else 'u'}{(allocated or (8 if bits <= 8 else 16)) // 8}")


def colour(bits: int = 8, **size: int) -> Pixels:
    """Three planes that are not alike, by pixel."""
    one = grey(bits, **size)
    return np.stack([one, np.roll(one, 9, axis=2), (2**bits - 1) - one], axis=-1)


def loop(pixels: Pixels, photometric: str, bits: int = 0, **attributes: object) -> Dataset:
    """A native ultrasound loop that dciodvfy finds no error in, around (frames, rows, columns[, 3]) of values."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = ULTRASOUND
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = "2.25.4711"
    made.StudyInstanceUID, made.SeriesInstanceUID, made.Modality = "2.25.1", "2.25.2", "US"
    made.PatientName, made.PatientID, made.PatientBirthDate, made.PatientSex = "Müller^Änne", "P-1", "", "F"
    made.SpecificCharacterSet = "ISO_IR 100"
    made.StudyDate, made.StudyTime, made.StudyID, made.AccessionNumber = "20240102", "101112", "1", "A-1"
    made.ReferringPhysicianName = made.Manufacturer = made.PatientOrientation = ""
    made.SeriesNumber, made.InstanceNumber, made.ImageType = 1, 1, ["ORIGINAL", "PRIMARY", "", "0001"]
    made.ContentDate, made.ContentTime, made.Laterality = "20240102", "101112", ""
    made.FrameTime, made.FrameIncrementPointer = "40", 0x00181063
    made.add_new(0x00090010, "LO", "CINEFARM TEST")
    made.add_new(0x00091001, "OB", bytes(range(16)))
    stored = bits or 8 * pixels.dtype.itemsize
    made.NumberOfFrames, made.Rows, made.Columns = pixels.shape[:3]
    made.SamplesPerPixel = 3 if pixels.ndim == 4 else 1
    made.BitsAllocated, made.BitsStored, made.HighBit = 8 * pixels.dtype.itemsize, stored, stored - 1
    made.PixelRepresentation = int(pixels.dtype.kind == "i")
    made.PhotometricInterpretation = photometric
    if pixels.ndim == 4:
        made.PlanarConfiguration = 0
        made.UltrasoundColorDataPresent = 1
    made.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    made["PixelData"].VR = "OB" if pixels.dtype.itemsize == 1 else "OW"
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def palette(frames: int = 3) -> Dataset:
    """PALETTE COLOR: 8-bit indices, three tables of 256 entries of 16 bits."""
    ramp = np.arange(256, dtype=np.uint16)
    tables = {"Red": ramp * 256, "Green": (255 - ramp) * 257, "Blue": (ramp * 7 % 256) * 257}
    made = loop(grey(8, frames=frames), "PALETTE COLOR")
    for name, table in tables.items():
        setattr(made, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(made, f"{name}PaletteColorLookupTableData", table.astype("<u2").tobytes())
    return made


def with_groups(made: Dataset) -> Dataset:
    """The same with functional groups, one item a frame, as enhanced objects have them."""
    frames = int(made.NumberOfFrames)
    items = []
    for number in range(frames):
        item, content = Dataset(), Dataset()
        content.DimensionIndexValues = [1, number + 1]
        content.FrameAcquisitionDateTime = f"20240102101112.{number:06}"
        item.FrameContentSequence = Sequence([content])
        items.append(item)
    made.PerFrameFunctionalGroupsSequence = Sequence(items)
    return made


def save(made: Dataset, path: Path) -> Path:
    """Write it as it is."""
    made.preamble = bytes(128)
    pydicom.dcmwrite(path, made, enforce_file_format=True)
    return path
