"""The lossless purpose: what is copied shows the source's pictures to the bit, by the hash of each; one flipped bit fails."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
from support.transcoding import Bench

from common.ffmpeg import ffmpeg_program
from common.orders import Path as Way
from common.recipes import LOSSLESS, Audio
from workers.exact import SAME_BYTES, SAME_PICTURES, prove_exact
from workers.payload import Payload, Taken
from workers.sources import open_source
from workers.transcode import as_seen

FRAMES = 50


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, profile=LOSSLESS)


def clip(path: Path, *codec: str) -> Path:
    scene = ("-f", "lavfi", "-i", f"testsrc2=s=160x120:r=25:d={FRAMES / 25}", "-f", "lavfi", "-i", "sine=r=44100:d=2")
    words = [*scene, *codec, "-pix_fmt", "yuv420p", "-c:a", "mp2" if path.suffix == ".mpg" else "aac", str(path)]
    subprocess.run([ffmpeg_program(), "-nostdin", "-y", "-v", "error", *words], check=True)
    return path


X264 = ("-c:v", "libx264", "-bf", "2", "-g", "25")


@pytest.mark.parametrize(
    ("name", "codec", "audio", "path"),
    [
        ("a.mp4", X264, Audio.STRIP, Way.REWRAP),
        ("a.mkv", X264, Audio.KEEP, Way.REAUDIO),
        ("a.ts", ("-c:v", "libx265", "-x265-params", "log-level=none:high-tier=0"), Audio.STRIP, Way.REWRAP),
        ("a.mpg", ("-c:v", "mpeg2video", "-b:v", "1M", "-maxrate", "2M", "-bufsize", "1000k"), Audio.STRIP, Way.REWRAP),
    ],
)
def test_every_picture_of_a_copied_video_is_the_sources(
    bench: Bench, tmp_path: Path, name: str, codec: tuple[str, ...], audio: Audio, path: Way
) -> None:
    source = clip(tmp_path / name, *codec)
    order = bench.order(source, audio=audio)
    done = bench.run(order)
    exact = bench.evidence(done)["exact"]
    assert (order.plan.path, done.verdict.passed) == (path, True)
    assert (exact["proven_by"], exact["exact"], exact["frames"]) == (SAME_PICTURES, True, FRAMES)
    stream = tmp_path / "stream"
    stream.write_bytes(bench.stream(done))
    assert exact["source_sha256"] == exact["output_sha256"] == of_pictures(source) == of_pictures(stream)


def of_pictures(path: Path) -> str:
    """SHA-256 over the SHA-256 of all pictures that FFmpeg shows of a file, on its own."""
    words = ("-map", "0:v:0", "-fps_mode", "passthrough", "-f", "framehash", "-hash", "sha256", "-")
    told = subprocess.run([ffmpeg_program(), "-v", "error", "-i", path, *words], check=True, stdout=subprocess.PIPE)
    hashes = [line.split(",")[-1].strip() for line in told.stdout.decode().splitlines() if not line.startswith("#")]
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def test_a_dicom_video_that_is_rewrapped_is_proven_from_its_fragments_and_a_kept_one_by_its_bytes(
    bench: Bench, tmp_path: Path
) -> None:
    first = bench.run(bench.order(clip(tmp_path / "a.mp4", *X264)))
    source = tmp_path / "source.dcm"
    bench.store.export(first.instance_key, source)
    kept = bench.order(source)
    assert bench.evidence(bench.run(kept))["exact"] == {"proven_by": SAME_BYTES, "unequal": 0, "exact": True}
    changes = {"path": Way.REWRAP, "gate": LOSSLESS.gate}
    anew = kept.model_copy(
        update={
            "order_id": "again",
            "plan": kept.plan.model_copy(update=changes),
            "sop_instance_uid": "2.25.4712",
            "output_prefix": "results/ab/again",
        }
    )
    assert bench.evidence(bench.run(anew))["exact"]["frames"] == FRAMES


def test_one_flipped_bit_fails_and_the_frame_is_named(bench: Bench, tmp_path: Path) -> None:
    source = clip(tmp_path / "a.mp4", *X264, "-movflags", "+faststart")
    description = bench.describe(source)
    data = bytearray(source.read_bytes())
    data[len(data) * 2 // 3] ^= 0x10
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(data)
    for result, passes in ((source, True), (broken, False)):
        payload = Payload(result, Taken.WHOLE, description)
        proof = prove_exact(
            open_source(source, description, tmp_path), description, payload, tmp_path, settings=bench.settings
        )
        assert (proof.misses == ()) is passes
    assert proof.first_difference is not None
    assert 0 < proof.unequal < FRAMES
    assert f"frame {proof.first_difference}" in proof.misses[0]
    assert proof.source_sha256 != proof.output_sha256
    assert not list(tmp_path.glob("*.hashes"))


def test_a_lost_frame_fails(bench: Bench, tmp_path: Path) -> None:
    source = clip(tmp_path / "a.mp4", *X264)
    short = tmp_path / "short.mp4"
    words = ["-i", source, "-map", "0:v", "-c", "copy", "-frames:v", str(FRAMES - 5), "-movflags", "+faststart", short]
    subprocess.run([ffmpeg_program(), "-nostdin", "-y", "-v", "error", *words], check=True)
    description = bench.describe(source)
    payload = Payload(short, Taken.WHOLE, description)
    media = open_source(source, description, tmp_path)
    proof = prove_exact(media, description, payload, tmp_path, settings=bench.settings)
    assert "shows 50 pictures and the result 45" in proof.misses[0]


def test_other_purposes_copy_without_decoding(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert "exact" not in bench.evidence(bench.run(bench.order(clip(tmp_path / "a.mp4", *X264))))


def test_pictures_that_differ_keep_a_result_back(bench: Bench, tmp_path: Path) -> None:
    from workers.exact import ExactProof
    from workers.looks import NOT_DECODED, look_at

    description = bench.describe(clip(tmp_path / "a.mp4", *X264))
    looks = look_at(description, description, why_not=NOT_DECODED)
    assert as_seen(looks, ExactProof(SAME_PICTURES, 50, 50)).passed
    assert not as_seen(looks, ExactProof(SAME_PICTURES, 50, 50, unequal=1, first_difference=3)).passed
