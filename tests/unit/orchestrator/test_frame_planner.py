"""Frame by frame: what is kept, what is coded and how, and what is refused."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.dicom.frame_syntaxes import FRAME_SYNTAXES, KEPT_AS_THEY_ARE, frame_syntax
from common.errors import NoLegalPath
from common.media import Description, DicomFacts, Kind, Scan, VideoStream
from common.orders import Path
from common.recipes import ARCHIVE, PRIMARY, in_frames
from orchestrator import work
from orchestrator.planner import plan

NATIVE, RLE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5"
JPEG, JPEG_LS, JPEG_2000, HTJ2K, H264 = (f"1.2.840.10008.1.2.4.{x}" for x in (50, 80, 90, 201, 102))
ULTRASOUND = "1.2.840.10008.5.1.4.1.1.3.1"


def frames(syntax: str = NATIVE, **facts: object) -> Description:
    values: dict[str, object] = {"photometric": "MONOCHROME2", "bits_allocated": 16, "bits_stored": 12}
    values |= {"sop_class_uid": ULTRASOUND, "sop_instance_uid": "1.2.3", "series_uid": "1.2", "study_uid": "1.1"}
    values |= {"rows": 48, "columns": 64, "number_of_frames": 3, "transfer_syntax_uid": syntax}
    return described(Kind.DICOM_FRAMES, DicomFacts.model_validate(values | facts))


def described(kind: Kind, dicom: DicomFacts | None = None, **video: object) -> Description:
    stream: dict[str, object] = {"codec": "rawvideo", "width": 64, "height": 48, "pixel_format": "gray"}
    stream |= {"frame_rate": Fraction(25), "frame_count": 3, "duration_ms": 120.0}
    return Description(
        kind=kind,
        digest="0" * 64,
        size_bytes=10_000,
        container="frames",
        video=VideoStream.model_validate(stream | video),
        dicom=dicom,
    )


def test_uncompressed_frames_become_jpeg_ls_for_primary_diagnosis() -> None:
    made = plan(frames(), PRIMARY)
    assert (made.path, made.transfer_syntax_uid, made.sop_class_uid) == (Path.FRAMES, JPEG_LS, ULTRASOUND)
    assert made.gate is None


@pytest.mark.parametrize(("rung", "syntax"), [(0, JPEG_LS), (1, JPEG_2000), (2, RLE)])
def test_what_is_not_proven_goes_on_to_the_next_coding(rung: int, syntax: str) -> None:
    made = plan(frames(), PRIMARY, rung=rung)
    assert (made.transfer_syntax_uid, made.rung, made.rungs) == (syntax, rung, 3)


@given(st.sampled_from(sorted(KEPT_AS_THEY_ARE)))
def test_compressed_frames_are_kept_unless_a_person_named_another_syntax(syntax: str) -> None:
    assert plan(frames(syntax), PRIMARY).path is Path.KEEP
    named = plan(frames(syntax), in_frames(ARCHIVE, JPEG_2000))
    assert (named.path is Path.KEEP) == (syntax == JPEG_2000)


@given(st.sets(st.sampled_from([row.uid for row in FRAME_SYNTAXES])), st.integers(1, 16), st.booleans())
def test_no_plan_names_a_syntax_that_is_refused_or_cannot_hold_the_values(
    accepted: set[str], bits: int, signed: bool
) -> None:
    source = frames(bits_stored=bits, bits_allocated=8 if bits <= 8 else 16, pixel_representation=int(signed))
    for profile in (PRIMARY, *(in_frames(ARCHIVE, row.uid) for row in FRAME_SYNTAXES)):
        try:
            made = plan(source, profile, destination_syntaxes=sorted(accepted))
        except NoLegalPath:
            continue
        assert made.transfer_syntax_uid in accepted
        row = frame_syntax(made.transfer_syntax_uid)
        assert bits in row.stored
        assert row.signed or not signed


def test_a_destination_without_jpeg_ls_gets_jpeg_2000() -> None:
    assert plan(frames(), PRIMARY, destination_syntaxes=[JPEG_2000, RLE]).transfer_syntax_uid == JPEG_2000


def test_a_destination_that_takes_none_is_named() -> None:
    with pytest.raises(NoLegalPath, match=r"does not take \.80 or \.90 or RLE"):
        plan(frames(), PRIMARY, destination_syntaxes=[H264])


@pytest.mark.parametrize(
    ("syntax", "facts", "words"),
    [
        (JPEG, {"bits_stored": 12}, "12 bits stored do not fit JPEG Baseline"),
        (JPEG, {"bits_stored": 8, "pixel_representation": 1}, "signed values do not fit JPEG Baseline"),
        (HTJ2K, {"bits_stored": 10}, "codestreams of 8 or 16 bits"),
        (JPEG_LS, {"bits_stored": 1}, "1 bits stored do not fit JPEG-LS"),
    ],
)
def test_values_that_do_not_fit_are_refused_with_the_clause(syntax: str, facts: dict[str, int], words: str) -> None:
    with pytest.raises(NoLegalPath, match=words):
        plan(frames(**facts), in_frames(ARCHIVE, syntax))


def test_video_is_left_to_the_video_paths_unless_images_were_asked_for() -> None:
    clip = described(Kind.VIDEO, codec="mpeg4", pixel_format="yuv420p")
    with pytest.raises(NoLegalPath, match="primary never encodes"):
        plan(clip, PRIMARY)
    asked = plan(clip, in_frames(ARCHIVE, JPEG_LS), modality="ES")
    assert asked.path is Path.FRAMES
    assert "converted to RGB" in asked.reason


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"bit_depth": 10}, "frames.bits"),
        ({"rotation": 90}, "frames.rotation"),
        ({"scan": Scan.TOP_FIELD_FIRST}, "frames.scan"),
        ({"profile": "Stereo High"}, "frames.views"),
    ],
)
def test_video_that_is_more_than_8_bit_rgb_is_refused_before_a_worker_has_it(
    changes: dict[str, object], rule: str
) -> None:
    clip = described(Kind.VIDEO, codec="h264", pixel_format="yuv420p", **changes)
    with pytest.raises(NoLegalPath) as refused:
        plan(clip, in_frames(ARCHIVE, JPEG_LS), modality="ES")
    assert refused.value.rule == rule
    assert "video syntax" in refused.value.hint


def test_a_jpeg_ladder_climbs_in_quality_under_the_profiles_gate() -> None:
    source, profile = frames(bits_stored=8, bits_allocated=8), in_frames(ARCHIVE, JPEG)
    plans = [plan(source, profile, rung=rung) for rung in range(plan(source, profile).rungs)]
    qualities = [made.frame_recipe.quality for made in plans if made.frame_recipe is not None]
    assert qualities == sorted(qualities, key=int)
    assert all(made.gate == ARCHIVE.gate for made in plans)


@pytest.mark.parametrize(
    ("source", "syntax", "same"), [(NATIVE, JPEG_LS, True), (JPEG, JPEG_LS, False), (NATIVE, JPEG, False)]
)
def test_a_lossless_coding_of_exact_values_is_the_same_instance(source: str, syntax: str, same: bool) -> None:
    description = frames(source, bits_stored=8, bits_allocated=8)
    uid = work.instance_uid(description, None, plan(description, in_frames(ARCHIVE, syntax)))
    assert (uid == "1.2.3") == same


def test_recipes_have_addresses_of_their_own() -> None:
    plans = [plan(frames(bits_stored=8), in_frames(ARCHIVE, row.uid)) for row in FRAME_SYNTAXES]
    assert len({work.work_digest(made) for made in plans}) == len(plans)
