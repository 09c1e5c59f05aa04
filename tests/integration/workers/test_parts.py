"""A stream that is too large for one instance: cut at key frames into instances that play alone and name each other."""

from __future__ import annotations

import io
import json
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import av
import pydicom
import pytest
from pydicom.encaps import generate_fragments
from support.desk import ffmpeg

from common.dicom.encapsulation import write_instance
from common.dicom.transfer_syntaxes import ROOT
from common.errors import InternalFault, Uncuttable
from common.ffmpeg import ffmpeg_program
from common.media import Description
from common.orders import Path as Way
from common.orders import Plan, TranscodeDone, TranscodeOrder
from common.recipes import ARCHIVE, Audio
from common.settings import Settings
from common.store.folder import FolderStore
from orchestrator.acceptance import Acceptance
from orchestrator.planner import plan
from orchestrator.work import instance_uid, output_prefix
from workers import borders, parts
from workers.attempt import Attempt
from workers.check import check_file
from workers.cutting import Piece
from workers.describe import describe
from workers.transcode import transcode

HEADER = {
    "00100020": {"vr": "LO", "Value": ["P-1"]},
    "00080060": {"vr": "CS", "Value": ["ES"]},
    "00080023": {"vr": "DA", "Value": ["20240229"]},
    "00080033": {"vr": "TM", "Value": ["235959"]},
    "00200013": {"vr": "IS", "Value": ["7"]},
}
X264 = ("-c:v", "libx264", "-profile:v", "high", "-level:v", "4.1", "-g", "12", "-bf", "2", "-sc_threshold", "0")
OPEN = (*X264, "-x264-params", "open-gop=1:keyint=12:min-keyint=1")
MPEG2 = (
    "-c:v",
    "mpeg2video",
    "-profile:v",
    "main",
    "-g",
    "12",
    "-bf",
    "2",
    "-b:v",
    "3M",
    "-maxrate",
    "5M",
    "-bufsize",
    "1835008",
)
CLOSED = (*MPEG2, "-flags", "+cgop", "-sc_threshold", "1000000000")
SMALL, TELEVISION = "s=320x240:r=25", "s=352x288:r=25"


@dataclass(frozen=True)
class Made:
    """What came of one source."""

    source: Description
    plan: Plan
    done: TranscodeDone
    store: FolderStore
    folder: Path

    @cached_property
    def instances(self) -> list[pydicom.FileDataset]:
        return [pydicom.dcmread(io.BytesIO(self.store.get(part.instance_key))) for part in self.done.instances]

    @cached_property
    def streams(self) -> list[bytes]:
        return [
            b"".join(generate_fragments(one.PixelData))[: one.EncapsulatedPixelDataValueTotalLength]
            for one in self.instances
        ]

    @cached_property
    def evidence(self) -> dict[str, Any]:
        return dict(json.loads(self.store.get(self.done.evidence_keys[0])))


def clip(
    folder: Path, name: str, words: tuple[str, ...], *, scene: str = SMALL, seconds: int = 4, sound: bool = False
) -> Path:
    tone = ("-f", "lavfi", "-i", f"sine=r=48000:d={seconds}", "-c:a", "aac", "-ac", "2") if sound else ()
    picture = ("-f", "lavfi", "-i", f"testsrc2={scene}:d={seconds},format=yuv420p")
    ffmpeg(*picture, *tone[:4], *words, *tone[4:], str(folder / name))
    return folder / name


