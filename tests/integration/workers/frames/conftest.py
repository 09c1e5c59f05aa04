"""A laboratory: small multi-frame objects of every encoding, and FFmpeg's and pydicom's decoding of them."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian

from common.ffmpeg import ffmpeg_program
from common.media import Description, Kind, VideoStream
from common.process import Limits, run
from workers.sources import MediaInput, open_source

Pixels = NDArray[Any]

LIMITS = Limits(seconds=60, memory_bytes=8 << 30)


@dataclass(frozen=True)
class Lab:
    """Works in one folder."""

    folder: Path
    rows: int = 48
    columns: int = 64
    frames: int = 3
    limits: Limits = LIMITS

    def colours(self, frames: int = 3) -> Pixels:
        """Frames that differ, with gradients and hard edges."""
        y, x = np.mgrid[0 : self.rows, 0 : self.columns]
        first = np.stack([x * 4, y * 5, 255 - x * 2 - y * 2], axis=-1)
        return np.stack([np.roll(first, 5 * n, axis=1) for n in range(frames)]).clip(0, 255).astype(np.uint8)

    def dataset(self, pixels: Pixels, photometric: str, **attributes: object) -> Dataset:
        """A native multi-frame object of (frames, rows, columns[, 3])."""
        made = Dataset()
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.3.1"
        made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
        bits = 8 * pixels.dtype.itemsize
        made.NumberOfFrames, made.Rows, made.Columns = pixels.shape[:3]
        made.SamplesPerPixel = 3 if pixels.ndim == 4 else 1
        made.BitsAllocated = made.BitsStored = bits
        made.HighBit = bits - 1
        made.PixelRepresentation = int(pixels.dtype.kind == "i")
        made.PhotometricInterpretation = photometric
        if pixels.ndim == 4:
            made.PlanarConfiguration = 0
        made.PixelData = pixels.tobytes()
        made["PixelData"].VR = "OB" if bits == 8 else "OW"
        for keyword, value in attributes.items():
            setattr(made, keyword, value)
        return made

    def saved(self, made: Dataset, name: str, frames: list[bytes] | None = None, syntax: str = "") -> Path:
        """Write it; with ``frames`` as encapsulated pixel data under ``syntax``."""
        path = self.folder / name
        if frames is not None:
            made.PixelData = encapsulate(frames, has_bot=False)
            made["PixelData"].VR = "OB"
            made["PixelData"].is_undefined_length = True
            made.file_meta.TransferSyntaxUID = UID(syntax)
        made.preamble = bytes(128)
        little = made.file_meta.TransferSyntaxUID != ExplicitVRBigEndian
        # forced: pydicom does not know all of today's transfer syntaxes
        pydicom.dcmwrite(path, made, implicit_vr=False, little_endian=little, force_encoding=True)
        return path

    def ours(self, name: str) -> Path:
        """One of pydicom's sample files."""
        source = get_testdata_file(name, download=False)
        assert isinstance(source, str)
        target = self.folder / name
        target.symlink_to(source)
        return target

    def jpeg(self, pixels: Pixels, **options: Any) -> bytes:
        from PIL import Image

        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "JPEG", quality=95, **options)
        return out.getvalue()

    def described(self, path: Path) -> Description:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd headers
            dataset = pydicom.dcmread(path, stop_before_pixels=True)
        video = VideoStream(
            codec="rawvideo",
            width=dataset.Columns,
            height=dataset.Rows,
            pixel_format="rgb24",
            frame_rate=Fraction(25),
            frame_count=int(dataset.get("NumberOfFrames") or 1),
            duration_ms=40,
        )
        size = path.stat().st_size
        return Description(kind=Kind.DICOM_FRAMES, digest="0" * 64, size_bytes=size, container="frames", video=video)

    def decoded(self, path: Path, pixel_format: str) -> tuple[MediaInput, Pixels]:
        """All frames as FFmpeg delivers them: (frames, rows, columns[, 3]), or (frames, bytes) for planes of YCbCr."""
        media = open_source(path, self.described(path), self.folder)
        target = self.folder / "decoded.raw"
        convert: list[str] = []
        if media.matrix is not None and pixel_format == "rgb24":
            chain = (
                f"scale=in_color_matrix={media.matrix}:in_range=full:flags=accurate_rnd+full_chroma_int,format=rgb24"
            )
            convert = ["-vf", chain]
        argv = [ffmpeg_program(), "-loglevel", "error", "-y", *media.args, *convert, "-fps_mode", "passthrough"]
        argv += ["-pix_fmt", pixel_format, "-f", "rawvideo", str(target)]
        run(argv, name="ffmpeg", limits=self.limits, feed=media.feed)
        frames = np.fromfile(target, np.uint8)
        if pixel_format == "gray":
            return media, frames.reshape(-1, media.height, media.width)
        if pixel_format == "rgb24":
            return media, frames.reshape(-1, media.height, media.width, 3)
        return media, frames.reshape(media.frame_count, -1)

    def reference(self, path: Path) -> Pixels:
        """pydicom's own decoding, in RGB where it is colour."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = pydicom.dcmread(path)
            pixels: Pixels = made.pixel_array
        return pixels if int(made.get("NumberOfFrames") or 1) > 1 else pixels[np.newaxis]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)
