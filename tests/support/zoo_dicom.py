"""The DICOM part of the zoo: loops and streams as pydicom makes them, of every kind that is migrated or refused."""

from __future__ import annotations

import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate, itemize_fragment
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, generate_uid
from support.zoo import CONSTANT, FRAMES, QUARTERS, RGB, SIZE, X264, Source, clip, scene

ULTRASOUND = "1.2.840.10008.5.1.4.1.1.3.1"
ENHANCED_XA = "1.2.840.10008.5.1.4.1.1.12.1.1"
ENHANCED_US_VOLUME = "1.2.840.10008.5.1.4.1.1.6.2"
ENDOSCOPIC = "1.2.840.10008.5.1.4.1.1.77.1.1.1"
ROOT = "1.2.840.10008.1.2.4"

GREYS = (30, 100, 170, 240)
"""What a display shows of the four quarters of a grey loop, 0 to 255."""


def greys(*levels: int) -> tuple[RGB, RGB, RGB, RGB]:
    """Four grey quarters."""
    first, second, third, fourth = ((level,) * 3 for level in levels)
    return first, second, third, fourth  # type: ignore[return-value]


def loop(sop_class: str = ULTRASOUND, syntax: str = str(ExplicitVRLittleEndian), **values: object) -> FileDataset:
    """A header without pixels, of a class and a transfer syntax."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = syntax, sop_class  # type: ignore[assignment]
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["zoo", sop_class, repr(sorted(values))])
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    made.StudyInstanceUID, made.SeriesInstanceUID = "2.25.1", "2.25.2"
    made.PatientName, made.PatientID, made.Modality = "Doe^Jane", "P-1", "US"
    made.Columns, made.Rows = SIZE
    made.NumberOfFrames, made.FrameTime = FRAMES, "40"
    made.FrameIncrementPointer = 0x00181063
    made.SamplesPerPixel, made.PixelRepresentation = 1, 0
    made.BitsAllocated, made.BitsStored, made.HighBit = 8, 8, 7
    made.PhotometricInterpretation = "MONOCHROME2"
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def saved(made: FileDataset, pixels: bytes, path: Path) -> None:
    """Write it."""
    made.PixelData = pixels
    made["PixelData"].VR = "OB" if made.BitsAllocated == 8 else "OW"
    if not made.file_meta.TransferSyntaxUID.is_compressed:
        made.PixelData += b"\0" * (len(pixels) % 2)
    made.save_as(path, enforce_file_format=True)


def quarters(levels: tuple[int, ...], kind: type[np.generic] = np.uint8) -> bytes:
    """The loop with a sample value in each quarter."""
    width, height = SIZE
    picture = np.empty((FRAMES, height, width), kind)
    for index, level in enumerate(levels):
        rows = slice(0, height // 2) if index < 2 else slice(height // 2, height)
        picture[:, rows, slice(0, width // 2) if index % 2 == 0 else slice(width // 2, width)] = level
    return picture.tobytes()


def native(levels: tuple[int, ...], **values: object) -> Callable[[Path], None]:
    """A maker of a loop of one sample a pixel."""
    deep = values.get("BitsAllocated") == 16

    def make(path: Path) -> None:
        saved(loop(**values), quarters(levels, np.uint16 if deep else np.uint8), path)  # type: ignore[arg-type]

    return make


def palette(path: Path) -> None:
    """Colours by a palette of 16-bit entries."""
    made = loop(PhotometricInterpretation="PALETTE COLOR")
    for place, name in enumerate(("Red", "Green", "Blue")):
        entries = [colour[place] * 257 for colour in QUARTERS]
        setattr(made, f"{name}PaletteColorLookupTableDescriptor", [4, 0, 16])
        setattr(made, f"{name}PaletteColorLookupTableData", struct.pack("<4H", *entries))
    saved(made, quarters((0, 1, 2, 3)), path)


def planes(path: Path) -> None:
    """RGB, colour by plane."""
    made = loop(SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=1)
    saved(made, scene().transpose(0, 3, 1, 2).tobytes(), path)


def jpeg_frames(path: Path) -> None:
    """JPEG Baseline, each frame split over three fragments, with a Basic Offset Table."""
    frames = []
    for picture in scene():
        data = BytesIO()
        Image.fromarray(picture).save(data, "JPEG", quality=95, subsampling=0)
        frames.append(data.getvalue() + b"\0" * (data.tell() % 2))
    made = loop(
        syntax=str(JPEGBaseline8Bit),
        SamplesPerPixel=3,
        PhotometricInterpretation="YBR_FULL_422",
        PlanarConfiguration=0,
        LossyImageCompression="01",
        LossyImageCompressionMethod="ISO_10918_1",
        LossyImageCompressionRatio="10",
    )
    saved(made, encapsulate(frames, fragments_per_frame=3, has_bot=True), path)


def enhanced_xa(path: Path) -> None:
    """Sixteen bits, a window in the shared groups, and in each frame's own when it was taken."""
    made = loop(ENHANCED_XA, BitsAllocated=16, BitsStored=12, HighBit=11, Modality="XA")
    shared, window, measures = Dataset(), Dataset(), Dataset()
    window.WindowCenter, window.WindowWidth, window.VOILUTFunction = "2048", "4096", "LINEAR_EXACT"
    measures.PixelSpacing = [0.2, 0.2]
    shared.FrameVOILUTSequence, shared.PixelMeasuresSequence = [window], [measures]
    made.SharedFunctionalGroupsSequence, made.PerFrameFunctionalGroupsSequence = [shared], []
    for number in range(FRAMES):
        content, group = Dataset(), Dataset()
        content.FrameAcquisitionNumber, content.FrameReferenceDateTime = number + 1, f"20240101120000.{number:06d}"
        group.FrameContentSequence = [content]
        made.PerFrameFunctionalGroupsSequence.append(group)
    saved(made, quarters(tuple(level * 4096 // 255 for level in GREYS), np.uint16), path)


def stream_in(syntax: str, cuts: int, *codec: str, suffix: str) -> Callable[[Path], None]:
    """A maker of DICOM video whose stream an old writer split over so many fragments, whatever its syntax says."""

    def make(path: Path) -> None:
        media = path.with_suffix(suffix)
        clip(*codec, filters="")(media)
        stream = media.read_bytes()
        media.unlink()
        made = loop(ENDOSCOPIC, f"{ROOT}{syntax}", SamplesPerPixel=3, Modality="ES", LossyImageCompression="01")
        made.PhotometricInterpretation, made.PlanarConfiguration = "YBR_PARTIAL_420", 0
        step = len(stream) // cuts // 2 * 2
        parts = [stream[at : at + step] for at in range(0, step * (cuts - 1), step)] + [stream[step * (cuts - 1) :]]
        parts = [part + b"\0" * (len(part) % 2) for part in parts]
        saved(made, itemize_fragment(b"") + b"".join(map(itemize_fragment, parts)), path)

    return make


def timed(path: Path) -> None:
    """RGB frames with times of their own."""
    made = loop(SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0)
    del made.FrameTime
    made.FrameTimeVector, made.FrameIncrementPointer = [0, 40, 40, 80, 40, 120, 40, 40], 0x00181065
    saved(made, scene().tobytes(), path)


LOOPS = (
    Source("us-palette", ".dcm", palette, marks=None),
    Source("us-planes", ".dcm", planes),
    Source("us-grey", ".dcm", native(GREYS), marks=None, quarters=greys(*GREYS)),
    Source(
        "us-monochrome1", ".dcm", native(GREYS, PhotometricInterpretation="MONOCHROME1"),
        marks=None, quarters=greys(*(255 - level for level in GREYS)),
    ),
    Source(
        "us-16-bit", ".dcm",
        native(tuple(level * 65535 // 255 for level in GREYS), BitsAllocated=16, BitsStored=16, HighBit=15),
        marks=None, quarters=greys(*GREYS),
    ),
    Source(
        "us-16-bit-window", ".dcm",
        native(
            tuple(1000 + level * 4 for level in GREYS), BitsAllocated=16, BitsStored=16, HighBit=15,
            WindowCenter="1510", WindowWidth="1020", VOILUTFunction="LINEAR_EXACT",
        ),
        marks=None, quarters=greys(*GREYS),
    ),
    Source("jpeg-many-fragments", ".dcm", jpeg_frames),
    Source("vector", ".dcm", timed),
    Source("vector-made-constant", ".dcm", timed, CONSTANT, frames=11, marks=(0, 1, 2, 2, 3, 4, 4, 4, 5, 6, 7)),
    Source("enhanced-xa", ".dcm", enhanced_xa, marks=None, quarters=greys(*GREYS)),
    Source("h264-many-fragments", ".dcm", stream_in(".102", 3, *X264, "-bf", "0", suffix=".mp4")),
    Source("mpeg2-many-fragments", ".dcm", stream_in(".100", 2, "-c:v", "mpeg2video", "-q:v", "2", suffix=".mpg")),
)  # fmt: skip


def us_volume(path: Path) -> None:
    """Enhanced US Volume: its frames are slices of a space, not moments."""
    saved(loop(ENHANCED_US_VOLUME), quarters(GREYS), path)