def brought(
    folder: Path, source: Path, share: Fraction = Fraction(2, 5), *, audio: Audio = Audio.STRIP, syntax: str = ""
) -> Made:
    """A source brought to a destination that takes instances of a share of its size."""
    description = describe(source, source.suffix)
    syntaxes = frozenset({f"{ROOT}{syntax}"}) if syntax else None
    limit = int(description.size_bytes * share)
    chosen = plan(description, ARCHIVE, [Acceptance(max_bytes=limit, syntaxes=syntaxes)], audio=audio, modality="ES")
    store = FolderStore(folder / "store")
    store.put("headers/h.json", json.dumps(HEADER).encode())
    store.adopt("sources/one", source)
    header = None if description.dicom else "headers/h.json"
    order = TranscodeOrder(
        order_id="order",
        item_id="one",
        attempt=1,
        source_key="sources/one",
        description=description,
        plan=chosen,
        header_key=header,
        output_prefix=output_prefix(description.digest, header, chosen),
        sop_instance_uid=instance_uid(description, header, chosen),
        original_instance_uid=description.dicom.sop_instance_uid if description.dicom else "",
    )
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    done = transcode(order, store, scratch, Settings(), Attempt())
    assert done.instance_key, (done.verdict, done.findings)
    assert {path.name for path in scratch.iterdir()} <= {"output", "scores.npz"}
    return Made(description, chosen, done, store, folder)


