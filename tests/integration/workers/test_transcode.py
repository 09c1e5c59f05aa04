"""One transcode order on a real store: what is kept, rewrapped, encoded, judged, found again and refused."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import imageio_ffmpeg
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.encaps import generate_fragments
from support.transcoding import Bench

from common.errors import LeaseLost, UnreadableSource
from common.orders import Path as Way
from common.recipes import ARCHIVE, Gate, Threshold
from workers.attempt import Attempt


def make(path: Path, *codec: str, size: str = "160x120") -> Path:
    program = imageio_ffmpeg.get_ffmpeg_exe()
    words = ["-f", "lavfi", "-i", f"testsrc2=s={size}:r=25:d=1", *codec, "-pix_fmt", "yuv420p", str(path)]
    subprocess.run([program, "-nostdin", "-y", "-v", "error", *words], check=True)
    return path


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make(tmp_path / "clip.mp4", "-c:v", "libx264", "-profile:v", "high", "-level:v", "4.1")


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    return make(tmp_path / "tape.avi", "-c:v", "mpeg4", "-q:v", "2")


def test_a_legal_clip_is_packaged_without_a_score(bench: Bench, clip: Path) -> None:
    done = bench.run(bench.order(clip))
    made = bench.instance(done)
    assert done.verdict.passed
    assert done.scores == {}
    assert (made.NumberOfFrames, made.Rows, made.Columns) == (25, 120, 160)
    assert str(made.PatientName) == "Doe^Jane"


def test_an_encoded_clip_carries_scores_evidence_and_the_worst_frames(bench: Bench, tape: Path) -> None:
    done = bench.run(bench.order(tape))
    evidence = json.loads(bench.store.get(done.evidence_keys[0]))
    assert done.output_frames == 25
    assert set(done.scores) == {"psnr_y", "psnr_cb", "psnr_cr", "ssim", "vmaf"}
    assert evidence["output"]["digest_sha256"] == done.instance_digest
    assert len(evidence["worst_frames"]["vmaf"]) == 5
    assert (evidence["alignment"]["shifts"], evidence["alignment"]["frames"]) == ([], 25)
    assert evidence["measured"] == {"stride": 1, "frames": 25, "not_measured": {}}
    assert str(tape) not in json.dumps(evidence)


def test_a_result_of_ours_is_kept_to_the_byte_when_it_comes_back_as_a_source(
    bench: Bench, clip: Path, tmp_path: Path
) -> None:
    first = bench.run(bench.order(clip))
    again = tmp_path / "again.dcm"
    bench.store.export(first.instance_key, again)
    order = bench.order(again)
    done = bench.run(order)
    assert order.plan.path is Way.KEEP
    assert bench.store.get(done.instance_key) == again.read_bytes()
    assert done.sop_instance_uid == first.sop_instance_uid


def test_dicom_video_is_rewrapped_from_its_fragments(bench: Bench, clip: Path, tmp_path: Path) -> None:
    first = bench.run(bench.order(clip))
    source = tmp_path / "source.dcm"
    bench.store.export(first.instance_key, source)
    order = bench.order(source)
    order = order.model_copy(
        update={"plan": order.plan.model_copy(update={"path": Way.REWRAP}), "sop_instance_uid": "2.25.4712"}
    )
    made, before = bench.instance(bench.run(order)), pydicom.dcmread(source)
    assert made.SOPInstanceUID == "2.25.4712"
    assert next(generate_fragments(made.PixelData)) == next(generate_fragments(before.PixelData))


def test_a_gate_that_is_missed_leaves_evidence_and_no_instance(tmp_path: Path, tape: Path) -> None:
    impossible = Gate(thresholds=(Threshold(metric="vmaf", statistic="min", minimum=101),))
    bench = Bench(tmp_path, ARCHIVE.model_copy(update={"gate": impossible}))
    done = bench.run(bench.order(tape))
    assert not done.verdict.passed
    assert done.instance_key == ""
    assert "vmaf min" in done.verdict.misses[0]
    assert [key.rpartition("/")[2] for key in bench.store.keys("results/")] == [
        "evidence.json",
        "result.json",
        "scores.npz",
    ]


def test_a_second_attempt_finds_the_first_ones_result(bench: Bench, tape: Path) -> None:
    first = bench.run(bench.order(tape))
    second = bench.run(bench.order(tape))
    assert second.reused
    assert second.instance_digest == first.instance_digest


def test_two_attempts_from_scratch_give_the_same_bytes(tmp_path: Path, tape: Path) -> None:
    digests = {bench.run(bench.order(tape)).instance_digest for bench in (Bench(tmp_path / "a"), Bench(tmp_path / "b"))}
    assert len(digests) == 1


def test_a_lost_instance_is_made_again(bench: Bench, clip: Path) -> None:
    first = bench.run(bench.order(clip))
    bench.store.delete(first.instance_key)
    second = bench.run(bench.order(clip))
    assert not second.reused
    assert second.instance_digest == first.instance_digest


def test_a_source_that_changed_since_it_was_described_is_refused(bench: Bench, clip: Path) -> None:
    order = bench.order(clip)
    clip.write_bytes(clip.read_bytes() + b"more")
    with pytest.raises(UnreadableSource, match="bytes when it was described"):
        bench.run(order)
    assert list(bench.store.keys("results/")) == []


def test_a_kept_source_whose_bytes_changed_in_place_is_refused(bench: Bench, clip: Path, tmp_path: Path) -> None:
    source = tmp_path / "source.dcm"
    bench.store.export(bench.run(bench.order(clip)).instance_key, source)
    order = bench.order(source).model_copy(update={"output_prefix": "results/cd/kept"})
    data = bytearray(source.read_bytes())
    data[-20] ^= 1
    source.write_bytes(data)
    with pytest.raises(UnreadableSource, match="changed"):
        bench.run(order)
    assert list(bench.store.keys("results/cd")) == []


def test_an_attempt_that_lost_its_lease_stops_and_writes_nothing(bench: Bench, tape: Path) -> None:
    with pytest.raises(LeaseLost):
        bench.run(bench.order(tape), Attempt(revoked=True))
    assert list(bench.store.keys("results/")) == []


def test_progress_is_reported_to_the_lease(bench: Bench, tape: Path) -> None:
    attempt = Attempt()
    bench.run(bench.order(tape), attempt)
    assert attempt.fraction == 1.0


def test_ultrasound_pictures_become_video_of_the_same_class(bench: Bench) -> None:
    source = Path(str(get_testdata_file("examples_ybr_color.dcm", download=False)))
    done = bench.run(bench.order(source))
    made, before = bench.instance(done), pydicom.dcmread(source)
    assert made.SOPClassUID == before.SOPClassUID
    assert made.SourceImageSequence[0].ReferencedSOPInstanceUID == before.SOPInstanceUID
    assert made.LossyImageCompressionMethod[-1] == "ISO_14496_10"


def test_a_dicom_video_with_a_wrong_header_is_mended_without_touching_its_stream(
    bench: Bench, clip: Path, tmp_path: Path
) -> None:
    source = tmp_path / "wrong.dcm"
    bench.store.export(bench.run(bench.order(clip)).instance_key, source)
    wrong = pydicom.dcmread(source)
    wrong.Rows, wrong.NumberOfFrames = 100, 7
    wrong.save_as(tmp_path / "saved.dcm")
    order = bench.order(tmp_path / "saved.dcm")
    made = bench.instance(bench.run(order))
    assert order.plan.path is Way.REWRAP
    assert (made.Rows, made.NumberOfFrames) == (120, 25)
    assert made.PixelData == wrong.PixelData
