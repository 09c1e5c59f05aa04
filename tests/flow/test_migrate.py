"""A folder in, conforming DICOM out: what a user sees of ``cinefarm migrate``."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import av
import imageio_ffmpeg
import pydicom
import pytest
from pydicom.encaps import generate_fragments
from support.desk import Desk

pytestmark = pytest.mark.farm

H264_HIGH_41 = "1.2.840.10008.1.2.4.102"
VIDEO_ENDOSCOPIC = "1.2.840.10008.5.1.4.1.1.77.1.1.1"
ULTRASOUND_MULTIFRAME = "1.2.840.10008.5.1.4.1.1.3.1"


def payload(path: Path, folder: Path) -> Path:
    """The video stream taken out of a DICOM file."""
    dataset = pydicom.dcmread(path)
    stream = folder / f"{path.stem}.mp4"
    stream.write_bytes(b"".join(generate_fragments(dataset.PixelData))[: dataset[0x7FE00003].value])
    return stream


def frames(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def elementary_digest(path: Path) -> str:
    """SHA-256 of the H.264 NAL units in Annex B form."""
    program = imageio_ffmpeg.get_ffmpeg_exe()
    words = [
        "-v",
        "error",
        "-i",
        str(path),
        "-map",
        "0:v",
        "-c",
        "copy",
        "-bsf:v",
        "h264_mp4toannexb",
        "-f",
        "h264",
        "-",
    ]
    return hashlib.sha256(subprocess.run([program, *words], check=True, capture_output=True).stdout).hexdigest()


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Desk, object]:
    """One run over a nested mixture, shared by the tests that only look."""
    desk = Desk(tmp_path_factory.mktemp("mixture"))
    desk.sources.mkdir()
    desk.ultrasound("a/us/loop.dcm")
    desk.camera("a/theatre 2/clip ü.mp4", seconds=2)
    desk.capture("old/tape.mpg")
    desk.file("notes.txt").write_text("not a video")
    desk.file("a/.hidden").write_text("nothing")
    desk.file("a/DICOMDIR").write_bytes(b"\0" * 200)
    shutil.copyfile(desk.sources / "old" / "tape.mpg", desk.file("old/copy of tape.mpg"))
    return desk, desk.migrate("--map", str(desk.mapping()))


def test_the_mixture_is_done_and_the_rest_is_named_with_its_reason(migrated: tuple[Desk, object]) -> None:
    desk, run = migrated
    states = {name: item["state"] for name, item in run.items.items()}
    twins = {states.pop("old/copy of tape.mpg"), states.pop("old/tape.mpg")}  # which of them is read first is a race
    assert twins == {"done", "skipped"}
    assert states == {"a/us/loop.dcm": "done", "a/theatre 2/clip ü.mp4": "done", "notes.txt": "skipped"}
    assert run.code == 0, run.stderr
    assert all(item["reason"] for item in run.items.values())
    assert len(desk.results()) == 3
    assert desk.leftovers() == []


def test_each_item_takes_its_cheapest_legal_path(migrated: tuple[Desk, object]) -> None:
    _, run = migrated
    paths = {name: item["path"] for name, item in run.items.items() if item["state"] == "done"}
    tape = next(name for name in paths if name.startswith("old/"))
    assert paths == {"a/us/loop.dcm": "encode", "a/theatre 2/clip ü.mp4": "rewrap", tape: "encode"}


def test_the_ultrasound_loop_stays_ultrasound_and_keeps_its_frames(
    migrated: tuple[Desk, object], tmp_path: Path
) -> None:
    desk, _ = migrated
    made = next(d for d in map(pydicom.dcmread, desk.results()) if d.SOPClassUID == ULTRASOUND_MULTIFRAME)
    source = pydicom.dcmread(desk.sources / "a/us/loop.dcm")
    assert made.file_meta.TransferSyntaxUID == H264_HIGH_41
    assert made.PhotometricInterpretation == "YBR_PARTIAL_420"
    assert made.NumberOfFrames == frames(payload(Path(made.filename), tmp_path)) == source.NumberOfFrames == 30
    assert made.PatientName == source.PatientName
    assert made.StudyInstanceUID == source.StudyInstanceUID
    assert made.SOPInstanceUID != source.SOPInstanceUID


def test_the_rewrapped_clip_is_bit_identical(migrated: tuple[Desk, object], tmp_path: Path) -> None:
    desk, _ = migrated
    classes = [(path, pydicom.dcmread(path, stop_before_pixels=True)) for path in desk.results()]
    rewrapped = [path for path, d in classes if d.SOPClassUID == VIDEO_ENDOSCOPIC and d.NumberOfFrames == 50]
    assert len(rewrapped) == 1
    source = desk.sources / "a/theatre 2/clip ü.mp4"
    assert elementary_digest(payload(rewrapped[0], tmp_path)) == elementary_digest(source)


def test_the_mapping_row_becomes_the_header_of_plain_video(migrated: tuple[Desk, object]) -> None:
    desk, _ = migrated
    plain = [d for d in map(pydicom.dcmread, desk.results()) if d.SOPClassUID == VIDEO_ENDOSCOPIC]
    assert {(d.PatientID, str(d.PatientName), d.StudyDate, d.Modality) for d in plain} == {
        ("P-1", "Doe^Jane", "20240229", "ES")
    }
    assert len({d.StudyInstanceUID for d in plain}) == 1


def test_results_lie_by_study_series_and_instance_with_evidence_beside(migrated: tuple[Desk, object]) -> None:
    desk, _ = migrated
    for path in desk.results():
        made = pydicom.dcmread(path, stop_before_pixels=True)
        assert path.relative_to(desk.out).parts == (
            made.StudyInstanceUID,
            made.SeriesInstanceUID,
            f"{made.SOPInstanceUID}.dcm",
        )
        evidence = json.loads(path.with_suffix(".evidence.json").read_text())
        assert evidence["output"]["digest_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert path.with_suffix(".scores.npz").exists() == (evidence["plan"]["path"] == "encode")


def test_every_encoded_item_met_the_gate(migrated: tuple[Desk, object]) -> None:
    _, run = migrated
    encoded = [item for item in run.items.values() if item["state"] == "done" and item["path"] == "encode"]
    assert len(encoded) == 2
    for item in encoded:
        assert item["scores"]["psnr_y"]["mean"] >= 40
        assert item["scores"]["ssim"]["mean"] >= 0.97
        assert item["scores"]["vmaf"]["mean"] >= 93


def test_the_report_is_one_file_without_external_assets(migrated: tuple[Desk, object]) -> None:
    desk, _ = migrated
    html = (desk.out / "report.html").read_text(encoding="utf-8")
    assert "clip ü.mp4" in html
    assert "src=" not in html
    assert "http://" not in html


def test_the_sources_are_untouched(desk: Desk) -> None:
    clip = desk.camera("clip.mp4")
    before = clip.read_bytes(), clip.stat().st_mtime_ns, clip.stat().st_nlink
    desk.migrate("--map", str(desk.mapping()))
    assert (clip.read_bytes(), clip.stat().st_mtime_ns, clip.stat().st_nlink) == before


def test_running_again_does_nothing_twice(desk: Desk) -> None:
    desk.camera("clip.mp4")
    desk.ultrasound("loop.dcm")
    first = desk.migrate("--map", str(desk.mapping()))
    stats = [(path, path.stat().st_mtime_ns, path.stat().st_ino) for path in desk.results()]
    second = desk.migrate("--map", str(desk.mapping()))
    assert first.code == second.code == 0
    assert [(path, path.stat().st_mtime_ns, path.stat().st_ino) for path in desk.results()] == stats
    assert {name: item["attempts"] for name, item in second.items.items()} == {
        name: item["attempts"] for name, item in first.items.items()
    }


def test_a_result_that_was_deleted_is_made_again_with_the_same_uid(desk: Desk) -> None:
    desk.camera("clip.mp4")
    desk.migrate("--map", str(desk.mapping()))
    (made,) = desk.results()
    before = made.read_bytes()
    made.unlink()
    assert desk.migrate("--map", str(desk.mapping())).code == 0
    assert made.read_bytes() == before


def test_plain_video_without_a_row_fails_with_what_to_add_and_succeeds_with_it(desk: Desk) -> None:
    desk.camera("clip.mp4")
    run = desk.migrate()
    failure = run.items["clip.mp4"]["failure"]
    assert run.code == 1
    assert failure["code"] == "MissingMetadata"
    assert "--map" in failure["hint"]
    assert "PatientID" in failure["hint"]
    assert desk.migrate("--map", str(desk.mapping())).code == 0
    assert len(desk.results()) == 1


def test_a_changed_source_is_taken_up_again(desk: Desk) -> None:
    desk.camera("clip.mp4", seed=0)
    desk.migrate("--map", str(desk.mapping()))
    desk.camera("clip.mp4", seed=90, seconds=2)
    assert desk.migrate("--map", str(desk.mapping())).code == 0
    counts = sorted(pydicom.dcmread(path, stop_before_pixels=True).NumberOfFrames for path in desk.results())
    assert counts == [25, 50]


def test_kept_sound_is_legal_and_dropped_sound_is_gone(desk: Desk, tmp_path: Path) -> None:
    desk.capture("tape.mpg")
    run = desk.migrate("--map", str(desk.mapping()), "--audio", "keep")
    assert run.code == 0, run.stderr
    with av.open(str(payload(desk.results()[0], tmp_path))) as container:
        (sound,) = container.streams.audio
        # an MP4 names MPEG-1 audio of any layer alike (object type 0x6B), so FFmpeg opens MP2 with its MP3 decoder
        assert sound.codec_context.name in {"aac", "mp2", "mp3", "mp3float"}
        assert sound.codec_context.sample_rate == 48_000


def test_the_output_inside_the_source_folder_is_not_taken_for_a_source(desk: Desk) -> None:
    desk.camera("clip.mp4")
    out = str(desk.sources / "out")
    desk.migrate("--map", str(desk.mapping()), to=out)
    run = desk.migrate("--map", str(desk.mapping()), to=out)
    assert list(run.items) == ["clip.mp4"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["migrate", "nowhere", "--to", "out"], "nowhere"),
        (["migrate", ".", "--to", "ftp://x/y"], "destination"),
        (["migrate", ".", "--to", "out", "--profile", "best"], "profile"),
        (["migrate", ".", "--to", "out", "--map", "no.csv"], "mapping"),
        (["migrate", ".", "--to", "map.csv"], "no folder"),
        (["migrate", ".", "--to", "map.csv/below"], "no folder"),
        (["migrate", ".", "--to", "."], "also the destination"),
        (["migrate", "."], "--to"),
        (["migrat"], "migrat"),
    ],
)
def test_a_wrong_command_ends_with_2_and_says_what_was_wrong(arguments: list[str], word: str, desk: Desk) -> None:
    command = Path(desk.argv()[0])
    desk.mapping()
    state = os.environ | {"XDG_STATE_HOME": str(desk.state)}
    done = subprocess.run(
        [command, *arguments], cwd=desk.folder, env=state, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert not (desk.folder / "out").exists()
