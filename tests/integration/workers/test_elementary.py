"""Streams that are legal already are rewrapped bit by bit: for every syntax, from MP4 and from a transport or program stream."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path

import av
import pytest
from support.desk import ffmpeg

from common.bitstream.nal import annex_b
from common.dicom.transfer_syntaxes import ROOT
from common.errors import InternalFault
from common.ffmpeg import ffmpeg_program
from common.media import Description
from common.orders import Path as Way
from common.orders import TranscodeOrder
from common.recipes import ARCHIVE
from common.settings import Settings
from common.store.folder import FolderStore
from orchestrator.acceptance import Acceptance
from orchestrator.planner import plan
from workers.attempt import Attempt
from workers.describe import describe
from workers.elementary import ElementaryDigest, Watch
from workers.transcode import transcode

TOP, SMALL, HD = "s=720x576:r=25", "s=192x128:r=25", "s=1280x720:r=24"
X264, X265 = (
    ("-c:v", "libx264", "-bf", "2", "-profile:v", "high"),
    ("-c:v", "libx265", "-x265-params", "log-level=none"),
)
MPEG2 = ("-c:v", "mpeg2video", "-profile:v", "main", "-bf", "2", "-b:v", "4M", "-maxrate", "8M", "-bufsize", "1835008")
STREAMS = {
    ".100": (TOP, "yuv420p", MPEG2),
    ".101": ("s=1280x720:r=25", "yuv420p", (*MPEG2, "-level:v", "4")),
    ".102": (SMALL, "yuv420p", (*X264, "-level:v", "4.1")),
    ".103": (HD, "yuv420p", (*X264, "-level:v", "4.1", "-bluray-compat", "1", "-x264-params", "slices=4:keyint=24")),
    ".104": (SMALL, "yuv420p", (*X264, "-level:v", "4.2")),
    ".105": (SMALL, "yuv420p", (*X264, "-level:v", "4.2", "-x264-params", "frame-packing=3")),
    ".107": (SMALL, "yuv420p", X265),
    ".108": (SMALL, "yuv420p10le", (*X265, "-profile:v", "main10")),
}
NAMES = ("legal.mp4", "legal.ts")
HEADER = {"00100020": {"vr": "LO", "Value": ["P-1"]}, "00080060": {"vr": "CS", "Value": ["ES"]}}


def made(folder: Path, syntax: str, name: str) -> Path:
    """A stream legal under a syntax; MPEG-2 lies in a program stream where the others lie in MP4."""
    scene, form, words = STREAMS[syntax]
    mpeg2 = "mpeg2video" in words
    path = folder / (name.replace(".mp4", ".mpg") if mpeg2 else name)
    muxer = ("-f", "vob") if path.suffix == ".mpg" else ()
    ffmpeg("-f", "lavfi", "-i", f"testsrc2={scene}:d=0.5,format={form}", *words, *muxer, str(path))
    return path


def multiview(folder: Path, name: str) -> Path:
    """A Stereo High stream as containers see it: beside each picture's slices a NAL unit 20, beside the SPS a subset SPS. No free
    encoder writes one; the second view is no picture, but its bytes have to come through all the same."""
    path = folder / "base.264"
    words = (
        "-c:v",
        "libx264",
        "-profile:v",
        "high",
        "-level:v",
        "4.2",
        "-bf",
        "0",
        "-x264-params",
        "aud=1",
        "-f",
        "h264",
    )
    ffmpeg("-f", "lavfi", "-i", f"testsrc2={SMALL}:d=0.5,format=yuv420p", *words, str(path))
    units = []
    for nal in annex_b(path.read_bytes()):
        units.append(nal)
        if nal[0] & 31 == 7:
            units.append(bytes([0x6F, 128]) + nal[2:] + b"\x80")
        if nal[0] & 31 in (1, 5):
            units.append(bytes([nal[0] & 0x60 | 20, 0x40, 0x00, 0x0F]) + nal[1:])
    path.write_bytes(b"".join(b"\0\0\0\1" + unit for unit in units))
    ffmpeg("-i", str(path), "-c", "copy", str(folder / name))
    return folder / name


def migrated(folder: Path, source: Path, syntax: str) -> tuple[TranscodeOrder, dict[str, object], bytes]:
    """(order, evidence, Pixel Data) of a source brought to a destination that takes only this syntax."""
    description = describe(source, source.suffix)
    chosen = plan(description, ARCHIVE, [Acceptance(syntaxes={f"{ROOT}{syntax}"})], modality="ES")
    store = FolderStore(folder / "store")
    store.put("headers/h.json", json.dumps(HEADER).encode())
    store.adopt("sources/one", source)
    order = TranscodeOrder(
        order_id="o",
        item_id="one",
        attempt=1,
        source_key="sources/one",
        description=description,
        plan=chosen,
        header_key="headers/h.json",
        output_prefix="results/ab/x",
        sop_instance_uid="2.25.4711",
    )
    (folder / "scratch").mkdir()
    done = transcode(order, store, folder / "scratch", Settings(), Attempt())
    evidence = json.loads(store.get(done.evidence_keys[0]))
    return order, evidence, pixel_data(store.get(done.instance_key))


def pixel_data(instance: bytes) -> bytes:
    from pydicom import dcmread
    from pydicom.encaps import generate_fragments

    dataset = dcmread(io.BytesIO(instance))
    return b"".join(generate_fragments(dataset.PixelData))[: dataset.EncapsulatedPixelDataValueTotalLength]


def judged(path: Path, codec: str) -> list[bytes]:
    """What FFmpeg's own filters make of a stream, taken apart: slices and SEI of H.264 and HEVC, all bytes of MPEG-2."""
    bare = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb", "mpeg2video": "null"}[codec]
    words = ("-v", "error", "-i", str(path), "-map", "0:V:0", "-c", "copy", "-bsf:v", bare, "-f", codec, "-")
    data = subprocess.run([ffmpeg_program(), *words], capture_output=True, check=True).stdout
    if codec == "mpeg2video":
        return [data]
    aside = {"h264": (7, 8, 9, 15), "hevc": (32, 33, 34, 35)}[codec]
    kinds = {"h264": lambda nal: nal[0] & 31, "hevc": lambda nal: nal[0] >> 1 & 63}[codec]
    return [nal for nal in annex_b_all(data) if kinds(nal) not in aside]


