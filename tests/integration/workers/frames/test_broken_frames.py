"""Frames that are broken, missing or none we can show: an error that names them, never a wrong picture."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pydicom
import pytest
from pydicom.encaps import generate_frames
from pydicom.uid import UID, JPEG2000Lossless, JPEGLSLossless, RLELossless

from common.errors import CinefarmError, InputError, TruncatedSource, UnreadableSource, UnsupportedSource
from workers.frames import decoders
from workers.sources import open_source

if TYPE_CHECKING:
    from tests.integration.workers.frames.conftest import Lab

BASELINE = "1.2.840.10008.1.2.4.50"


def compressed(lab: Lab, syntax: UID, spoil: Callable[[list[bytes]], None]) -> Path:
    made = lab.dataset(lab.colours(), "RGB")
    made.compress(syntax, generate_instance_uid=False)
    frames = [bytes(frame) for frame in generate_frames(made.PixelData, number_of_frames=lab.frames)]
    spoil(frames)
    return lab.saved(made, "x.dcm", frames, syntax)


def jpeg_file(lab: Lab, frames: list[bytes]) -> Path:
    return lab.saved(lab.dataset(lab.colours(len(frames)), "YBR_FULL_422"), "x.dcm", frames, BASELINE)


def test_a_description_of_other_frames_is_refused(lab: Lab) -> None:
    path = lab.saved(lab.dataset(lab.colours(), "RGB"), "x.dcm")
    description = lab.described(path)
    video = description.video.model_copy(update={"frame_count": 4})
    with pytest.raises(UnreadableSource, match="4 frames"):
        open_source(path, description.model_copy(update={"video": video}), lab.folder)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless], ids=["rle", "jpeg-ls", "jpeg-2000"])
def test_a_frame_cut_short_is_named(lab: Lab, syntax: UID) -> None:
    def cut(frames: list[bytes]) -> None:
        frames[1] = frames[1][: len(frames[1]) // 8 * 2]

    with pytest.raises(InputError, match=r"^frame 2 of 3"):
        lab.decoded(compressed(lab, syntax, cut), "rgb24")


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless], ids=["jpeg-ls", "jpeg-2000"])
def test_a_frame_of_another_size_is_named(lab: Lab, syntax: UID) -> None:
    other = lab.dataset(lab.colours(1)[:, :40, :40], "RGB")
    other.compress(syntax, generate_instance_uid=False)

    def swap(frames: list[bytes]) -> None:
        frames[2] = next(generate_frames(other.PixelData, number_of_frames=1))

    with pytest.raises(UnreadableSource, match=r"^frame 3 of 3: it is 40×40"):
        lab.decoded(compressed(lab, syntax, swap), "rgb24")


def test_a_lossless_jpeg_frame_cut_short_is_named(lab: Lab) -> None:
    made = pydicom.dcmread(lab.ours("JPGLosslessP14SV1_1s_1f_8b.dcm"))
    frame = next(generate_frames(made.PixelData, number_of_frames=1))
    path = lab.saved(made, "x.dcm", [frame[: len(frame) // 2]], made.file_meta.TransferSyntaxUID)
    with pytest.raises(TruncatedSource, match=r"^frame 1 of 1"):
        lab.decoded(path, "gray")


def test_a_jpeg_frame_without_an_end_is_truncated(lab: Lab) -> None:
    frames = [lab.jpeg(frame) for frame in lab.colours()]
    frames[1] = frames[1][:-40]
    with pytest.raises(TruncatedSource, match=r"^frame 2 of 3"):
        lab.decoded(jpeg_file(lab, frames), "rgb24")


def test_a_jpeg_frame_of_another_size_is_refused_before_ffmpeg_starts(lab: Lab) -> None:
    frames = [lab.jpeg(frame[:16]) for frame in lab.colours()]
    path = jpeg_file(lab, frames)
    with pytest.raises(UnreadableSource, match=r"^frame 1 of 3: it is 64×16"):
        open_source(path, lab.described(path), lab.folder)


def test_a_jpeg_frame_with_other_sampling_is_named(lab: Lab) -> None:
    frames = [lab.jpeg(frame, subsampling=2 if number == 2 else 0) for number, frame in enumerate(lab.colours())]
    with pytest.raises(UnreadableSource, match=r"^frame 3 of 3: its JPEG coding differs"):
        lab.decoded(jpeg_file(lab, frames), "rgb24")


def test_a_jpeg_frame_with_broken_content_is_missing_rather_than_guessed(lab: Lab) -> None:
    frames = [lab.jpeg(frame) for frame in lab.colours()]
    whole = frames[1]
    start = whole.index(b"\xff\xda") + 14
    frames[1] = whole[: start + 40] + whole[-2:]
    _, shown = lab.decoded(jpeg_file(lab, frames), "rgb24")
    assert len(shown) == 2


def test_missing_frames_are_truncation(lab: Lab) -> None:
    path = jpeg_file(lab, [lab.jpeg(frame) for frame in lab.colours()])
    made = pydicom.dcmread(path)
    made.NumberOfFrames = 9
    made.save_as(path)
    with pytest.raises(TruncatedSource, match="9 frames"):
        open_source(path, lab.described(path), lab.folder)


def test_native_frames_cut_off_are_truncation(lab: Lab) -> None:
    path = lab.saved(lab.dataset(lab.colours(), "RGB"), "x.dcm")
    description = lab.described(path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 100)
    with pytest.raises(TruncatedSource):
        open_source(path, description, lab.folder)


def test_a_file_that_shrinks_after_it_was_opened_is_truncation(lab: Lab) -> None:
    path = lab.saved(lab.dataset(lab.colours(), "RGB"), "x.dcm")
    media = open_source(path, lab.described(path), lab.folder)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 100)
    assert media.feed is not None
    with pytest.raises(TruncatedSource):
        media.feed(io.BytesIO())


def test_a_frame_that_claims_too_many_bytes_is_not_read(lab: Lab) -> None:
    def bloat(frames: list[bytes]) -> None:
        frames[1] = frames[1] + bytes(2 << 20)

    with pytest.raises(UnreadableSource, match=r"^frame 2 of 3: \d+ bytes"):
        lab.decoded(compressed(lab, RLELossless, bloat), "rgb24")


@pytest.mark.parametrize(
    ("photometric", "bits"), [("HSV", 8), ("MONOCHROME2", 32), ("MONOCHROME2", 1), ("YBR_PARTIAL_420", 8)]
)
def test_what_no_video_can_show_is_refused(lab: Lab, photometric: str, bits: int) -> None:
    path = lab.saved(
        lab.dataset(lab.colours(), "RGB", PhotometricInterpretation=photometric, BitsAllocated=bits), "x.dcm"
    )
    with pytest.raises(UnsupportedSource):
        open_source(path, lab.described(path), lab.folder)


def test_an_unknown_codec_is_refused(lab: Lab) -> None:
    jpeg_xl = "1.2.840.10008.1.2.4.110"
    path = lab.saved(lab.dataset(lab.colours(), "RGB"), "x.dcm", [b"\xff\x0a"] * lab.frames, jpeg_xl)
    with pytest.raises(UnsupportedSource, match="no decoder"):
        open_source(path, lab.described(path), lab.folder)


def test_a_decoder_that_crashes_costs_only_its_source(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    path = lab.saved(lab.dataset(lab.colours(), "RGB"), "x.dcm")
    monkeypatch.setattr(decoders, "_native", lambda *_: os.kill(os.getpid(), signal.SIGSEGV))
    with pytest.raises(UnreadableSource, match="crashed"):
        lab.decoded(path, "rgb24")


def test_no_message_names_the_file(lab: Lab) -> None:
    path = lab.saved(lab.dataset(lab.colours(), "RGB"), "DOE-JOHN.dcm", [b"\0\0"] * lab.frames, RLELossless)
    with pytest.raises(CinefarmError) as caught:
        lab.decoded(path, "rgb24")
    assert "DOE" not in str(caught.value)
