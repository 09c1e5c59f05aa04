"""HEVC and level 4.2, really encoded: profile, level, tier, groups, colour, bits; judged in the same process; as DICOM."""

from __future__ import annotations

import json
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
import pydicom
import pytest
from av.video.frame import PictureType

from common.conformance import check_stream
from common.errors import NoLegalPath
from common.media import Description, Scan
from common.orders import TranscodeDone, TranscodeOrder
from common.recipes import ARCHIVE, Recipe
from common.settings import Settings
from common.store.folder import FolderStore
from orchestrator.planner import plan
from workers.attempt import Attempt
from workers.describe import describe_sandboxed
from workers.encode import Encoded
from workers.ffmpeg.encoders import check_level
from workers.ffmpeg.parse import parse_scores
from workers.quality import judge, pool
from workers.threads import cores
from workers.transcode import transcode

if TYPE_CHECKING:
    from tests.integration.workers.conftest import Clip, Studio

ROOT = "1.2.840.10008.1.2.4"
BARS = "testsrc2=s=160x120:r=25:d=1,format=yuv420p"
HD60 = "testsrc2=s=1920x1080:r=60:d=0.2,format=yuv420p"
UHD = "testsrc2=s=3840x2160:r=30:d=0.2,format=yuv420p"
HEADER = {"00100020": {"vr": "LO", "Value": ["P-1"]}, "00080060": {"vr": "CS", "Value": ["ES"]}}
IDR = (19, 20)  # IDR_W_RADL, IDR_N_LP: H.265 Table 7-1


def by_cpu(target: int, rung: int = 0) -> Recipe:
    uid = f"{ROOT}.{target}"
    return next(r for r in ARCHIVE.recipes(rung) if r.transfer_syntax_uid == uid and r.encoder.startswith("lib"))


def encode(studio: Studio, clip: Clip, recipe: Recipe, name: str = "out.mp4", **changes: object) -> Encoded:
    return studio.encode(clip, name=name, **(recipe.model_dump() | {"preset": "ultrafast"} | changes))


def described(done: Encoded) -> Description:
    return describe_sandboxed(done.path, ".mp4", Settings())


def errors(done: Encoded, target: int) -> list[str]:
    return [f.found for f in check_stream(described(done), f"{ROOT}.{target}") if f.severity == "error"]


def hvcc(path: Path) -> bytes:
    """The decoder configuration record, ISO/IEC 14496-15 8.3.3.1."""
    with av.open(str(path)) as container:
        return bytes(container.streams.video[0].codec_context.extradata or b"")


@pytest.mark.parametrize(("target", "profile", "bits"), [(107, 1, 8), (108, 2, 10)])
def test_profile_main_tier_and_level_5_1_are_written(studio: Studio, target: int, profile: int, bits: int) -> None:
    done = encode(studio, studio.moving(BARS), by_cpu(target))
    record = hvcc(done.path)
    assert (record[1] >> 5 & 1, record[1] & 31, record[12]) == (0, profile, 153)  # tier, profile_idc, level_idc
    video = described(done).video
    assert (video.bit_depth, video.chroma, video.full_range) == (bits, "4:2:0", False)
    assert (video.matrix, video.primaries, video.transfer) == ("bt470bg", "bt470bg", "smpte170m")
    assert errors(done, target) == []


def test_the_sample_entry_is_hvc1_and_the_index_lies_first(studio: Studio) -> None:
    data = encode(studio, studio.moving(BARS), by_cpu(107)).path.read_bytes()
    assert b"hvc1" in data
    assert b"hev1" not in data
    assert data.index(b"moov") < data.index(b"mdat")


def nal_types(studio: Studio, path: Path) -> list[int]:
    stream = studio.ffmpeg("-i", path, "-c", "copy", "-bsf:v", "hevc_mp4toannexb", "-f", "hevc", "-")
    return [unit[0] >> 1 & 63 for unit in stream.split(b"\0\0\1")[1:]]


def picture_types(path: Path) -> list[str]:
    with av.open(str(path)) as container:
        return [PictureType(frame.pict_type).name for frame in container.decode(video=0)]


