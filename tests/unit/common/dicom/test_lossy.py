"""The lossy record: appended, never overwritten."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from common.dicom.lossy import LossyStep, append_step, raw_bytes, record_proven_step, recorded_steps, source_step
from common.errors import InternalFault
from common.media import Description, DicomFacts, Kind, VideoStream

METHODS = st.sampled_from(["ISO_10918_1", "ISO_14496_10", "ISO_13818_2"])
RATIOS = st.floats(min_value=0.01, max_value=1e6)
STEPS = st.lists(st.tuples(RATIOS, METHODS), min_size=1, max_size=6)


def header(ratios: list[str], methods: list[str]) -> Dataset:
    dataset = Dataset()
    dataset.LossyImageCompression = "01"
    if ratios:
        dataset.LossyImageCompressionRatio = ratios
    if methods:
        dataset.LossyImageCompressionMethod = methods
    return dataset


@given(STEPS)
@settings(deadline=None, max_examples=60)
def test_each_step_is_appended_as_one_pair(steps: list[tuple[float, str]]) -> None:
    dataset = Dataset()
    for count, (ratio, method) in enumerate(steps, 1):
        before = recorded_steps(dataset)
        append_step(dataset, ratio, method)
        assert recorded_steps(dataset)[:-1] == before
        assert len(recorded_steps(dataset)) == count
    assert dataset.LossyImageCompression == "01"
    assert [method for _, method in recorded_steps(dataset)] == [method for _, method in steps]
    for (text, _), (ratio, _) in zip(recorded_steps(dataset), steps, strict=True):
        assert float(text) == pytest.approx(ratio, abs=0.006)
        assert len(text) <= 16


@given(STEPS, RATIOS, METHODS)
@settings(deadline=None, max_examples=60)
def test_a_proven_step_is_recorded_once(steps: list[tuple[float, str]], ratio: float, method: str) -> None:
    dataset = Dataset()
    for each in steps:
        append_step(dataset, *each)
    record_proven_step(dataset, LossyStep(ratio, method))
    once = recorded_steps(dataset)
    record_proven_step(dataset, LossyStep(ratio, method))
    assert recorded_steps(dataset) == once
    assert once[-1][1] == method
    assert len(once) == len(steps) + (steps[-1][1] != method)


def test_a_ratio_without_method_keeps_its_place() -> None:
    dataset = header(["12"], [])
    append_step(dataset, 30, "ISO_14496_10")
    assert recorded_steps(dataset) == [("12", ""), ("30", "ISO_14496_10")]


def test_a_proven_method_joins_the_ratio_that_has_none() -> None:
    dataset = header(["12"], [])
    record_proven_step(dataset, LossyStep(99, "ISO_10918_1"))
    assert recorded_steps(dataset) == [("12", "ISO_10918_1")]


def test_a_proven_ratio_joins_the_method_that_has_none() -> None:
    dataset = header([], ["ISO_10918_1"])
    record_proven_step(dataset, LossyStep(8, "ISO_10918_1"))
    assert recorded_steps(dataset) == [("8", "ISO_10918_1")]


def test_what_is_not_known_is_not_made_up() -> None:
    dataset = header([], [])
    append_step(dataset, 10, "ISO_14496_10")
    assert recorded_steps(dataset) == [("10", "ISO_14496_10")]


@pytest.mark.parametrize(("raw", "compressed"), [(0, 1), (1, 0), (-1, 1)])
def test_a_ratio_needs_bytes(raw: float, compressed: int) -> None:
    with pytest.raises(InternalFault):
        LossyStep.of(raw, compressed, "ISO_14496_10")


def description(codec: str = "h264", dicom: DicomFacts | None = None, **video: object) -> Description:
    values: dict[str, object] = {"codec": codec, "width": 100, "height": 50, "pixel_format": "yuv420p"}
    values |= {"frame_rate": Fraction(25), "frame_count": 10, "duration_ms": 400.0}
    kind = Kind.VIDEO if dicom is None else Kind.DICOM_FRAMES if dicom.stream_length is None else Kind.DICOM_VIDEO
    stream = VideoStream.model_validate(values | video)
    return Description(kind=kind, digest="0" * 64, size_bytes=1000, container="mp4", video=stream, dicom=dicom)


def facts(syntax: str, **changes: object) -> DicomFacts:
    values: dict[str, object] = {"sop_class_uid": "1.2", "sop_instance_uid": "1.3", "series_uid": "1.4"}
    values |= {"study_uid": "1.5", "transfer_syntax_uid": syntax, "rows": 50, "columns": 100, "number_of_frames": 10}
    return DicomFacts.model_validate(values | changes)


@pytest.mark.parametrize(
    ("video", "expected"),
    [
        ({}, 75_000),
        ({"chroma": "4:4:4"}, 150_000),
        ({"chroma": "4:0:0"}, 50_000),
        ({"bit_depth": 10}, 93_750),
    ],
)
def test_raw_bytes_count_samples_and_stored_bits(video: dict[str, object], expected: float) -> None:
    assert raw_bytes(description(**video)) == expected


def test_raw_bytes_of_frames_are_those_of_their_header() -> None:
    twelve_bits = facts("1.2.840.10008.1.2.1", bits_allocated=16, bits_stored=12, samples_per_pixel=1)
    assert raw_bytes(description(dicom=twelve_bits)) == 100 * 50 * 10 * 1.5


def test_the_ratio_of_a_clip_is_that_of_its_video_stream_where_known() -> None:
    assert source_step(description()) == LossyStep(75, "ISO_14496_10")
    assert source_step(description(bit_rate=10_000)) == LossyStep(150, "ISO_14496_10")


def test_lossless_codecs_and_syntaxes_prove_no_step() -> None:
    assert source_step(description("ffv1")) is None
    assert source_step(description("rawvideo", facts("1.2.840.10008.1.2.1"))) is None


def test_the_ratio_of_a_dicom_source_is_that_of_its_pixel_data() -> None:
    frames = facts("1.2.840.10008.1.2.4.50", samples_per_pixel=3, pixel_data_offset=400)
    assert source_step(description("mjpeg", frames)) == LossyStep(250, "ISO_10918_1")
    stream = facts("1.2.840.10008.1.2.4.102", stream_length=750)
    assert source_step(description("h264", stream)) == LossyStep(100, "ISO_14496_10")


@given(st.text(min_size=1, max_size=30))
@settings(deadline=None, max_examples=60)
def test_any_codec_name_gives_a_legal_code_string(codec: str) -> None:
    step = source_step(description(codec))
    assert step is None or set(step.method) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_ ")
    assert step is None or 0 < len(step.method) <= 16
