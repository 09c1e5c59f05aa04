"""Every frame-based target × every kind of pixels: what was stored comes back, in pydicom's reading too."""

from __future__ import annotations

import json
import resource
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from support import loops
from support.desk import ffmpeg

from common.dicom.frame_syntaxes import (
    HTJ2K_LOSSLESS,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE,
    JPEG_LS_LOSSLESS,
)
from common.dicom.transfer_syntaxes import RLE_LOSSLESS
from common.errors import NoLegalPath
from common.frame_recipes import JPEG_LS, FrameRecipe
from common.orders import Path as Way
from common.orders import TranscodeDone, TranscodeOrder
from common.process import Limits, call
from common.recipes import PRIMARY, REVIEW, Gate, Profile, in_frames
from common.settings import Settings
from common.store.folder import FolderStore
from orchestrator import work
from orchestrator.planner import plan
from workers.attempt import Attempt
from workers.describe import describe_sandboxed
from workers.frames import coding
from workers.frames.coding import code_frames
from workers.frames.encoders import Encoder, encoder
from workers.frames.stored import Shape
from workers.transcode import transcode

LOSSLESS = (JPEG_LS_LOSSLESS, JPEG_2000_LOSSLESS, HTJ2K_LOSSLESS, RLE_LOSSLESS)
SOURCES: dict[str, Callable[[], Dataset]] = {
    "rgb": lambda: loops.loop(loops.colour(), "RGB"),
    "mono8": lambda: loops.loop(loops.grey(8), "MONOCHROME2"),
    "mono16": lambda: loops.loop(loops.grey(16), "MONOCHROME2"),
    "signed16": lambda: loops.loop(loops.grey(16, signed=True), "MONOCHROME1"),
    "palette": loops.palette,
    "mono10": lambda: loops.loop(loops.grey(10), "MONOCHROME2", 10),
    "mono12": lambda: loops.loop(loops.grey(12), "MONOCHROME2", 12),
    "signed12": lambda: loops.loop(loops.grey(12, signed=True), "MONOCHROME2", 12),
    "mono8in16": lambda: loops.loop(loops.grey(8, allocated=16), "MONOCHROME2", 8),
    "rgb16": lambda: loops.loop(loops.colour(16), "RGB"),
    "ybr": lambda: loops.loop(loops.colour(), "YBR_FULL"),
    "odd": lambda: loops.loop(loops.grey(8, rows=41, columns=63), "MONOCHROME2"),
}
UNGATED = REVIEW.model_copy(update={"gate": Gate(thresholds=())})
"""Noise and saturated edges are too much for 4:2:2."""

BEYOND_HTJ2K = {"mono10", "mono12", "signed12"}


@dataclass
class Bench:
    """A store and orders for files, planned as the recorder does."""

    folder: Path
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        self.store = FolderStore(self.folder / "store")
        self.scratch = self.folder / "scratch"
        self.scratch.mkdir()

    def order(self, source: Path, profile: Profile, rung: int = 0) -> TranscodeOrder:
        description = describe_sandboxed(source, source.suffix, self.settings)
        chosen = plan(description, profile, modality="ES", rung=rung)
        self.store.adopt("sources/one", source)
        header = {"00100020": {"vr": "LO", "Value": ["P-1"]}}
        self.store.put("headers/h.json", json.dumps(header).encode())
        return TranscodeOrder(
            order_id="order",
            item_id="one",
            attempt=1,
            source_key="sources/one",
            description=description,
            plan=chosen,
            header_key=None if description.dicom else "headers/h.json",
            output_prefix=work.output_prefix(description.digest, None, chosen),
            sop_instance_uid=work.instance_uid(description, None, chosen),
            original_instance_uid=description.dicom.sop_instance_uid if description.dicom else "",
        )

    def run(self, source: Path, profile: Profile, rung: int = 0) -> TranscodeDone:
        return transcode(self.order(source, profile, rung), self.store, self.scratch, self.settings, Attempt())

    def instance(self, done: TranscodeDone) -> pydicom.FileDataset:
        assert done.instance_key, (done.verdict, done.findings)
        return pydicom.dcmread(BytesIO(self.store.get(done.instance_key)))

    def evidence(self, done: TranscodeDone) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.store.get(done.evidence_keys[0]))
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def stored_values(made: Dataset) -> np.ndarray:
    """pydicom's own decoding, colour model untouched but for what a codestream itself undoes."""
    return np.asarray(pydicom.pixels.pixel_array(made, raw=True))


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("syntax", LOSSLESS)
def test_every_stored_value_comes_back(bench: Bench, syntax: str, kind: str, tmp_path: Path) -> None:
    if syntax == HTJ2K_LOSSLESS and kind in BEYOND_HTJ2K:
        pytest.skip("the encoder writes 8 or 16 bits alone")
    source = loops.save(SOURCES[kind](), tmp_path / "loop.dcm")
    made = bench.instance(bench.run(source, in_frames(REVIEW, syntax)))
    assert made.file_meta.TransferSyntaxUID == syntax
    np.testing.assert_array_equal(stored_values(made), stored_values(pydicom.dcmread(source)))