def test_groups_are_closed_and_as_long_as_the_recipe_says(studio: Studio) -> None:
    done = encode(studio, studio.moving(BARS), by_cpu(107), preset="medium", gop_seconds=0.4)
    types = picture_types(done.path)
    assert [n for n, kind in enumerate(types) if kind == "I"] == [0, 10, 20]
    assert max(map(len, "".join(types).replace("I", "P").split("P"))) == 2  # B pictures in a row
    units = nal_types(studio, done.path)
    assert sum(unit in IDR for unit in units) == 3
    assert not {21, 8, 9} & set(units)  # CRA and its leading pictures: an open group


def test_every_intra_picture_of_a_scene_full_of_cuts_is_an_idr_picture(studio: Studio) -> None:
    rows, columns = np.mgrid[:96, :96]
    waves = np.random.default_rng(1).uniform(-0.3, 0.3, (8, 2))
    scenes = [127 + 120 * np.sin(across * columns + down * rows) for across, down in waves]
    frames = np.repeat(np.array(scenes, np.uint8), 5, axis=0)
    done = encode(studio, studio.raw(frames, "gray"), by_cpu(107), preset="medium", gop_seconds=4)
    intra = picture_types(done.path).count("I")
    assert intra > 3
    assert sum(unit in IDR for unit in nal_types(studio, done.path)) == intra


def test_the_same_order_gives_the_same_bytes_and_no_word_about_the_machine(studio: Studio) -> None:
    clip, recipe = studio.moving(BARS), by_cpu(107)
    first, second = (encode(studio, clip, recipe, name, preset="medium") for name in ("a.mp4", "b.mp4"))
    assert first.path.read_bytes() == second.path.read_bytes()
    assert b"cpuid" not in first.path.read_bytes()
    assert first.complaints == ""


def test_the_peak_rate_is_kept_under_the_vbv(studio: Studio) -> None:
    noise = "testsrc2=s=320x240:r=25:d=2,noise=alls=80:allf=t:all_seed=1,format=yuv420p"
    done = encode(studio, studio.moving(noise), by_cpu(107), crf=0, max_rate_kbit=4_000, buffer_kbit=2_000)
    assert done.size_bytes * 8 < (4_000 * 2 + 2_000) * 1000 * 1.05  # two seconds at the peak, and one full buffer


@pytest.mark.parametrize("target", [107, 108])
def test_scores_equal_those_of_measuring_the_finished_file(studio: Studio, target: int) -> None:
    clip = studio.moving(BARS)
    done = encode(studio, clip, by_cpu(target))
    log, form = studio.folder / "second.csv", "yuv420p10le" if target == 108 else "yuv420p"
    metrics = f"libvmaf=feature='name=psnr|name=float_ssim':log_fmt=csv:log_path={log}"
    exact = "scale=flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp+bitexact:sws_dither=none"
    graph = f"[0:v]{exact},format={form}[ref];[1:v][ref]{metrics}"
    studio.ffmpeg(*clip.media.args, "-i", done.path, "-lavfi", graph, "-f", "null", "-")
    for metric, values in parse_scores(log, 25).items():
        np.testing.assert_allclose(done.scores[metric], values, atol=1e-3)


def test_every_rung_scores_better_on_noise_and_the_last_passes_the_gate(studio: Studio) -> None:
    clip = studio.moving("testsrc2=s=160x120:r=25:d=1,noise=alls=60:allf=t:all_seed=1,format=yuv420p")
    pooled = [pool(encode(studio, clip, by_cpu(107, rung), preset="medium").scores, Fraction(25)) for rung in range(4)]
    means = [scores["psnr_y"].mean for scores in pooled]
    assert means == sorted(means)
    assert not judge(pooled[0], ARCHIVE.gate).passed
    assert judge(pooled[-1], ARCHIVE.gate).passed


def test_ten_bits_come_through_as_they_are(studio: Studio) -> None:
    graph = "gradients=s=160x120:r=25:d=0.4:speed=0.02,format=yuv420p10le"
    path = studio.make("deep.mkv", graph, "-c:v", "ffv1", "-color_range", "tv", "-colorspace", "bt709")
    clip = studio.file(path, full_range=False, matrix="bt709")
    done = encode(studio, clip, by_cpu(108), crf=0)
    assert errors(done, 108) == []
    # PSNR of 10-bit samples ends at 72 dB (6 × bits + 12); 8 bits could not show more than 60
    assert pool(done.scores, Fraction(25))["psnr_y"].mean > 60


