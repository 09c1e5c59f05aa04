"""Frames that are images of their own: legal files are clean, each broken thing is found by its rule."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from support.image_files import COLUMNS, FRAMES, NATIVE, RLE, ROOT, ROWS, coded, head, jpeg_frames, pixels, write

from workers import examine
from workers.check import check_file, judge

YBR = {"PhotometricInterpretation": "YBR_FULL_422"}
LOSSY = {
    "LossyImageCompression": "01",
    "LossyImageCompressionRatio": "10",
    "LossyImageCompressionMethod": "ISO_10918_1",
}
JPEG = f"{ROOT}.50"

Make = Callable[..., Path]


@pytest.fixture(scope="module", autouse=True)
def loaded() -> None:
    """As the command does: children share what their parent has loaded."""
    examine.load()


@pytest.fixture
def baseline(tmp_path) -> Make:
    """A motion JPEG file; keywords change its header."""

    def make(frames: list[bytes] | None = None, **changes: object) -> Path:
        parts = int(changes.pop("parts", 1))
        extended = bool(changes.pop("extended", False))
        header = head(**YBR | LOSSY | changes)
        return write(tmp_path / "j.dcm", JPEG, header, frames or jpeg_frames(), extended=extended, parts=parts)

    return make


def rules(path: Path) -> set[str]:
    return {finding.rule for finding in check_file(path)}


@pytest.mark.parametrize("extended", [False, True])
@pytest.mark.parametrize(("syntax", "samples"), [(RLE, 3), (RLE, 1), (f"{ROOT}.80", 3), (f"{ROOT}.90", 1)])
def test_lossless_frames_are_clean(tmp_path, syntax, samples, extended):
    path = write(tmp_path / "l.dcm", syntax, head(samples), coded(syntax, samples), extended=extended)
    judgement = judge(path)
    assert judgement.findings == ()
    assert (judgement.kind, judgement.transfer_syntax_uid) == ("dicom-frames", syntax)


def test_reversible_colour_names_its_transformation(tmp_path):
    frames = coded(f"{ROOT}.90")
    right = write(tmp_path / "r.dcm", f"{ROOT}.90", head(PhotometricInterpretation="YBR_RCT"), frames)
    wrong = write(tmp_path / "w.dcm", f"{ROOT}.90", head(PhotometricInterpretation="RGB"), frames)
    assert rules(right) == set()
    assert rules(wrong) == {"frames.transform"}


def test_motion_jpeg_is_clean_with_one_or_two_fragments_a_frame(baseline):
    assert rules(baseline()) == set()
    assert rules(baseline(parts=2)) == set()
    assert rules(baseline(extended=True)) == set()


def test_native_frames_are_clean_and_fill_their_pixel_data(tmp_path):
    frames = [frame.tobytes() for frame in pixels()]
    assert rules(write(tmp_path / "n.dcm", NATIVE, head(), frames)) == set()
    assert rules(write(tmp_path / "s.dcm", NATIVE, head(NumberOfFrames=FRAMES - 1), frames)) == {"frames.native"}


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"PhotometricInterpretation": "YBR_PARTIAL_420"}, "frames.photometric"),
        ({"PlanarConfiguration": 1}, "frames.planar"),
        ({"HighBit": 6}, "frames.bits"),
        ({"Rows": ROWS + 1}, "frames.size"),
        ({"Columns": COLUMNS * 2}, "frames.size"),
        ({"LossyImageCompression": "00"}, "frames.lossy"),
        ({"LossyImageCompressionMethod": "ISO_15444_1"}, "frames.lossy"),
        ({"FrameTimeVector": ["0", "40"], "FrameTime": None, "FrameIncrementPointer": 0x00181065}, "header.vector"),
        ({"ImageType": "ORIGINAL"}, "header.image_type"),
        ({"StopTrim": 9}, "header.trim"),
    ],
)
def test_a_header_that_does_not_fit_its_frames_is_found(baseline, changes, rule):
    assert rules(baseline(**changes)) == {rule}


def test_depth_and_sign_are_those_of_the_codestream(tmp_path):
    frames = coded(f"{ROOT}.90", 1)
    deep = head(1, BitsAllocated=16, BitsStored=12, HighBit=11)
    assert rules(write(tmp_path / "d.dcm", f"{ROOT}.90", deep, frames)) == {"frames.depth"}
    assert rules(write(tmp_path / "s.dcm", f"{ROOT}.90", head(1, PixelRepresentation=1), frames)) == {"frames.depth"}


def test_one_frame_of_another_size_is_named(baseline):
    frames = jpeg_frames()
    frames[2] = jpeg_frames((COLUMNS // 2, ROWS))[2]
    findings = check_file(baseline(frames))
    assert [finding.rule for finding in findings] == ["frames.size"]
    assert findings[0].found.startswith(f"frame 3: {COLUMNS // 2}×{ROWS}")


def test_another_process_than_the_syntax_names_is_found(tmp_path):
    wrong = write(tmp_path / "ls.dcm", f"{ROOT}.80", head(**YBR), jpeg_frames())
    assert {"frames.process", "frames.photometric"} <= rules(wrong)


def test_a_frame_without_its_end_or_its_beginning_is_named(baseline):
    frames = jpeg_frames()
    frames[1] = frames[1][:-60]
    assert rules(baseline(frames)) == {"frames.codestream"}
    frames[1] = b"no image at all!"
    findings = check_file(baseline(frames))
    assert [finding.found for finding in findings] == ["frame 2: it begins with no marker of an image"]


def test_a_fragment_missing_is_found(baseline):
    assert "frames.count" in rules(baseline(jpeg_frames()[:2]))


def changed(path: Path, old: bytes, new: bytes) -> Path:
    data = path.read_bytes()
    assert data.count(old) == 1
    path.write_bytes(data.replace(old, new))
    return path


def bot(*offsets: int) -> bytes:
    return struct.pack(f"<HHI{len(offsets)}I", 0xFFFE, 0xE000, 4 * len(offsets), *offsets)


def offsets_of(frames: list[bytes]) -> list[int]:
    found = [0]
    for frame in frames[:-1]:
        found.append(found[-1] + 8 + len(frame) + len(frame) % 2)
    return found


def test_an_offset_table_that_points_beside_the_items_is_found(baseline):
    right = offsets_of(jpeg_frames())
    wrong = [right[0], right[1] + 2, right[2]]
    assert rules(changed(baseline(), bot(*right), bot(*wrong))) == {"frames.table"}


def test_a_wrong_length_in_the_extended_table_is_found(baseline):
    length = len(jpeg_frames()[0])
    path = baseline(extended=True)
    data = path.read_bytes()
    at = data.index(b"\xe0\x7f\x02\x00OV") + 12  # the first of the lengths
    path.write_bytes(data[:at] + struct.pack("<Q", length - 4) + data[at + 8 :])
    assert rules(path) == {"frames.extended_table"}


def test_a_missing_delimiter_and_bytes_behind_the_end_are_found(baseline):
    path = baseline()
    data = path.read_bytes()
    delimiter = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    assert data.endswith(delimiter)
    path.write_bytes(data[: -len(delimiter)])
    assert rules(path) == {"frames.delimiter"}
    path.write_bytes(data + b"left over")
    assert rules(path) == {"file.trailing"}


def test_an_rle_frame_of_two_fragments_is_found(tmp_path):
    path = write(tmp_path / "two.dcm", RLE, head(1), coded(RLE, 1), parts=2)
    assert rules(path) == {"frames.fragment"}


def test_a_broken_rle_header_is_found(tmp_path):
    frames = coded(RLE, 1)
    frames[0] = struct.pack("<I", 99) + frames[0][4:]
    assert rules(write(tmp_path / "b.dcm", RLE, head(1), frames)) == {"frames.codestream"}


def test_a_single_frame_is_judged_too(tmp_path):
    path = write(tmp_path / "one.dcm", RLE, head(1, NumberOfFrames=1), coded(RLE, 1)[:1])
    assert rules(path) == set()
