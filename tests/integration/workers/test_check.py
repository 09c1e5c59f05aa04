"""check_file on real files: DICOM around real streams, plain clips, and broken bytes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import imageio_ffmpeg
import pydicom.data
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from common.dicom.encapsulation import write_instance
from common.dicom.transfer_syntaxes import ROOT
from common.errors import CinefarmError, InputError, InternalFault, PolicyError
from workers.check import check_file, syntax_uid

VIDEO_ENDOSCOPIC = "1.2.840.10008.5.1.4.1.1.77.1.1.1"
GRAPH = "testsrc2=s=160x120:r=25:d=1"
X264 = ("-c:v", "libx264", "-preset", "veryfast", "-level", "4.1")
H264 = (*X264, "-pix_fmt", "yuv420p")
SD = "colorprim=smpte170m:transfer=smpte170m:colormatrix=smpte170m"
TAGGED = (*H264, "-x264-params", SD)
FAST = ("-movflags", "+faststart")

Maker = Callable[..., Path]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("check")


@pytest.fixture(scope="module")
def clip(folder) -> Maker:
    def make(name: str, *options: str) -> Path:
        path = folder / name
        program = imageio_ffmpeg.get_ffmpeg_exe()
        argv = [program, "-v", "error", "-y", "-f", "lavfi", "-i", GRAPH, *options, str(path)]
        subprocess.run(argv, check=True, timeout=60)
        return path

    return make


@pytest.fixture(scope="module")
def legal(clip) -> Path:
    return clip("legal.mp4", *TAGGED, *FAST)


def header(**changes: object) -> Dataset:
    """What fits the clip; ``None`` takes an attribute away."""
    attributes: dict[str, object] = {
        "SOPClassUID": VIDEO_ENDOSCOPIC,
        "SOPInstanceUID": "1.2.3.4",
        "StudyInstanceUID": "1.2.3.5",
        "SeriesInstanceUID": "1.2.3.6",
        "Modality": "ES",
        "PhotometricInterpretation": "YBR_PARTIAL_420",
        "SamplesPerPixel": 3,
        "PlanarConfiguration": 0,
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
        "PixelRepresentation": 0,
        "Rows": 120,
        "Columns": 160,
        "NumberOfFrames": 25,
        "FrameTime": "40",
        "FrameIncrementPointer": 0x00181063,
        "LossyImageCompression": "01",
        "LossyImageCompressionRatio": "20",
        "LossyImageCompressionMethod": "ISO_14496_10",
    }
    dataset = Dataset()
    for keyword, value in (attributes | changes).items():
        if value is not None:
            setattr(dataset, keyword, value)
    return dataset


def wrapped(stream: Path, x: str = ".102", **changes: object) -> Path:
    data = stream.read_bytes()
    path = stream.with_suffix(f".{len(changes)}{x}.dcm")
    with path.open("wb") as out:
        write_instance(out, header(**changes), ROOT + x, [data], len(data))
    return path


def rules(path: Path, as_syntax: str | None = None) -> set[str]:
    return {finding.rule for finding in check_file(path, as_syntax)}


def test_a_legal_instance_has_no_findings(legal):
    assert check_file(wrapped(legal)) == ()


def test_a_legal_transport_stream_has_no_findings(clip):
    assert check_file(wrapped(clip("legal.ts", *TAGGED))) == ()


def test_main_10_under_its_syntax_has_no_findings(clip):
    stream = clip(
        "ten.mp4",
        "-c:v",
        "libx265",
        "-pix_fmt",
        "yuv420p10le",
        "-preset",
        "ultrafast",
        "-x265-params",
        f"level-idc=51:high-tier=0:{SD}",
        "-tag:v",
        "hvc1",
        *FAST,
    )
    depth = {"BitsAllocated": 16, "BitsStored": 10, "HighBit": 9, "LossyImageCompressionMethod": "ISO_23008_2"}
    assert check_file(wrapped(stream, ".108", **depth)) == ()
    assert "stream.bits" in rules(wrapped(stream, ".107", **depth))


def test_a_plain_clip_is_held_against_the_syntax_that_is_named(legal):
    assert check_file(legal, ".102") == ()
    assert "stream.codec" in rules(legal, ".107")


def test_a_plain_clip_without_a_syntax_is_refused_with_what_to_do(legal):
    with pytest.raises(PolicyError) as caught:
        check_file(legal)
    assert "--as" in caught.value.hint


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ((*X264, "-pix_fmt", "yuv422p"), "stream.chroma"),
        ((*H264, "-level", "5.1"), "stream.level"),
        ((*H264, "-vf", "setsar=4/3"), "stream.aspect"),
        ((*X264, "-pix_fmt", "yuvj420p"), "stream.range"),
        ((*X264, "-pix_fmt", "yuv420p10le"), "stream.bits"),
        (("-c:v", "mpeg4"), "stream.codec"),
        ((*H264, "-x264-params", "frame-packing=3"), "stream.packing"),
    ],
)
def test_what_ffmpeg_really_codes_is_seen(clip, options, rule):
    assert rule in rules(clip("wrong.mp4", *options), ".104")


def test_main_profile_is_a_warning(clip):
    path = clip("main.mp4", *TAGGED, "-profile:v", "main", *FAST)
    assert [(f.rule, f.severity) for f in check_file(path, "102")] == [("stream.profile.lesser", "warning")]


def test_the_index_at_the_end_is_a_warning(clip):
    path = clip("end.mp4", *TAGGED)
    assert [(f.rule, f.severity) for f in check_file(path, ".102")] == [("container.moov", "warning")]


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"Rows": 128}, "header.size"),
        ({"NumberOfFrames": 24}, "header.frames"),
        ({"FrameTime": "33.367"}, "header.rate"),
        ({"LossyImageCompression": "00"}, "header.lossy"),
        ({"PixelAspectRatio": [1, 1]}, "header.aspect"),
    ],
)
def test_a_header_that_differs_from_its_stream_is_found(legal, changes, rule):
    assert rules(wrapped(legal, **changes)) == {rule}


def test_a_second_fragment_is_found_where_one_is_allowed(legal):
    path = wrapped(legal)
    data = path.read_bytes()
    start = data.index(b"\xfe\xff\x00\xe0" + bytes(4)) + 8  # behind the empty offset table
    length = int.from_bytes(data[start + 4 : start + 8], "little")
    item, half = b"\xfe\xff\x00\xe0", length // 4 * 2
    body = data[start + 8 : start + 8 + length]
    parts = [item + len(part).to_bytes(4, "little") + part for part in (body[:half], body[half:])]
    path.write_bytes(data[:start] + b"".join(parts) + data[start + 8 + length :])
    assert rules(path) == {"encapsulation.fragments"}
    assert rules(path, ".102.1") == set()


def test_multi_frame_images_are_noted_and_not_judged():
    path = Path(str(pydicom.data.get_testdata_file("examples_ybr_color.dcm", download=False)))
    assert [(f.rule, f.severity) for f in check_file(path)] == [("stream.frames", "note")]


@pytest.mark.parametrize("name", [".102", "102", f"{ROOT}.102", " .102 "])
def test_a_syntax_has_short_names(name):
    assert syntax_uid(name) == f"{ROOT}.102"


@pytest.mark.parametrize("name", ["", ".50", "h264", "1.2.840.10008.1.2.1", ".102.2"])
def test_a_name_of_no_video_syntax_is_refused(name):
    with pytest.raises(PolicyError):
        syntax_uid(name)


def test_what_is_no_video_is_an_input_error(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("no video at all")
    with pytest.raises(InputError):
        check_file(path, ".102")


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's words on the values we broke
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=5),
    kept=st.floats(0.2, 1) | st.just(1.0),
    as_dicom=st.booleans(),
)
def test_mutated_files_give_findings_or_an_error_of_the_tree(legal, folder, changes, kept, as_dicom):
    data = bytearray((wrapped(legal) if as_dicom else legal).read_bytes())
    head = min(len(data), 2000)  # where headers and tables lie
    for place, value in changes:
        data[int(place * (head - 1))] = value
    path = folder / ("mutated.dcm" if as_dicom else "mutated.mp4")
    path.write_bytes(data[: int(len(data) * kept)])
    assert not isinstance(verdict(path), InternalFault)


def verdict(path: Path) -> CinefarmError | None:
    try:
        check_file(path, ".102")
    except CinefarmError as error:
        return error
    return None
