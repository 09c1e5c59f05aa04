"""check on broken files: findings or a clear error, never a traceback, never more memory or time than it may take."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import imageio_ffmpeg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.image_files import RLE, ROOT, coded, head, jpeg_frames, write

from common.dicom.encapsulation import write_instance
from common.errors import CinefarmError, InternalFault
from workers import examine

GRAPH = "testsrc2=s=96x64:r=25:d=0.4"
VIDEO = {
    "SOPClassUID": "1.2.840.10008.5.1.4.1.1.77.1.1.1",
    "Modality": "ES",
    "PhotometricInterpretation": "YBR_PARTIAL_420",
    "NumberOfFrames": 10,
    "Rows": 64,
    "Columns": 96,
    "LossyImageCompression": "01",
    "LossyImageCompressionRatio": "20",
    "LossyImageCompressionMethod": "ISO_14496_10",
}
SYNTAXES = {
    "mp4": f"{ROOT}.102",
    "ts": f"{ROOT}.102",
    "mpg": f"{ROOT}.100",
    "dcm": None,
    "j.dcm": None,
    "rle.dcm": None,
}


@pytest.fixture(scope="module")
def originals(tmp_path_factory) -> dict[str, bytes]:
    """A sound file of each kind."""
    examine.load()
    folder = tmp_path_factory.mktemp("originals")
    h264 = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-level", "4.1")
    mpeg2 = ("-c:v", "mpeg2video", "-pix_fmt", "yuv420p", "-g", "5", "-bf", "2")
    for name, options in (("v.mp4", (*h264, "-movflags", "+faststart")), ("v.ts", h264), ("v.mpg", mpeg2)):
        argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", GRAPH, *options, folder / name]
        subprocess.run(argv, check=True, timeout=60)
    stream = (folder / "v.mp4").read_bytes()
    with (folder / "v.dcm").open("wb") as out:
        write_instance(out, head(**VIDEO), f"{ROOT}.102", [stream], len(stream))
    lossy = {"LossyImageCompression": "01", "LossyImageCompressionRatio": "10"}
    ybr = head(PhotometricInterpretation="YBR_FULL_422", LossyImageCompressionMethod="ISO_10918_1", **lossy)
    write(folder / "v.j.dcm", f"{ROOT}.50", ybr, jpeg_frames(), parts=2)
    write(folder / "v.rle.dcm", RLE, head(1), coded(RLE, 1), extended=True)
    return {kind: (folder / f"v.{kind}").read_bytes() for kind in SYNTAXES}


def judged(path: Path, kind: str) -> str:
    """``clean``, the rules that are broken, or the error's name. An error of ours or of pydicom's is raised."""
    refused: CinefarmError | None = None
    try:
        _, _, findings = examine.examine(path, SYNTAXES[kind])
    except CinefarmError as error:
        refused = error
    if refused is not None:
        assert not isinstance(refused, InternalFault)
        assert refused.message
        return refused.code
    assert all(finding.found and finding.required and finding.remedy for finding in findings)
    return ", ".join(finding.rule for finding in findings) or "clean"


@pytest.fixture(autouse=True)
def unlimited(monkeypatch) -> None:
    """These tests run in the test process itself, which must not be limited."""
    monkeypatch.setattr(examine, "_limit_memory", lambda: None)


@pytest.mark.parametrize("kind", SYNTAXES)
def test_the_originals_can_be_judged(originals, tmp_path, kind):
    path = tmp_path / f"o.{kind}"
    path.write_bytes(originals[kind])
    assert judged(path, kind).split(", ")[0] in (
        "clean",
        "stream.colour",
        "stream.geometry",
        "stream.mpeg2.aspect",
        "stream.level.rate",
    )


Edit = Callable[[bytes], bytes]


def flip(data: bytes, place: float, value: int) -> bytes:
    at = int(place * (len(data) - 1))
    return data[:at] + bytes([data[at] ^ (value or 1)]) + data[at + 1 :]


def cut(data: bytes, place: float, _value: int) -> bytes:
    return data[: int(place * len(data))]


def insert(data: bytes, place: float, value: int) -> bytes:
    at = int(place * len(data))
    return data[:at] + bytes([value]) * (value % 7 + 1) + data[at:]


def drop(data: bytes, place: float, value: int) -> bytes:
    at = int(place * len(data))
    return data[:at] + data[at + value % 9 + 1 :]


def swap_length(data: bytes, place: float, value: int) -> bytes:
    """Four bytes become a large or a small length, in one byte order or the other."""
    at = int(place * max(len(data) - 4, 0)) & ~1
    length = (0xFFFFFFFF, 0xFFFFFFFE, 0, 1, 0x7FFFFFFF, 0x10000)[value % 6]
    return data[:at] + length.to_bytes(4, "little" if value % 2 else "big") + data[at + 4 :]


EDITS = st.tuples(
    st.sampled_from([flip, cut, insert, drop, swap_length]),
    # half of the places in the first eighth: headers and tables lie there
    st.floats(0, 1) | st.floats(0, 0.125),
    st.integers(0, 255),
)


@pytest.mark.filterwarnings("ignore")  # pydicom's words on the values we broke
@pytest.mark.parametrize("kind", SYNTAXES)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=st.lists(EDITS, min_size=1, max_size=4))
def test_a_mutated_file_gives_findings_or_a_clear_error(originals, tmp_path, kind, edits):
    data = originals[kind]
    for edit, place, value in edits:
        data = edit(data, place, value) or b"\0"
    path = tmp_path / f"m.{kind}"
    path.write_bytes(data)
    assert judged(path, kind)


@pytest.mark.filterwarnings("ignore")
@settings(deadline=None, max_examples=80)
@given(
    start=st.sampled_from([b"", b"\0" * 128 + b"DICM", b"\0\0\0\x18ftypisom", b"\0\0\1\xba"]),
    data=st.binary(max_size=600),
)
def test_random_bytes_give_a_clear_error(tmp_path_factory, start, data):
    path = tmp_path_factory.getbasetemp() / "random.mp4"
    path.write_bytes(start + data)
    assert judged(path, "mp4")


def test_lengths_that_ask_for_gigabytes_take_none(originals, tmp_path):
    """Every 32-bit word of the header, one after the other, becomes a length of 2 GiB."""
    data = originals["dcm"]
    path = tmp_path / "long.dcm"
    for at in range(132, 700, 6):
        path.write_bytes(data[:at] + (0x7FFFFFF0).to_bytes(4, "little") + data[at + 4 :])
        assert judged(path, "dcm")
