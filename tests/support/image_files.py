"""DICOM files of a few small frames in still-image syntaxes, written by pydicom and the codecs behind it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.uid import UID, generate_uid

ROOT = "1.2.840.10008.1.2.4"
RLE = "1.2.840.10008.1.2.5"
NATIVE = "1.2.840.10008.1.2.1"
ULTRASOUND = "1.2.840.10008.5.1.4.1.1.3.1"
FRAMES, ROWS, COLUMNS = 3, 48, 64


def pixels(samples: int = 3) -> np.ndarray:
    """Moving gradients, unsigned 8 bits."""
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    planes = [np.stack([rows * 4 + n * 9, columns * 3, rows + columns], axis=-1) for n in range(FRAMES)]
    frames = np.stack(planes).astype(np.uint8)
    return frames if samples == 3 else frames[..., 0]


def head(samples: int = 3, **changes: object) -> Dataset:
    """A header that fits; ``None`` takes an attribute away."""
    attributes: dict[str, object] = {
        "SOPClassUID": ULTRASOUND,
        "SOPInstanceUID": "1.2.3.4",
        "StudyInstanceUID": "1.2.3.5",
        "SeriesInstanceUID": "1.2.3.6",
        "Modality": "US",
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "NumberOfFrames": FRAMES,
        "FrameTime": "40",
        "FrameIncrementPointer": 0x00181063,
        "Rows": ROWS,
        "Columns": COLUMNS,
        "SamplesPerPixel": samples,
        "PhotometricInterpretation": "RGB" if samples == 3 else "MONOCHROME2",
        "PlanarConfiguration": 0 if samples == 3 else None,
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
        "PixelRepresentation": 0,
    }
    dataset = Dataset()
    for keyword, value in (attributes | changes).items():
        if value is not None:
            setattr(dataset, keyword, value)
    return dataset


def jpeg_frames(size: tuple[int, int] = (COLUMNS, ROWS)) -> list[bytes]:
    """Each frame as a JPEG Baseline image in YCbCr 4:2:2."""
    found = []
    for frame in pixels():
        out = io.BytesIO()
        Image.fromarray(frame).resize(size).save(out, "JPEG", subsampling=1)
        found.append(out.getvalue())
    return found


def coded(syntax: str, samples: int = 3) -> list[bytes]:
    """The frames as pydicom's encoder for this syntax makes them."""
    from pydicom.pixels.encoders.base import get_encoder

    photometric = ("YBR_RCT" if syntax.endswith(".90") else "RGB") if samples == 3 else "MONOCHROME2"
    options = {
        "rows": ROWS,
        "columns": COLUMNS,
        "samples_per_pixel": samples,
        "bits_allocated": 8,
        "bits_stored": 8,
        "pixel_representation": 0,
        "photometric_interpretation": photometric,
        "number_of_frames": FRAMES,
        "planar_configuration": 0,
    }
    return list(get_encoder(UID(syntax)).iter_encode(pixels(samples), **options))


def write(
    path: Path, syntax: str, dataset: Dataset, frames: list[bytes], *, extended: bool = False, parts: int = 1
) -> Path:
    """A file around the frames, with a Basic Offset Table or an extended one; ``parts``: fragments a frame."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.ImplementationClassUID = generate_uid(entropy_srcs=["tests"])
    if syntax == NATIVE:
        dataset.PixelData = b"".join(frames)
    elif extended:
        dataset.PixelData, offsets, lengths = encapsulate_extended(frames)
        dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths = offsets, lengths
    else:
        dataset.PixelData = encapsulate(frames, fragments_per_frame=parts, has_bot=True)
    dataset["PixelData"].VR = "OB"
    dataset.save_as(path, enforce_file_format=True)
    return path