def test_fields_are_refused(studio: Studio) -> None:
    clip = studio.moving(BARS)
    video = clip.description.video.model_copy(update={"scan": Scan.TOP_FIELD_FIRST})
    fields = type(clip)(clip.media, clip.description.model_copy(update={"video": video}))
    with pytest.raises(NoLegalPath, match="interlaced"):
        encode(studio, fields, by_cpu(107))


def test_1080p60_is_encoded_at_level_4_2(studio: Studio) -> None:
    clip = studio.moving(HD60)
    done = encode(studio, clip, by_cpu(104), preset="veryfast")
    with av.open(str(done.path)) as container:
        record = bytes(container.streams.video[0].codec_context.extradata or b"")
    assert (record[1], record[3]) == (100, 42)  # avcC: High, 4.2
    assert errors(done, 104) == []
    assert "macroblocks/s" in " ".join(errors(done, 102))


def make(path: Path, studio: Studio, graph: str) -> Path:
    return studio.make(path.name, graph, "-c:v", "mpeg4", "-q:v", 2)


@pytest.mark.timeout(200)
@pytest.mark.parametrize(
    ("graph", "accepts", "target", "bits"),
    [(UHD, None, 107, (8, 8, 7)), (BARS, (f"{ROOT}.108",), 108, (16, 10, 9)), (HD60, None, 104, (8, 8, 7))],
)
def test_the_whole_order_gives_a_conforming_instance(
    studio: Studio, tmp_path: Path, graph: str, accepts: tuple[str, ...] | None, target: int, bits: tuple[int, ...]
) -> None:
    source = make(tmp_path / "source.avi", studio, graph)
    done, store = transcoded(source, tmp_path, accepts)
    assert done.verdict.passed, done.verdict.misses
    assert [f for f in done.findings if f.severity == "error"] == []
    made = pydicom.dcmread(BytesIO(store.get(done.instance_key)))
    assert made.file_meta.TransferSyntaxUID == f"{ROOT}.{target}"
    assert (made.BitsAllocated, made.BitsStored, made.HighBit) == bits
    assert made.PhotometricInterpretation == "YBR_PARTIAL_420"
    assert made.LossyImageCompressionMethod[-1] == ("ISO_14496_10" if target == 104 else "ISO_23008_2")


def transcoded(source: Path, folder: Path, accepts: tuple[str, ...] | None) -> tuple[TranscodeDone, FolderStore]:
    store = FolderStore(folder / "store")
    store.put("headers/h.json", json.dumps(HEADER).encode())
    store.adopt("sources/one", source)
    description = describe_sandboxed(source, source.suffix, Settings())
    chosen = plan(description, ARCHIVE, modality="ES", destination_syntaxes=accepts)
    assert chosen.recipe is not None
    assert chosen.recipe.encoder in ("libx264", "libx265")
    quick = chosen.model_copy(update={"recipe": chosen.recipe.model_copy(update={"preset": "veryfast"})})
    order = TranscodeOrder(
        order_id="o",
        item_id="one",
        attempt=1,
        source_key="sources/one",
        description=description,
        plan=quick,
        header_key="headers/h.json",
        output_prefix="results/ab/x",
        sop_instance_uid="2.25.4711",
    )
    return transcode(order, store, folder / "scratch", Settings(), Attempt()), store


def test_4k_at_30_frames_is_within_the_level_and_4k_at_120_is_not(studio: Studio) -> None:

    check_level(3840, 2160, Fraction(60), by_cpu(107))
    with pytest.raises(NoLegalPath, match=r"HEVC level 5\.1"):
        check_level(3840, 2160, Fraction(120), by_cpu(107))


def test_large_pictures_get_fewer_threads_so_that_the_measurement_fits_into_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(64))
    assert [cores(width * height) for width, height in ((640, 480), (1920, 1080), (3840, 2160), (7680, 4320))] == [
        *(16, 16, 4, 2)
    ]
