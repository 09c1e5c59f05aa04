"""``cinefarm check`` as a user calls it: exit codes, folders, JSON, and memory that does not follow the file's size."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import imageio_ffmpeg
import psutil
import pytest
from support.image_files import RLE, coded, head, write

CINEFARM = Path(sys.executable).with_name("cinefarm")
MB = 1_000_000
H264 = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-level", "4.1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A clean image, one with a wrong header, a note on paper, and a clip whose index comes last."""
    folder = tmp_path_factory.mktemp("command")
    (folder / "b").mkdir()
    write(folder / "b" / "clean.dcm", RLE, head(1), coded(RLE, 1))
    write(folder / "b" / "wrong.dcm", RLE, head(1, Rows=40, PlanarConfiguration=0, ImageType="ORIGINAL"), coded(RLE, 1))
    (folder / "a.txt").write_text("no video")
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=0.4"]
    subprocess.run([*argv, *H264, str(folder / "late.mp4")], check=True, timeout=60)
    return folder


def check(*words: object) -> subprocess.CompletedProcess[str]:
    argv = [CINEFARM, "check", *map(str, words)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)


def test_a_clean_file_is_exit_code_0(folder):
    done = check(folder / "b" / "clean.dcm")
    assert (done.returncode, done.stderr) == (0, "")
    assert "clean.dcm: no findings under 1.2.840.10008.1.2.5" in done.stdout


def test_a_finding_is_exit_code_1_and_says_how_to_mend_it(folder):
    done = check(folder / "b" / "wrong.dcm")
    assert done.returncode == 1
    assert "header.image_type" in done.stdout
    assert "PS3.3 C.7.6.1.1.2" in done.stdout
    assert "→ Write a new header" in done.stdout


def test_a_warning_alone_is_1_unless_only_errors_count(folder):
    assert check(folder / "late.mp4", "--as", ".102").returncode == 1
    assert check(folder / "late.mp4", "--as", ".102", "--errors-only").returncode == 0


def test_what_cannot_be_read_is_2_whatever_the_others_are(folder):
    done = check(folder / "a.txt", folder / "b" / "wrong.dcm", folder / "missing.dcm", "--json")
    assert done.returncode == 2
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer.get("error", {}).get("code") for answer in answers] == ["NotVideo", None, "UnreadableSource"]


def test_a_plain_clip_without_a_syntax_says_what_to_do(folder):
    done = check(folder / "late.mp4")
    assert done.returncode == 2
    assert "--as" in done.stderr


def test_a_folder_is_every_file_below_it_in_order_and_other_files_are_no_failure(folder):
    done = check(folder, "--json", "--as", ".102", "--errors-only")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [Path(answer["file"]).name for answer in answers] == ["a.txt", "late.mp4", "clean.dcm", "wrong.dcm"]
    assert done.returncode == 1


def test_the_json_of_a_file_has_the_documented_keys(folder, request):
    answer = json.loads(check(folder / "b" / "wrong.dcm", "--json").stdout)
    assert set(answer) == {"file", "kind", "transfer_syntax_uid", "clean", "counts", "findings"}
    assert answer["counts"] == {"error": 1, "warning": 0, "note": 0}
    page = (request.config.rootpath / "docs" / "json.md").read_text(encoding="utf-8")
    section = page[page.index("\n## check") : page.index("\n## measure")]
    for key in (*answer, *answer["findings"][0]):
        assert f"`{key}`" in section


def sparse(path: Path, clip: Path, gibibytes: int) -> Path:
    """A DICOM file of so many GiB on paper: the clip, and a free box that takes no room on the disk."""
    from pydicom.dataset import Dataset

    from common.dicom.encapsulation import encoded, file_meta  # the real writer would fill the disk

    stream = clip.read_bytes()
    free = gibibytes << 30
    box = (1).to_bytes(4) + b"free" + free.to_bytes(8)
    header: Dataset = head(NumberOfFrames=10, Rows=64, Columns=96)
    longest = 2**32 - 2
    with path.open("wb") as out:
        out.write(b"\0" * 128 + b"DICM" + file_meta(header, "1.2.840.10008.1.2.4.102.1") + encoded(header))
        out.write(bytes.fromhex("e07f1000 4f42 0000 ffffffff feff00e0 00000000"))
        left, pending = len(stream) + free, stream + box
        while left:
            length = min(left, longest)
            out.write(bytes.fromhex("feff00e0") + length.to_bytes(4, "little"))
            out.write(pending)
            out.seek(length - len(pending), os.SEEK_CUR)
            left, pending = left - length, b""
        out.write(bytes.fromhex("feffdde000000000"))
    return path


def peak_of(argv: list[str]) -> tuple[int, int]:
    """Exit code, and the largest resident set of the command or of any child of it, bytes."""
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    top, peak, ended = psutil.Process(process.pid), 0, threading.Event()
    while not ended.wait(0.002) and process.poll() is None:
        for each in (top, *top.children(recursive=True)):
            try:
                peak = max(peak, each.memory_info().rss)
            except psutil.NoSuchProcess:
                continue
    return process.returncode, peak


def test_no_process_of_a_check_takes_100_mb_even_of_5_gib(folder, tmp_path):
    clip = folder / "late.mp4"
    path = sparse(tmp_path / "five.dcm", clip, 5)
    assert path.stat().st_size > 5 << 30
    code, peak = peak_of([str(CINEFARM), "check", str(path)])
    assert code == 1  # it has findings, so it was read
    assert 30 * MB < peak < 100 * MB