def test_pixels_that_the_encoder_cannot_hold_are_refused_before_any_work(bench: Bench, tmp_path: Path) -> None:
    source = loops.save(SOURCES["mono12"](), tmp_path / "loop.dcm")
    with pytest.raises(NoLegalPath, match="8 or 16 bits"):
        bench.order(source, in_frames(REVIEW, HTJ2K_LOSSLESS))


def test_a_lossless_coding_is_the_same_instance_and_keeps_its_header(bench: Bench, tmp_path: Path) -> None:
    before = loops.with_groups(SOURCES["mono12"]())
    source = loops.save(before, tmp_path / "loop.dcm")
    made = bench.instance(bench.run(source, PRIMARY))
    assert made.file_meta.TransferSyntaxUID == JPEG_LS_LOSSLESS
    del before.PixelData, made.PixelData
    assert made == before


@pytest.mark.parametrize(
    ("syntax", "photometric"),
    [
        (JPEG_LS_LOSSLESS, "RGB"),
        (JPEG_2000_LOSSLESS, "YBR_RCT"),
        (HTJ2K_LOSSLESS, "YBR_RCT"),
        (RLE_LOSSLESS, "RGB"),
        (JPEG_BASELINE, "YBR_FULL_422"),
    ],
)
def test_colour_by_plane_is_described_as_it_is_coded(
    bench: Bench, syntax: str, photometric: str, tmp_path: Path
) -> None:
    pixels = loops.colour()
    before = loops.loop(pixels, "RGB", PlanarConfiguration=1, PixelData=pixels.transpose(0, 3, 1, 2).tobytes())
    source = loops.save(before, tmp_path / "loop.dcm")
    made = bench.instance(bench.run(source, in_frames(UNGATED, syntax)))
    assert (made.PhotometricInterpretation, made.PlanarConfiguration) == (photometric, 0)
    assert stored_values(made).shape == pixels.shape


def test_the_evidence_names_coder_second_decoder_and_every_frames_digest(bench: Bench, tmp_path: Path) -> None:
    source = loops.save(SOURCES["rgb"](), tmp_path / "loop.dcm")
    frames = bench.evidence(bench.run(source, PRIMARY))["frames"]
    assert isinstance(frames, dict)
    assert frames["coder"].startswith("pyjpegls")
    assert frames["second_decoder"] == "FFmpeg"
    assert len(set(frames["values_sha256"])) == 3
    assert frames["unequal"] == []


def test_compressed_frames_are_kept_to_the_byte(bench: Bench, tmp_path: Path) -> None:
    before = SOURCES["rgb"]()
    before.compress(RLE_LOSSLESS, encoding_plugin="gdcm")
    source = loops.save(before, tmp_path / "loop.dcm")
    order = bench.order(source, PRIMARY)
    done = transcode(order, bench.store, bench.scratch, bench.settings, Attempt())
    assert order.plan.path is Way.KEEP
    assert bench.store.get(done.instance_key) == source.read_bytes()


def test_embedded_overlays_go_on_to_rle_which_keeps_every_bit(bench: Bench, tmp_path: Path) -> None:
    pixels = loops.grey(12) | np.uint16(0x8000)
    before = loops.loop(pixels, "MONOCHROME2", 12)
    for element, vr, value in (
        (0x10, "US", 48),
        (0x11, "US", 64),
        (0x40, "CS", "G"),
        (0x100, "US", 16),
        (0x102, "US", 15),
    ):
        before.add_new((0x6000, element), vr, value)
    source = loops.save(before, tmp_path / "loop.dcm")
    refused = bench.run(source, PRIMARY)
    assert refused.verdict.misses == ("overlay planes in unused bits of the samples do not fit JPEG-LS Lossless",)
    kept = bench.instance(bench.run(source, PRIMARY, rung=2))
    np.testing.assert_array_equal(pydicom.pixels.pixel_array(kept, raw=True, correct_unused_bits=False), pixels)