def pictures(stream: bytes | Path) -> list[bytes]:
    with av.open(io.BytesIO(stream) if isinstance(stream, bytes) else str(stream)) as container:
        return [frame.to_ndarray().tobytes() for frame in container.decode(video=0)]


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A legal clip of four seconds with sound, in three parts."""
    folder = tmp_path_factory.mktemp("three")
    return brought(folder, clip(folder, "closed.mp4", X264, sound=True), Fraction(1, 2), audio=Audio.KEEP)


SOURCES = {
    "closed.ts": (X264, SMALL),
    "tape.mpg": (CLOSED, TELEVISION),
    "hevc.mp4": (("-c:v", "libx265", "-x265-params", "log-level=none:open-gop=0:keyint=12:min-keyint=1"), SMALL),
}


def assert_parted(made: Made, source: Path) -> None:
    """Every part within its limit, numbered without a gap; decoded one by one they show what the whole shows."""
    split = made.plan.split
    assert split is not None
    assert len(made.done.parts) >= 3
    assert all(part.instance_bytes <= split.limit_bytes for part in made.done.parts)
    counts = [part.frames for part in made.done.parts]
    assert [part.first_frame for part in made.done.parts] == [0, *accumulate(counts)][:-1]
    assert [int(one.NumberOfFrames) for one in made.instances] == counts
    assert [picture for stream in made.streams for picture in pictures(stream)] == pictures(source)


@pytest.mark.parametrize("name", SOURCES)
def test_a_rewrapped_stream_is_cut_into_parts_that_play_alone_and_lose_no_picture(tmp_path: Path, name: str) -> None:
    words, scene = SOURCES[name]
    source = clip(tmp_path, name, words, scene=scene)
    made = brought(tmp_path, source)
    assert made.plan.path is Way.REWRAP
    assert_parted(made, source)


def test_sound_goes_with_its_pictures_and_no_packet_of_it_is_lost_or_doubled(three: Made) -> None:
    assert_parted(three, three.folder / "closed.mp4")

    def sound(stream: bytes | Path) -> list[bytes]:
        with av.open(io.BytesIO(stream) if isinstance(stream, bytes) else str(stream)) as container:
            return [bytes(packet) for packet in container.demux(audio=0) if packet.size]

    heard = [sound(stream) for stream in three.streams]
    assert [packet for part in heard for packet in part] == sound(three.folder / "closed.mp4")
    assert all(
        abs(len(part) / 46.875 - len(pictures(stream)) / 25) < 0.1
        for part, stream in zip(heard, three.streams, strict=True)
    )


def test_no_part_has_a_finding_of_our_own_checker_or_an_error_of_ffmpeg(three: Made, tmp_path: Path) -> None:
    for number, (instance, stream) in enumerate(zip(three.instances, three.streams, strict=True)):
        path = tmp_path / f"{number}.dcm"
        instance.save_as(path)
        assert [finding for finding in check_file(path) if finding.severity == "error"] == []
        (tmp_path / "part.mp4").write_bytes(stream)
        words = ("-v", "error", "-err_detect", "explode", "-i", str(tmp_path / "part.mp4"), "-f", "null", "-")
        run = subprocess.run([ffmpeg_program(), *words], capture_output=True, check=True)
        assert run.stderr == b""


@pytest.mark.peer("dciodvfy")
def test_dciodvfy_finds_no_error_in_a_part(three: Made, tmp_path: Path) -> None:
    for part in three.done.parts:
        path = tmp_path / "part.dcm"
        path.write_bytes(three.store.get(part.instance_key))
        run = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
        assert [line for line in (run.stdout + run.stderr).splitlines() if line.startswith("Error")] == []


def test_each_part_names_all_others_and_says_which_part_it_is(three: Made) -> None:
    uids = [part.sop_instance_uid for part in three.done.parts]
    assert [str(one.SOPInstanceUID) for one in three.instances] == uids
    assert len({(str(one.StudyInstanceUID), str(one.SeriesInstanceUID)) for one in three.instances}) == 1
    assert [int(one.InstanceNumber) for one in three.instances] == [7001, 7002, 7003]
    for number, instance in enumerate(three.instances):
        named = [str(item.ReferencedSOPInstanceUID) for item in instance.ReferencedImageSequence]
        assert named == [uid for uid in uids if uid != uids[number]]
        assert {str(item.ReferencedSOPClassUID) for item in instance.ReferencedImageSequence} == {
            str(instance.SOPClassUID)
        }
        purposes = [item.PurposeOfReferenceCodeSequence[0].CodeValue for item in instance.ReferencedImageSequence]
        assert purposes == ["121348"] * number + ["121349"] * (2 - number)
        part = three.done.parts[number]
        words = f"Part {number + 1} of 3: frames {part.first_frame + 1} to {part.first_frame + part.frames} of 100"
        assert words in instance.DerivationDescription


def test_times_of_a_part_begin_where_it_begins(three: Made) -> None:
    for part, instance in zip(three.done.parts, three.instances, strict=True):
        later = part.first_frame / 25 - 1  # the whole began a second before midnight
        assert instance.ContentDate == ("20240229" if later < 0 else "20240301")
        clock = str(instance.ContentTime)
        assert 3600 * int(clock[:2]) + 60 * int(clock[2:4]) + float(clock[4:]) == pytest.approx(later % 86400)
        assert float(instance.EffectiveDuration) == part.frames / 25
        assert float(instance.FrameTime) == 40


def test_the_evidence_lists_the_parts_and_proves_that_no_coded_picture_changed(three: Made) -> None:
    parts = three.evidence["parts"]
    assert [part["sop_instance_uid"] for part in parts] == [str(one.SOPInstanceUID) for one in three.instances]
    assert len({part["pictures_sha256"] for part in parts}) == 3
    stream = three.evidence["elementary_stream"]
    assert stream["source_sha256"] == stream["output_sha256"] == three.source.video.stream_digest
    assert three.done.instance_bytes == sum(part.instance_bytes for part in three.done.parts)


def test_the_same_work_again_finds_its_parts_and_makes_them_anew_when_one_is_lost(tmp_path: Path) -> None:
    source = clip(tmp_path, "closed.mp4", X264)
    first = brought(tmp_path, source)
    assert brought(tmp_path, source).done.reused
    first.store.delete(first.done.parts[1].instance_key)
    again = brought(tmp_path, source)
    assert not again.done.reused
    assert again.done.parts == first.done.parts


def test_an_open_group_is_never_cut(tmp_path: Path) -> None:
    source = clip(tmp_path, "open.mp4", OPEN, seconds=2)
    with pytest.raises(Uncuttable, match="it can be cut"):
        brought(tmp_path, source)


def test_parts_cut_at_an_open_group_are_kept_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were the borders found wrong, the proof would notice: leading pictures lack what they refer to."""
    monkeypatch.setattr(borders, "_h264_entry", lambda _nals: "closed")
    with pytest.raises(InternalFault, match="frames, the whole 100"):
        brought(tmp_path, clip(tmp_path, "open.mp4", OPEN))
    assert list(FolderStore(tmp_path / "store").keys("results/")) == []


