"""The workers' orders on a store that has no local paths: described, kept, rewrapped, encoded and delivered from S3."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import imageio_ffmpeg
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.encaps import generate_fragments
from support.s3 import S3Server

from common.errors import EnvironmentFault, LeaseLost, StoreFault, UnreadableSource
from common.media import Description
from common.orders import DeliverOrder, DescribeOrder, TranscodeDone, TranscodeOrder
from common.orders import Path as Way
from common.recipes import ARCHIVE
from common.store.s3 import S3Store
from orchestrator.planner import plan
from workers import transcode as transcode_module
from workers.attempt import Attempt
from workers.build import Worker
from workers.local import local_source

HEADER = {
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]},
    "00100020": {"vr": "LO", "Value": ["P-1"]},
    "00080060": {"vr": "CS", "Value": ["ES"]},
}
CAMERA = ("-c:v", "libx264", "-profile:v", "high", "-level:v", "4.1", "-pix_fmt", "yuv420p")
TAPE = ("-c:v", "mpeg4", "-q:v", "2", "-pix_fmt", "yuv420p")


@dataclass
class Bench:
    """A worker on an S3 store, and orders for files."""

    folder: Path
    server: S3Server
    bucket: str = ""
    orders: int = field(default=0)

    def __post_init__(self) -> None:
        self.bucket = self.server.bucket()
        url = f"s3://{self.bucket}/farm"
        self.settings = self.server.settings(store_url=url, scratch_dir=self.folder / "scratch")
        self.worker = Worker(self.settings)
        assert isinstance(self.worker.store, S3Store)
        self.store = self.worker.store
        self.store.put("headers/h.json", json.dumps(HEADER).encode())

    def describe(self, source: Path) -> Description:
        self.store.adopt("sources/one", source)
        order = DescribeOrder(order_id="d", item_id="one", attempt=1, source_key="sources/one", name_hint=source.suffix)
        return self.worker.work(order, Attempt()).description

    def order(self, source: Path) -> TranscodeOrder:
        description = self.describe(source)
        self.orders += 1
        chosen = plan(description, ARCHIVE, modality="ES")
        kept = description.dicom is not None and chosen.path is Way.KEEP
        return TranscodeOrder(
            order_id=f"order{self.orders}",
            item_id="one",
            attempt=1,
            source_key="sources/one",
            description=description,
            plan=chosen,
            header_key=None if description.dicom else "headers/h.json",
            output_prefix=f"results/ab/{description.digest}/work",
            sop_instance_uid=description.dicom.sop_instance_uid if kept and description.dicom else "2.25.4711",
            original_instance_uid=description.dicom.sop_instance_uid if description.dicom else "",
        )

    def run(self, order: TranscodeOrder) -> TranscodeDone:
        return self.worker.work(order, Attempt())

    def instance(self, done: TranscodeDone) -> pydicom.FileDataset:
        return pydicom.dcmread(BytesIO(self.store.get(done.instance_key)))

    def scratch(self) -> list[Path]:
        return [path for path in (self.folder / "scratch").rglob("*") if path.is_file()]


def make(path: Path, *codec: str, seconds: int = 1) -> Path:
    program = imageio_ffmpeg.get_ffmpeg_exe()
    words = ["-f", "lavfi", "-i", f"testsrc2=s=160x120:r=25:d={seconds}", *codec, str(path)]
    subprocess.run([program, "-nostdin", "-y", "-v", "error", *words], check=True)
    return path


def delivery(done: TranscodeDone, folder: Path) -> DeliverOrder:
    return DeliverOrder(
        order_id="deliver",
        item_id="one",
        attempt=1,
        destination=str(folder),
        instance_key=done.instance_key,
        instance_digest=done.instance_digest,
        instance_bytes=done.instance_bytes,
        evidence_keys=done.evidence_keys,
        study_uid=done.study_uid,
        series_uid=done.series_uid,
        sop_instance_uid=done.sop_instance_uid,
        sop_class_uid=done.sop_class_uid,
        transfer_syntax_uid=done.transfer_syntax_uid,
    )


@pytest.fixture
def bench(tmp_path: Path, s3: S3Server) -> Bench:
    return Bench(tmp_path, s3)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make(tmp_path / "clip.mp4", *CAMERA)


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    return make(tmp_path / "tape.avi", *TAPE)


def no_copies(*_: object, **__: object) -> None:
    raise AssertionError("the source was copied")


def test_a_source_in_a_bucket_is_described(bench: Bench, clip: Path) -> None:
    description = bench.describe(clip)
    assert (description.container, description.video.frame_count) == ("mp4", 25)
    assert description.size_bytes == clip.stat().st_size
    assert bench.scratch() == []


def test_a_legal_clip_is_rewrapped_from_a_bucket(bench: Bench, clip: Path) -> None:
    order = bench.order(clip)
    assert order.plan.path is Way.REWRAP
    made = bench.instance(bench.run(order))
    assert (made.NumberOfFrames, str(made.PatientName)) == (25, "Doe^Jane")
    assert bench.scratch() == []


def test_a_plain_video_is_encoded_without_a_copy(bench: Bench, tape: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = bench.order(tape)
    assert order.plan.path is Way.ENCODE
    monkeypatch.setattr(transcode_module, "local_source", no_copies)
    done = bench.run(order)
    assert done.verdict.passed
    assert bench.instance(done).NumberOfFrames == 25


def test_an_index_at_the_end_is_found_by_ranges(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = bench.order(make(tmp_path / "phone.mp4", *TAPE, "-movflags", "-faststart"))
    assert not order.description.moov_first
    monkeypatch.setattr(transcode_module, "local_source", no_copies)
    assert bench.run(order).output_frames == 25


def test_the_evidence_holds_no_signed_url(bench: Bench, tape: Path) -> None:
    done = bench.run(bench.order(tape))
    evidence = bench.store.get(done.evidence_keys[0])
    assert b"X-Amz" not in evidence
    assert b"127.0.0.1" not in evidence


def test_what_fails_from_afar_is_done_on_a_copy(bench: Bench, tape: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = bench.order(tape)
    monkeypatch.setattr(S3Store, "presigned", lambda *_: f"{bench.server.endpoint}/{bench.bucket}/farm/sources/one")
    copied = []
    monkeypatch.setattr(transcode_module, "local_source", lambda *args: copied.append(args[1]) or local_source(*args))
    assert bench.run(order).verdict.passed
    assert copied == ["sources/one"]
    assert bench.scratch() == []


def test_a_dicom_video_is_kept_byte_for_byte(bench: Bench, clip: Path, tmp_path: Path) -> None:
    first = bench.run(bench.order(clip))
    (tmp_path / "kept.dcm").write_bytes(bench.store.get(first.instance_key))
    order = bench.order(tmp_path / "kept.dcm")
    assert order.plan.path is Way.KEEP
    done = bench.run(order)
    assert bench.store.get(done.instance_key) == (tmp_path / "kept.dcm").read_bytes()


def test_frames_of_a_dicom_loop_are_encoded_from_a_bucket(bench: Bench, tmp_path: Path) -> None:
    loop = tmp_path / "loop.dcm"
    shutil.copyfile(str(get_testdata_file("examples_ybr_color.dcm", download=False)), loop)
    made = bench.instance(bench.run(bench.order(loop)))
    assert made.NumberOfFrames == 30
    assert len(b"".join(generate_fragments(made.PixelData))) > 1000


def test_a_second_attempt_finds_the_first_ones_result(bench: Bench, clip: Path) -> None:
    order = bench.order(clip)
    first = bench.run(order)
    assert bench.run(order) == first.model_copy(update={"reused": True})


def test_a_source_of_another_size_than_described_is_refused(bench: Bench, tape: Path) -> None:
    order = bench.order(tape)
    with tape.open("ab") as stream:
        stream.write(b"more")
    bench.store.adopt("sources/one", tape)
    with pytest.raises(UnreadableSource, match="when it was described"):
        bench.run(order)


def test_a_folder_gets_instance_and_evidence_from_a_bucket(bench: Bench, clip: Path, tmp_path: Path) -> None:
    done = bench.run(bench.order(clip))
    order = delivery(done, tmp_path / "out")
    delivered = bench.worker.work(order, Attempt())
    assert delivered.proof == "sha256"
    assert (tmp_path / "out" / delivered.location).read_bytes() == bench.store.get(done.instance_key)
    names = sorted(path.name for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert names == ["2.25.4711.dcm", "2.25.4711.evidence.json"]


def test_a_copy_goes_when_the_work_ends_badly(bench: Bench, tmp_path: Path) -> None:
    bench.store.put("sources/one", bytes(3 << 20))
    seen = []
    with pytest.raises(ZeroDivisionError), local_source(bench.store, "sources/one", tmp_path / "scratch") as path:
        seen.append(path.stat().st_size / 0)
    assert bench.scratch() == []


def test_a_revoked_attempt_stops_copying(bench: Bench, tmp_path: Path) -> None:
    bench.store.put("sources/one", bytes(3 << 20))
    attempt = Attempt(revoked=True)
    with pytest.raises(LeaseLost), local_source(bench.store, "sources/one", tmp_path / "scratch", attempt.check):
        pass
    assert bench.scratch() == []


def test_a_source_that_left_the_bucket_is_a_store_fault(bench: Bench, clip: Path) -> None:
    order = bench.order(clip)
    bench.store.delete("sources/one")
    with pytest.raises(StoreFault, match="NoSuchKey"):
        bench.run(order)


def test_a_scratch_folder_without_room_is_the_machines_fault(bench: Bench, tmp_path: Path) -> None:
    bench.store.put("sources/one", b"x" * 10_000)
    (tmp_path / "scratch").write_bytes(b"a file where the folder should be")
    with (
        pytest.raises(EnvironmentFault, match="scratch") as caught,
        local_source(bench.store, "sources/one", tmp_path / "scratch"),
    ):
        pass
    assert str(tmp_path) not in str(caught.value)


def test_a_revoked_delivery_stops_in_mid_copy(bench: Bench, clip: Path, tmp_path: Path) -> None:
    done = bench.run(bench.order(clip))
    with pytest.raises(LeaseLost):
        bench.worker.work(delivery(done, tmp_path / "out"), Attempt(revoked=True))
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []
