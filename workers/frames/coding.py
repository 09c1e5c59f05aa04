"""Code every frame of a source, prove or keep what is needed to judge it, and spool the coded frames to a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from common.dicom.frame_headers import CodedImage
from common.dicom.frame_syntaxes import frame_syntax
from common.frame_recipes import FrameRecipe
from common.media import Description, Kind
from workers.frames.encoders import Encoder, encoder
from workers.frames.parallel import Bytes, cores_for, in_order
from workers.frames.proof import Prover, digest, prover
from workers.frames.stored import Form, Frame, Shape, StoredFrames, form_for, stored_frames
from workers.frames.video_frames import video_frames

SHOWN = 5
"""Frames that a verdict names."""

_HEAD_BYTES = 1 + 32  # before each coded frame on its way from the process that made it


@dataclass
class Coded:
    """All frames of one source, coded one after the other into a spool file."""

    image: CodedImage
    shape: Shape  # of what was coded
    tool: str
    prover: str = ""  # empty: not proven, but measured
    lengths: list[int] = field(default_factory=list)  # bytes of each
    digests: list[str] = field(default_factory=list)  # SHA-256 of the values of each, hexadecimal
    unequal: list[int] = field(default_factory=list)  # frames, from 0, that another decoder reads otherwise
    lost: str = ""  # what this coding cannot hold, in words

    @property
    def misses(self) -> tuple[str, ...]:
        """Why this coding is not what it should be, in words; empty: every frame is."""
        found = [self.lost] if self.lost else []
        if self.unequal:
            named = ", ".join(str(number + 1) for number in self.unequal[:SHOWN])
            found.append(
                f"{len(self.unequal)} of {len(self.lengths)} frames differ when {self.prover} reads them: {named}"
            )
        return tuple(found)


@dataclass(frozen=True)
class Taken:
    """What is coded of a source."""

    frames: Iterable[Frame]
    form: Form
    image: CodedImage
    lost: str = ""


def take(path: Path, description: Description, recipe: FrameRecipe) -> Taken:
    """Open a source for this recipe.

    Raises:
        UnreadableSource, UnsupportedSource, ProgramMissing: its frames cannot be had.
    """
    if description.kind is not Kind.DICOM_FRAMES:
        shape, frames = video_frames(path, description)
        form = Form(shape, lambda frame: frame.values)
        return Taken(frames, form, _image(form.shape, recipe, description.video.frame_count))
    stored = stored_frames(path)
    form, layout, lost = form_for(stored, recipe), stored.layout, ""
    image = _image(form.shape, recipe, layout.frames)
    if recipe.codec == "rle":  # cells lie as they did
        image = replace(image, stored=layout.stored, high=layout.high, signed=layout.signed)
    elif stored.overlays:
        lost = f"overlay planes in unused bits of the samples do not fit {recipe.words}"
    return Taken(stored, form, image, lost)


def code_frames(path: Path, description: Description, recipe: FrameRecipe, spool: Path) -> Coded:
    """Code every frame; memory is that of a few frames. Runs in a child: it decodes the source.

    Raises:
        TruncatedSource, UnreadableSource: a frame is not whole; the message names it, from 1.
        UnsupportedSource: these pixels cannot be had as frames.
        ProgramMissing: no coder is installed.
    """
    taken = take(path, description, recipe)
    coder = encoder(recipe, taken.form.shape)
    second = prover(recipe, taken.form.shape) if recipe.lossless else None
    coded = Coded(taken.image, taken.form.shape, coder.tool, second.name if second else "", lost=taken.lost)
    if not taken.lost:
        with spool.open("wb") as out:
            _code(taken, coder, second, coded, out)
    return coded


def feed_values(path: Path, description: Description, recipe: FrameRecipe, out: BinaryIO) -> None:
    """Write what was coded, uncoded: raw frames in ``raw_format``, for a measurement."""
    taken = take(path, description, recipe)
    planar = raw_format(taken.form.shape) == "yuv444p"
    for frame in taken.frames:
        values = taken.form.pick(frame)
        out.write((values.transpose(2, 0, 1) if planar else values).tobytes())


def raw_format(shape: Shape) -> str:
    """FFmpeg's name for frames of 8-bit values of this shape."""
    if shape.samples == 1:
        return "gray"
    return "yuv444p" if shape.photometric == "YBR_FULL" else "rgb24"


def _code(taken: Taken, coder: Encoder, second: Prover | None, coded: Coded, out: BinaryIO) -> None:
    for number, made in enumerate(_made(taken, coder, second)):
        coded.digests.append(bytes(made[1:_HEAD_BYTES]).hex())
        coded.lengths.append(len(made) - _HEAD_BYTES)
        if made[0]:
            coded.unequal.append(number)
        out.write(memoryview(made)[_HEAD_BYTES:])


def _made(taken: Taken, coder: Encoder, second: Prover | None) -> Iterator[Bytes]:
    """Of each frame: whether the second decoder reads it otherwise (a byte), the SHA-256 of its values, the coded frame.

    Frames of a DICOM file are decoded, coded and proven by all cores; those of a video come one after the other from FFmpeg.
    """

    def one(frame: Frame) -> bytes:
        values = taken.form.pick(frame)
        data, of_values = coder.encode(values), digest(values)
        unequal = second is not None and second.digest(data) != of_values
        return bytes((unequal,)) + bytes.fromhex(of_values) + data

    if not isinstance(taken.frames, StoredFrames):
        yield from map(one, taken.frames)
        return
    with taken.frames.each() as decoded:
        numbers = range(taken.frames.layout.frames)
        count = cores_for(taken.frames.layout.frames)
        yield from in_order(lambda number: one(decoded(number)), numbers, count, "coding the frames")


def _image(shape: Shape, recipe: FrameRecipe, frames: int) -> CodedImage:
    """Bare values: in as many bytes as they need (DCMTK refuses 8 coded bits in 16), High Bit the highest, colour by pixel."""
    photometric = shape.photometric
    if photometric == "RGB":
        photometric = frame_syntax(recipe.transfer_syntax_uid).rgb_as
    if recipe.codec == "jpeg" and shape.samples == 3:
        # whatever the sampling: PS3.5 Table 8.2.1-1, and PS3.3 C.7.6.3.1.2 on JPEG streams
        photometric = "YBR_FULL_422"
    return CodedImage(
        frames=frames,
        rows=shape.rows,
        columns=shape.columns,
        samples=shape.samples,
        photometric=photometric,
        allocated=8 * shape.dtype.itemsize,
        stored=shape.stored,
        high=shape.stored - 1,
        signed=shape.signed,
        planar=False,
    )
