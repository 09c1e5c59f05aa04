"""One target asked for: how it is named, how a profile is aimed at it, and which rule keeps a source from it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.conformance.stream import FORMATS
from common.dicom.transfer_syntaxes import ROOT, by_uid
from common.errors import NoLegalPath, PolicyError
from common.levels import level_budget, level_violations
from common.media import Scan, VideoStream
from common.picture import encoded_size
from common.recipes import ARCHIVE, LOSSLESS, PROFILES, REVIEW, TARGETS, Hardware, Profile, Recipe, fixed
from common.targets import (
    NEVER_ENCODED,
    aimed,
    check_target,
    chosen_profile,
    coded_aspect,
    obstacles,
    target_uid,
)

PAL, NTSC = Fraction(25), Fraction(30000, 1001)
FIELDS = {"scan": Scan.TOP_FIELD_FIRST}


def video(width: int = 720, height: int = 576, rate: Fraction = PAL, **changes: Any) -> VideoStream:
    facts = {
        "codec": "mpeg4",
        "width": width,
        "height": height,
        "pixel_format": "yuv420p",
        "frame_rate": rate,
        "frame_count": 100,
        "duration_ms": float(100_000 / rate),
    }
    return VideoStream.model_validate(facts | changes)


def recipe(x: int, profile: Profile = ARCHIVE) -> Recipe:
    return aimed(profile, f"{ROOT}.{x}").ladder[0]


def rules(source: VideoStream, x: int) -> list[str]:
    return [finding.rule for finding in obstacles(source, recipe(x))]


@pytest.mark.parametrize("text", [".101", "101", " .101 ", f"{ROOT}.101"])
def test_a_target_is_named_by_its_number_or_its_uid(text: str) -> None:
    assert target_uid(text) == f"{ROOT}.101"


@pytest.mark.parametrize("text", ["", ".99", "mpeg2", "1.2.840.10008.1.2.1", "..101x", ".101.2"])
def test_what_is_no_target_is_refused_with_the_list_of_targets(text: str) -> None:
    with pytest.raises(PolicyError) as refused:
        target_uid(text)
    assert ".101" in refused.value.hint


def test_a_fragmentable_twin_cannot_be_asked_for() -> None:
    with pytest.raises(PolicyError, match="one fragment") as refused:
        target_uid(".102.1")
    assert ".102" in refused.value.hint


@pytest.mark.parametrize("uid", TARGETS)
@pytest.mark.parametrize("name", ["archive", "diagnostic", "review"])
def test_every_rung_of_an_aimed_profile_is_for_the_target_and_better_than_the_one_before(name: str, uid: str) -> None:
    PROFILES[name].recipes(0)  # what the profile works out of its own ladder is not carried over
    profile = aimed(PROFILES[name], uid)
    assert {row.transfer_syntax_uid for rung in range(len(profile.ladder)) for row in profile.recipes(rung)} == {uid}
    assert [row.crf for row in profile.ladder] == sorted({row.crf for row in profile.ladder}, reverse=True)
    assert profile.gate == PROFILES[name].gate


def test_devices_encode_to_no_target_but_those_of_their_profiles() -> None:
    by_device = {x for x in map(target_of, TARGETS) if len(aimed(REVIEW, f"{ROOT}.{x}").recipes(0)) > 1}
    assert by_device == {102, 104, 107, 108}


def target_of(uid: str) -> int:
    return int(uid.rpartition(".")[2])


def test_a_profile_that_never_encodes_only_carries_its_target() -> None:
    profile = aimed(LOSSLESS, f"{ROOT}.102")
    assert (profile.target, profile.ladder) == (f"{ROOT}.102", ())


def test_nothing_is_encoded_to_stereo_high_and_the_reason_names_mvc() -> None:
    assert aimed(ARCHIVE, f"{ROOT}.106").ladder == ()
    assert "MVC" in NEVER_ENCODED[f"{ROOT}.106"][0]


def test_a_profile_is_chosen_with_devices_and_target() -> None:
    chosen = chosen_profile("archive", Hardware.ALLOWED, ".101")
    assert (chosen.hardware, chosen.target) == (Hardware.ALLOWED, f"{ROOT}.101")
    assert chosen_profile("archive") == ARCHIVE
    with pytest.raises(PolicyError, match="no profile"):
        chosen_profile("best")


def test_the_target_is_part_of_what_a_profile_is() -> None:
    digests = {ARCHIVE.digest, *(aimed(ARCHIVE, uid).digest for uid in TARGETS)}
    assert len(digests) == 1 + len(TARGETS)


def test_recipes_of_before_keep_their_digest() -> None:
    # results of earlier versions are addressed by it
    first = fixed(ARCHIVE).ladder[0]
    assert first.digest.startswith("35f005dd28688fe9")
    assert first.model_copy(update={"frame_packing": 3}).digest != first.digest
    assert ARCHIVE.ladder[0].digest != first.digest


@pytest.mark.parametrize("uid", TARGETS)
def test_the_rates_of_a_target_are_within_its_level(uid: str) -> None:
    row, syntax = TARGETS[uid], by_uid(uid)
    rate, buffer = row["max_rate_kbit"] * 1000, row["buffer_kbit"] * 1000
    allowed = level_budget(syntax.codec, syntax.level)
    assert rate <= allowed[0]
    assert buffer <= allowed[1]


@pytest.mark.parametrize(
    ("source", "x"),
    [
        (video(720, 576, PAL, **FIELDS, pixel_aspect=Fraction(16, 15)), 100),
        (video(720, 480, NTSC, **FIELDS, pixel_aspect=Fraction(8, 9)), 100),
        (video(640, 480, Fraction(30)), 100),
        (video(352, 288, PAL), 100),
        (video(1920, 1080, PAL, **FIELDS), 101),
        (video(1280, 720, Fraction(60)), 101),
        (video(1440, 1080, PAL, **FIELDS, pixel_aspect=Fraction(4, 3)), 101),
        (video(1920, 1080, NTSC, **FIELDS), 103),
        (video(1920, 1080, Fraction(24)), 103),
        (video(1280, 720, Fraction(50)), 103),
        (video(1920, 1080, Fraction(60), frame_packed=True), 105),
        (video(3840, 2160, Fraction(60), transfer="smpte2084", bit_depth=10), 108),
    ],
)
def test_what_a_target_holds_meets_no_obstacle(source: VideoStream, x: int) -> None:
    assert rules(source, x) == []


@pytest.mark.parametrize(
    ("source", "x", "rule"),
    [
        (video(1280, 720), 100, "stream.geometry"),
        (video(720, 576, Fraction(50)), 100, "stream.geometry"),
        (video(720, 480, Fraction(24)), 100, "stream.geometry"),
        (video(720, 576, constant_rate=False), 100, "target.rate"),
        (video(720, 576), 101, "stream.geometry"),
        (video(1280, 720, PAL, **FIELDS), 101, "stream.geometry"),
        (video(1920, 1080, PAL), 103, "stream.geometry"),
        (video(1280, 720, Fraction(60)), 103, "stream.geometry"),
        (video(1280, 720, Fraction(50), constant_rate=False), 103, "target.rate"),
        (video(1920, 1080, Fraction(60)), 102, "stream.level.limits"),
        (video(1920, 1080, PAL, **FIELDS), 104, "target.level"),
        (video(640, 480, frame_packed=True), 104, "stream.packing"),
        (video(640, 480), 105, "stream.packing"),
        (video(640, 480, frame_packed=True), 107, "target.packing"),
        (video(1920, 1080, PAL, **FIELDS), 107, "target.scan"),
        (video(3840, 2160, PAL, transfer="smpte2084", bit_depth=10), 107, "target.depth"),
        (video(1920, 1080, PAL, transfer="arib-std-b67", bit_depth=10), 102, "target.depth"),
    ],
)
def test_what_a_target_does_not_hold_is_refused_by_the_rule_it_would_break(
    source: VideoStream, x: int, rule: str
) -> None:
    assert rules(source, x)[0] == rule
    with pytest.raises(NoLegalPath) as refused:
        check_target(source, recipe(x))
    assert f".{x}" in refused.value.message
    assert refused.value.hint


def test_the_refusal_names_source_rule_and_clause() -> None:
    with pytest.raises(NoLegalPath, match=r"640×480 at 25 frames/s does not fit \.101: .* 1920×1080 .*PS3\.5 8\.2\.6"):
        check_target(video(640, 480), recipe(101))


def test_a_source_tagged_as_packed_fits_where_a_flat_one_does_not() -> None:
    tagged = recipe(105).model_copy(update={"frame_packing": 3})
    assert obstacles(video(640, 480), tagged) == ()


@pytest.mark.parametrize(
    ("size", "aspect", "kept"),
    [
        ((720, 576), Fraction(16, 15), Fraction(16, 15)),
        ((720, 576), Fraction(12, 11), Fraction(16, 15)),  # BT.601's 4:3 of 702 samples
        ((720, 576), Fraction(64, 45), Fraction(64, 45)),
        ((720, 480), Fraction(8, 9), Fraction(8, 9)),
        ((720, 480), Fraction(32, 27), Fraction(32, 27)),
        ((720, 576), Fraction(1), None),
        ((720, 576), Fraction(2), None),  # 5:2 is no shape that MPEG-2 names
    ],
)
def test_main_level_keeps_pixels_that_make_a_picture_of_4_3_or_16_9(
    size: tuple[int, int], aspect: Fraction, kept: Fraction | None
) -> None:
    assert coded_aspect(video(*size, pixel_aspect=aspect), f"{ROOT}.100") == kept
    assert coded_aspect(video(*size, pixel_aspect=aspect), f"{ROOT}.102") is None


SIDES = st.integers(32, 4200)
RATES = st.sampled_from(
    [PAL, NTSC, Fraction(24000, 1001), Fraction(60000, 1001), *map(Fraction, (15, 24, 30, 50, 60, 90))]
)


@given(st.sampled_from(sorted(TARGETS)), SIDES, SIDES, RATES, st.sampled_from(Scan))
def test_what_meets_no_obstacle_keeps_size_rate_and_fields_within_the_limits(
    uid: str, width: int, height: int, rate: Fraction, scan: Scan
) -> None:
    source, chosen = video(width, height, rate, scan=scan), aimed(ARCHIVE, uid).ladder[0]
    if obstacles(source, chosen):
        return
    made = encoded_size(source)
    assert made[0] - width < 2  # no scaling: odd sides grow to even ones
    assert made[1] - height < 4
    if uid in FORMATS:
        assert any((row.width, row.height) == made and rate in row.rates for row in FORMATS[uid])
    elif uid != f"{ROOT}.100":
        interlaced = scan is not Scan.PROGRESSIVE
        assert level_violations(chosen.codec, *made, rate, chosen.level, interlaced=interlaced) == ()
