"""Every frame-based target × every kind of pixels: what was stored comes back, in pydicom's reading too."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from support import loops

from common.dicom.frame_syntaxes import (
    HTJ2K_LOSSLESS,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE,
    JPEG_LS_LOSSLESS,
    RLE_LOSSLESS,
)
from common.errors import NoLegalPath
from common.orders import Path as Way
from common.orders import TranscodeDone, TranscodeOrder
from common.recipes import PRIMARY, REVIEW, Gate, Profile, in_frames
from common.settings import Settings
from common.store.folder import FolderStore
from orchestrator import work
from orchestrator.planner import plan
from workers.attempt import Attempt
from workers.describe import describe_sandboxed
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
    ungated = REVIEW.model_copy(update={"gate": Gate(thresholds=())})  # noise in colour is too much for 4:2:2
    made = bench.instance(bench.run(source, in_frames(ungated, syntax)))
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
    assert len(pydicom.pixels.pixel_array(made)) == 3


def test_jpeg_frames_below_the_gate_do_not_leave(bench: Bench, tmp_path: Path) -> None:
    strict = in_frames(REVIEW, JPEG_BASELINE)
    demand = strict.gate.thresholds[0].model_copy(update={"minimum": 99.0})
    profile = strict.model_copy(update={"gate": strict.gate.model_copy(update={"thresholds": (demand,)})})
    done = bench.run(loops.save(SOURCES["rgb"](), tmp_path / "loop.dcm"), profile)
    assert not done.verdict.passed
    assert done.instance_key == ""