@pytest.mark.parametrize("proof", ["_same_stream", "_same_pictures"])
def test_parts_of_something_else_are_kept_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proof: str) -> None:
    """As many frames, but not those of the whole: the coded pictures tell, and so do the decoded ones."""

    names = ("first.mp4", "second.mp4")
    pieces = [Piece(clip(tmp_path, name, (*X264, "-vf", "negate"), seconds=1), 25, 0.0) for name in names]
    monkeypatch.setattr(parts, "cut", lambda *_: pieces)
    if proof == "_same_pictures":
        monkeypatch.setattr(parts, "_same_stream", lambda *_: None)
    with pytest.raises(InternalFault, match="coded pictures" if proof == "_same_stream" else "part 1 of 2"):
        brought(tmp_path, clip(tmp_path, "closed.mp4", X264, seconds=2), Fraction(4, 5))
    assert list(FolderStore(tmp_path / "store").keys("results/")) == []


def test_borders_lie_at_idr_pictures_between_open_groups(tmp_path: Path) -> None:
    """Four recordings with open groups, one behind the other: a part can begin with each, and nowhere else."""
    pieces = [clip(tmp_path, f"{number}.ts", OPEN, seconds=1) for number in range(4)]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(piece.read_bytes() for piece in pieces))
    ffmpeg(
        "-fflags",
        "+genpts",
        "-f",
        "concat",
        "-safe",
        "0",
        "-i",
        listed(tmp_path, pieces),
        "-c",
        "copy",
        str(tmp_path / "open.mp4"),
    )
    made = brought(tmp_path, tmp_path / "open.mp4", Fraction(3, 8))
    assert [part.first_frame for part in made.done.parts] == [0, 25, 50, 75]
    assert_parted(made, tmp_path / "open.mp4")


def listed(folder: Path, pieces: list[Path]) -> str:
    path = folder / "list.txt"
    path.write_text("".join(f"file '{piece}'\n" for piece in pieces))
    return str(path)


def test_leading_pictures_of_mpeg2_keep_their_group_where_it_is(tmp_path: Path) -> None:
    with pytest.raises(Uncuttable):
        brought(tmp_path, clip(tmp_path, "tape.mpg", MPEG2, scene=TELEVISION, seconds=2))


def test_an_encode_that_came_out_too_large_is_cut_too(tmp_path: Path) -> None:
    """Planned whole, by an estimate; what counts is what the encoder wrote."""
    source = clip(tmp_path, "odd.avi", ("-c:v", "mpeg4", "-q:v", "3"))
    made = brought(tmp_path, source, Fraction(1, 4))
    assert made.plan.path is Way.ENCODE
    limit = made.plan.split or made.plan.limit
    assert limit is not None
    assert all(part.instance_bytes <= limit.limit_bytes for part in made.done.parts)
    assert sum(len(pictures(stream)) for stream in made.streams) == 100
    assert all(one.LossyImageCompressionRatio for one in made.instances)


@pytest.mark.parametrize("fragment_bytes", [None, 20_000])
def test_a_dicom_object_that_is_too_large_becomes_parts_that_name_it(
    three: Made, tmp_path: Path, fragment_bytes: int | None
) -> None:
    """Legal as it is, or in several fragments, which the destination does not take: either way its stream is cut."""
    source = tmp_path / "source.dcm"
    source.write_bytes(three.store.get(three.done.parts[0].instance_key))
    if fragment_bytes is not None:
        header, stream = pydicom.dcmread(source, stop_before_pixels=True), three.streams[0]
        with source.open("wb") as out:
            write_instance(out, header, f"{ROOT}.102.1", [stream], len(stream), fragment_bytes=fragment_bytes)
    made = brought(tmp_path, source, Fraction(4, 5), audio=Audio.KEEP, syntax=".102")
    assert made.plan.path is Way.REWRAP
    assert {str(one.file_meta.TransferSyntaxUID) for one in made.instances} == {f"{ROOT}.102"}
    assert len(made.instances) > 1
    assert [picture for stream in made.streams for picture in pictures(stream)] == pictures(three.streams[0])
    original = three.done.parts[0].sop_instance_uid
    assert original not in {str(one.SOPInstanceUID) for one in made.instances}
    for one in made.instances:
        assert str(one.SourceImageSequence[-1].ReferencedSOPInstanceUID) == original