@pytest.mark.parametrize("kind", ["rgb", "mono8", "palette", "ybr"])
def test_jpeg_frames_meet_their_gate_and_say_that_they_lost_something(bench: Bench, kind: str, tmp_path: Path) -> None:
    source = loops.save(SOURCES[kind](), tmp_path / "loop.dcm")
    done = bench.run(source, in_frames(REVIEW, JPEG_BASELINE), rung=2)
    made = bench.instance(done)
    assert set(done.scores) == {"psnr_y", "psnr_cb", "psnr_cr", "ssim", "vmaf"}
    assert (made.LossyImageCompression, made.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
    assert float(made.LossyImageCompressionRatio) > (0 if kind == "palette" else 1)  # indices are one byte a pixel
    assert made.SOPInstanceUID != "2.25.4711"
    assert made.SourceImageSequence[0].ReferencedSOPInstanceUID == "2.25.4711"
    assert made.ImageType[0] == "DERIVED"
    # of whole chroma (4:4:4) on this rung, and labelled so all the same: PS3.5 Table 8.2.1-1 has no YBR_FULL for .50
    assert made.PhotometricInterpretation == ("MONOCHROME2" if kind == "mono8" else "YBR_FULL_422")
    assert len(pydicom.pixels.pixel_array(made)) == 3


def test_jpeg_frames_below_the_gate_do_not_leave(bench: Bench, tmp_path: Path) -> None:
    strict = in_frames(REVIEW, JPEG_BASELINE)
    demand = strict.gate.thresholds[0].model_copy(update={"minimum": 99.0})
    profile = strict.model_copy(update={"gate": strict.gate.model_copy(update={"thresholds": (demand,)})})
    done = bench.run(loops.save(SOURCES["rgb"](), tmp_path / "loop.dcm"), profile)
    assert not done.verdict.passed
    assert done.instance_key == ""


@pytest.mark.peer("dciodvfy")
@pytest.mark.parametrize("kind", ["rgb", "mono12", "palette"])
@pytest.mark.parametrize("syntax", [JPEG_LS_LOSSLESS, JPEG_2000_LOSSLESS, RLE_LOSSLESS, JPEG_BASELINE])
def test_dciodvfy_finds_no_error_that_the_source_had_not(bench: Bench, syntax: str, kind: str, tmp_path: Path) -> None:
    if (syntax, kind) == (JPEG_BASELINE, "mono12"):
        pytest.skip("JPEG Baseline holds 8 bits")
    source = loops.save(SOURCES[kind](), tmp_path / "loop.dcm")
    done = bench.run(source, in_frames(UNGATED, syntax))
    made = tmp_path / "made.dcm"
    made.write_bytes(bench.store.get(done.instance_key))
    assert errors(made) <= errors(source)


def errors(path: Path) -> set[str]:
    run = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    return {line for line in (run.stdout + run.stderr).splitlines() if line.startswith("Error")}


@pytest.mark.peer("dcmdjpls")
@pytest.mark.parametrize("kind", ["rgb", "signed12", "mono8in16"])
def test_dcmtk_reads_the_same_values(bench: Bench, kind: str, tmp_path: Path) -> None:
    source = loops.save(SOURCES[kind](), tmp_path / "loop.dcm")
    for syntax, program in ((JPEG_LS_LOSSLESS, "dcmdjpls"), (RLE_LOSSLESS, "dcmdrle")):
        coded, plain = tmp_path / f"{program}.dcm", tmp_path / f"{program}.plain.dcm"
        coded.write_bytes(bench.store.get(bench.run(source, in_frames(REVIEW, syntax)).instance_key))
        subprocess.run([program, str(coded), str(plain)], check=True)
        np.testing.assert_array_equal(stored_values(pydicom.dcmread(plain)), stored_values(pydicom.dcmread(source)))


def test_a_big_endian_palette_is_the_same_in_little_endian(bench: Bench, tmp_path: Path) -> None:
    before, source = loops.palette(), tmp_path / "big.dcm"
    shown = pydicom.pixels.apply_color_lut(before.pixel_array, before)
    for name in ("Red", "Green", "Blue"):
        table = np.frombuffer(before[f"{name}PaletteColorLookupTableData"].value, "<u2")
        setattr(before, f"{name}PaletteColorLookupTableData", table.astype(">u2").tobytes())
    before.file_meta.TransferSyntaxUID, before.preamble = pydicom.uid.ExplicitVRBigEndian, bytes(128)
    pydicom.dcmwrite(source, before, implicit_vr=False, little_endian=False)
    made = bench.instance(bench.run(source, PRIMARY))
    np.testing.assert_array_equal(pydicom.pixels.apply_color_lut(made.pixel_array, made), shown)


def test_compressed_frames_are_decoded_for_a_syntax_that_a_person_named(bench: Bench, tmp_path: Path) -> None:
    first = bench.run(loops.save(SOURCES["rgb"](), tmp_path / "loop.dcm"), in_frames(REVIEW, JPEG_2000_LOSSLESS))
    again = tmp_path / "again.dcm"
    again.write_bytes(bench.store.get(first.instance_key))
    made = bench.instance(bench.run(again, in_frames(REVIEW, JPEG_LS_LOSSLESS)))
    assert (made.PhotometricInterpretation, made.SOPInstanceUID) == ("RGB", "2.25.4711")
    np.testing.assert_array_equal(stored_values(made), loops.colour())


def test_native_half_chroma_is_written_in_full(bench: Bench, tmp_path: Path) -> None:
    full = loops.colour()
    luma, chroma = full[..., 0].reshape(3, 48, 32, 2), full[:, :, ::2, 1:]
    packed = np.concatenate([luma, chroma], axis=-1)
    before = loops.loop(full, "YBR_FULL_422", PixelData=packed.tobytes())
    made = bench.instance(bench.run(loops.save(before, tmp_path / "loop.dcm"), PRIMARY))
    values = stored_values(made)
    assert made.PhotometricInterpretation == "YBR_FULL"
    np.testing.assert_array_equal(values[..., 0], full[..., 0])
    np.testing.assert_array_equal(values[:, :, ::2, 1:], chroma)
    np.testing.assert_array_equal(values[:, :, 1::2, 1:], chroma)


@pytest.mark.parametrize(("syntax", "mean_error"), [(JPEG_LS_LOSSLESS, 1), (JPEG_BASELINE, 6)])
def test_a_video_becomes_images_of_what_its_decoder_gives(
    bench: Bench, syntax: str, mean_error: float, tmp_path: Path
) -> None:
    clip = tmp_path / "clip.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=160x120:r=25:d=0.4", "-pix_fmt", "yuv420p", "-c:v", "libx264", str(clip))
    made = bench.instance(bench.run(clip, in_frames(UNGATED, syntax)))
    frames = pydicom.pixels.pixel_array(made)
    assert frames.shape == (10, 120, 160, 3)
    assert (made.LossyImageCompression, made.ImageType[0], str(made.FrameTime)) == ("01", "DERIVED", "40.0")
    assert "decoded video converted to RGB" in made.DerivationDescription
    raw = tmp_path / "clip.rgb"
    ffmpeg(
        "-i",
        str(clip),
        "-vf",
        "scale=in_color_matrix=bt601:in_range=tv:flags=bicubic",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        str(raw),
    )
    expected = np.fromfile(raw, np.uint8).reshape(frames.shape)
    assert np.abs(frames.astype(int) - expected).mean() < mean_error