def annex_b_all(data: bytes) -> list[bytes]:
    return [unit.rstrip(b"\0") for unit in data.split(b"\0\0\1") if unit.rstrip(b"\0")]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("syntax", [*STREAMS, ".106"])
def test_a_legal_stream_is_rewrapped_bit_by_bit(tmp_path: Path, syntax: str, name: str) -> None:
    source = multiview(tmp_path, name) if syntax == ".106" else made(tmp_path, syntax, name)
    order, evidence, stream = migrated(tmp_path, source, syntax)
    assert (order.plan.path, order.plan.transfer_syntax_uid) == (Way.REWRAP, f"{ROOT}{syntax}")
    said = evidence["elementary_stream"]
    assert said["source_sha256"] == said["output_sha256"] == order.description.video.stream_digest
    assert said["source_sha256"] is not None
    (tmp_path / "stream.bin").write_bytes(stream)
    codec = order.description.video.codec
    assert judged(tmp_path / "stream.bin", codec) == judged(source, codec)


def digest(path: Path) -> str | None:
    described: Description = describe(path, path.suffix)
    return described.video.stream_digest


@pytest.mark.parametrize("syntax", [".100", ".102", ".107"])
def test_one_stream_has_one_digest_in_every_container(tmp_path: Path, syntax: str) -> None:
    source = made(tmp_path, syntax, "legal.ts")
    others = ("copy.mpg", "copy.ts") if syntax == ".100" else ("copy.mp4", "copy.mkv")
    for name in others:
        ffmpeg("-i", str(source), "-c", "copy", *(("-f", "vob") if name.endswith("mpg") else ()), str(tmp_path / name))
    assert len({digest(source), *(digest(tmp_path / name) for name in others)}) == 1


def packets(path: Path) -> tuple[bytes, list[bytes]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return stream.codec_context.extradata or b"", [bytes(one) for one in container.demux(stream) if one.size]


def test_one_changed_bit_and_one_changed_parameter_set_change_the_digest(tmp_path: Path) -> None:
    extradata, stream = packets(made(tmp_path, ".102", "legal.mp4"))

    def hashed(extra: bytes, them: list[bytes]) -> str:
        found = ElementaryDigest("h264", extra)
        for packet in them:
            found.add(packet)
        return found.hexdigest()

    whole = hashed(extradata, stream)
    bit = [*stream[:-1], stream[-1][:-1] + bytes([stream[-1][-1] ^ 2])]
    other_set = extradata[:12] + bytes([extradata[12] ^ 1]) + extradata[13:]
    assert len({whole, hashed(extradata, bit), hashed(other_set, stream), hashed(extradata, stream[:-1])}) == 4


def test_a_stream_that_is_not_the_sources_own_is_kept_back(tmp_path: Path) -> None:
    source = made(tmp_path, ".102", "legal.mp4")
    order, _, _ = migrated(tmp_path, source, ".102")
    video = order.description.video.model_copy(update={"stream_digest": "0" * 64})
    wrong = order.model_copy(
        update={"description": order.description.model_copy(update={"video": video}), "output_prefix": "results/ab/y"}
    )
    store = FolderStore(tmp_path / "store")
    (tmp_path / "again").mkdir()
    with pytest.raises(InternalFault, match="not the source's own"):
        transcode(wrong, store, tmp_path / "again", Settings(), Attempt())
    assert store.size("results/ab/y/instance.dcm") is None


def test_what_cannot_be_read_front_to_back_is_passed_on_and_not_hashed() -> None:
    watch = Watch()
    chunks = [bytes(range(256)) * 50, b"", *[b"x" * 1000] * 10]
    assert list(watch.through(chunks)) == chunks
    assert watch.digest is None
