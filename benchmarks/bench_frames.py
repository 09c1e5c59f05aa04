"""Frame-based targets: size and speed of each codec, coded and proven, against pydicom's own compress() in the same run."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from table import Row

from common.frame_recipes import FRAME_LADDERS, FrameRecipe
from common.settings import Settings
from workers.describe import describe_sandboxed
from workers.frames.coding import code_frames

SIDE = 512
REFERENCE = {"jpegls": "pyjpegls", "jpeg2000": "pylibjpeg", "rle": "gdcm"}
"""Codec → the plugin that pydicom is told to code with; it has none for the others."""


def speckle(frames: int, bits: int, *, colour: bool) -> NDArray[np.uint16]:
    """An ultrasound-like loop: a dark surround, a bright sector, speckle that moves."""
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    sector = np.hypot(x - SIDE / 2, y) < SIDE * 0.9
    sector &= np.abs(x - SIDE / 2) < y * 0.7 + 8
    noise = np.random.default_rng(1).rayleigh(0.12, (frames, SIDE, SIDE))
    noise = (noise + np.roll(noise, 1, axis=1) + np.roll(noise, 1, axis=2)) / 3
    grey = (np.clip(noise * (1.5 - y / SIDE), 0, 1) * sector * (2**bits - 1)).astype(
        np.uint8 if bits == 8 else np.uint16
    )
    if not colour:
        return grey
    tinted = np.repeat(grey[..., np.newaxis], 3, axis=-1)
    tinted[:, 200:300, 200:320, 2] //= 2
    return tinted


def write(pixels: NDArray[np.uint16], bits: int, path: Path) -> Path:
    """A native multi-frame file."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.3.1", "2.25.1"
    made.StudyInstanceUID, made.SeriesInstanceUID = "2.25.2", "2.25.3"
    made.NumberOfFrames, made.Rows, made.Columns = pixels.shape[:3]
    made.SamplesPerPixel = 3 if pixels.ndim == 4 else 1
    made.PhotometricInterpretation = "RGB" if pixels.ndim == 4 else "MONOCHROME2"
    if pixels.ndim == 4:
        made.PlanarConfiguration = 0
    made.BitsAllocated, made.BitsStored, made.HighBit = 8 * pixels.dtype.itemsize, bits, bits - 1
    made.PixelRepresentation, made.FrameTime = 0, "40"
    made.PixelData = pixels.tobytes()
    made["PixelData"].VR = "OB" if bits == 8 else "OW"
    made.preamble = bytes(128)
    pydicom.dcmwrite(path, made, enforce_file_format=True)
    return path


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one run."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def rows(*, quick: bool) -> Iterator[Row]:
    """Frames coded and proven per second, against pydicom coding alone."""
    frames = 2 if quick else 24
    pixels = speckle(frames, 8, colour=True)
    with tempfile.TemporaryDirectory(prefix="cinefarm-bench-") as name:
        folder = Path(name)
        source = write(pixels, 8, folder / "loop.dcm")
        description = describe_sandboxed(source, ".dcm", Settings())
        for codec, plugin in REFERENCE.items():
            recipe = next(ladder[0] for ladder in FRAME_LADDERS.values() if ladder[0].codec == codec)
            code_frames(source, description, recipe, folder / "spool")  # everything loaded
            ours = seconds(lambda recipe=recipe: code_frames(source, description, recipe, folder / "spool"))  # type: ignore[misc]
            theirs = pydicom.dcmread(source)
            took = seconds(lambda: theirs.compress(recipe.transfer_syntax_uid, encoding_plugin=plugin))  # noqa: B023
            what = f"{recipe.words}, coded and proven, {SIDE}×{SIDE} RGB"
            yield Row(what, frames / ours, frames / took, "frames/s", "pydicom's compress, unproven")


def compare(source: Path, recipe: FrameRecipe, folder: Path, pixels: NDArray[np.uint16]) -> str:
    """One line of the table: ratio, frames/s coded and proven, frames/s of pydicom coding alone."""
    description, spool = describe_sandboxed(source, ".dcm", Settings()), folder / "spool"
    code_frames(source, description, recipe, spool)  # everything loaded
    ours = seconds(lambda: code_frames(source, description, recipe, spool))
    ratio, frames = pixels.nbytes / spool.stat().st_size, len(pixels)
    line = f"| {recipe.words} | {ratio:.2f} | {frames / ours:.1f} |"
    if recipe.codec not in REFERENCE:
        return f"{line} – | – |"
    theirs = pydicom.dcmread(source)
    plugin = REFERENCE[recipe.codec]
    took = seconds(lambda: theirs.compress(recipe.transfer_syntax_uid, encoding_plugin=plugin))
    return f"{line} {pixels.nbytes / len(theirs.PixelData):.2f} | {frames / took:.1f} |"


def main() -> int:
    """Print one table for each kind of loop."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--frames", type=int, default=24)
    frames = arguments.parse_args().frames
    kinds = {"8-bit RGB": (8, True), "8-bit grey": (8, False), "12-bit grey": (12, False)}
    with tempfile.TemporaryDirectory() as name:
        for kind, (bits, colour) in kinds.items():
            pixels = speckle(frames, bits, colour=colour)
            source = write(pixels, bits, Path(name) / "loop.dcm")
            print(f"\n{kind}, {frames} frames of {SIDE}×{SIDE}\n")
            print("| coding | ratio | frames/s, proven | pydicom's ratio | pydicom's frames/s, unproven |")
            print("|---|---|---|---|---|")
            for recipe in (ladder[0] for ladder in FRAME_LADDERS.values()):
                if bits == 8 or recipe.codec in ("jpegls", "jpeg2000", "rle"):
                    print(compare(source, recipe, Path(name), pixels))
    return 0


if __name__ == "__main__":
    sys.exit(main())