def test_memory_does_not_grow_with_the_number_of_frames(bench: Bench, tmp_path: Path) -> None:
    sources = [
        long_loop(tmp_path, frames) for frames in (4, 120)
    ]  # a child inherits what lies in memory: all made before
    described = [describe_sandboxed(source, ".dcm", bench.settings) for source in sources]
    few, many = (
        call(peak, source, description, JPEG_LS, tmp_path / "spool", limits=Limits(), what="coding")
        for source, description in zip(sources, described, strict=True)
    )
    assert sources[1].stat().st_size > 15_000_000
    assert many - few < 4_000_000


def long_loop(folder: Path, frames: int) -> Path:
    pixels = loops.grey(16, frames=frames, rows=256, columns=256)
    return loops.save(loops.loop(pixels, "MONOCHROME2"), folder / f"{frames}.dcm")


def peak(*arguments: Any) -> int:
    """Bytes of memory that coding took at most, of a process that had everything loaded."""
    code_frames(*arguments)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_a_frame_that_another_decoder_reads_otherwise_keeps_the_instance_here(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def careless(recipe: FrameRecipe, shape: Shape) -> Encoder:
        sound = encoder(recipe, shape)
        return Encoder(lambda values: sound.encode(values ^ np.uint8(values[0, 0] == 0)), sound.tool)

    monkeypatch.setattr(coding, "encoder", careless)
    done = bench.run(loops.save(SOURCES["mono8"](), tmp_path / "loop.dcm"), PRIMARY)
    assert done.verdict.misses == ("1 of 3 frames differ when FFmpeg reads them: 1",)
    assert done.instance_key == ""
    assert bench.evidence(done)["frames"]["unequal"] == [0]  # type: ignore[index]
