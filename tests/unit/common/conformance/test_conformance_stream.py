"""Rules on a described stream: what is legal passes without a word, what is not is named by its rule."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.conformance import DESCRIPTION_RULES, check_stream
from common.dicom.transfer_syntaxes import ROOT, VIDEO_SYNTAXES
from common.errors import NoLegalPath
from common.levels import h264_minimal_level
from common.media import AudioStream, Scan

NTSC, FILM, FIELD = Fraction(30000, 1001), Fraction(24000, 1001), Fraction(60000, 1001)
MPEG2 = {"codec": "mpeg2video", "profile": "Main"}
HEVC = {"codec": "hevc", "profile": "Main", "level_idc": 153}
TEN_BIT = {"profile": "Main 10", "bit_depth": 10, "pixel_format": "yuv420p10le"}


def size(width: int, height: int, rate: Fraction | int, scan: Scan = Scan.PROGRESSIVE) -> dict[str, object]:
    return {"width": width, "height": height, "frame_rate": Fraction(rate), "scan": scan}


def found(description, x: str, *, severities: tuple[str, ...] = ("error", "warning")) -> set[str]:
    return {finding.rule for finding in check_stream(description, ROOT + x) if finding.severity in severities}


@pytest.mark.parametrize(
    ("x", "video", "container"),
    [
        (".102", {}, "mp4"),
        (".102", {}, "mpegts"),
        (".102.1", {}, "mp4"),
        (".102", size(1024, 768, 75), "mp4"),
        (".102", size(1920, 1080, 25, Scan.TOP_FIELD_FIRST), "mp4"),
        (".103", size(1920, 1080, NTSC, Scan.TOP_FIELD_FIRST), "mpegts"),
        (".103", size(1920, 1080, FILM), "mpegts"),
        (".103", size(1280, 720, FIELD), "mpegts"),
        (".104", size(1920, 1080, 60) | {"level_idc": 42}, "mp4"),
        (".104", size(1920, 1080, 25, Scan.TOP_FIELD_FIRST), "mp4"),  # a lower level allows what 4.2 forbids
        (".105", size(1920, 1080, 60) | {"level_idc": 42, "frame_packed": True}, "mp4"),
        (".106", size(1920, 1080, 30) | {"profile": "Stereo High"}, "mpegts"),
        (".107", size(3840, 2160, 60) | HEVC, "mp4"),
        (".108", size(3840, 2160, 60) | HEVC | TEN_BIT, "mp4"),
        (
            ".100",
            size(720, 576, 25, Scan.TOP_FIELD_FIRST) | MPEG2 | {"level_idc": 8, "pixel_aspect": "16/15"},
            "mpegps",
        ),
        (".100", size(352, 240, NTSC) | MPEG2 | {"level_idc": 10, "bit_rate": 3_000_000}, "elementary"),
        (".101", size(1920, 1080, 25, Scan.TOP_FIELD_FIRST) | MPEG2 | {"level_idc": 4}, "mpegts"),
        (".101", size(1280, 720, FIELD) | MPEG2 | {"level_idc": 4}, "mp4"),
    ],
)
def test_a_legal_stream_has_no_findings(described, x, video, container):
    assert found(described(video=video, container=container), x) == set()


@pytest.mark.parametrize(
    ("x", "video", "rule"),
    [
        (".102", {"codec": "hevc"}, "stream.codec"),
        (".107", {}, "stream.codec"),
        (".102", {"profile": "Baseline"}, "stream.profile"),
        (".102", {"profile": "Extended"}, "stream.profile"),
        (".102", {"profile": "High 4:2:2"}, "stream.profile"),
        (".107", HEVC | {"profile": "Rext"}, "stream.profile"),
        (".108", HEVC, "stream.bits"),
        (".102", {"bit_depth": 10}, "stream.bits"),
        (".102", {"chroma": "4:2:2"}, "stream.chroma"),
        (".102", {"chroma": "4:0:0"}, "stream.chroma"),
        (".102", {"level_idc": 42}, "stream.level"),
        (".107", HEVC | {"level_idc": 156}, "stream.level"),
        (".101", MPEG2 | {"level_idc": 6}, "stream.level"),
        (".102", size(1920, 1080, 60), "stream.level.limits"),
        (".104", size(3840, 2160, 30) | {"level_idc": 42}, "stream.level.limits"),
        (".102", {"bit_rate": 70_000_000, "duration_ms": 60_000.0}, "stream.level.limits"),
        (".107", HEVC | size(7680, 4320, 30), "stream.level.limits"),
        (".100", size(720, 576, 25) | MPEG2 | {"bit_rate": 16_000_000, "duration_ms": 60_000.0}, "stream.level.limits"),
        (".103", size(1920, 1080, 25), "stream.geometry"),
        (".103", size(1920, 1080, 30, Scan.TOP_FIELD_FIRST), "stream.geometry"),
        (".103", size(1280, 720, 25), "stream.geometry"),
        (".103", size(1440, 1080, 24), "stream.geometry"),
        (".100", size(720, 576, 30) | MPEG2, "stream.geometry"),
        (".100", size(720, 480, 24) | MPEG2, "stream.geometry"),
        (".101", size(1920, 1080, 50) | MPEG2, "stream.geometry"),
        (".101", size(1440, 1080, 25) | MPEG2, "stream.geometry"),
        (".104", {"frame_packed": True}, "stream.packing"),
        (".105", {}, "stream.packing"),
        (".102", {"pixel_aspect": "4/3"}, "stream.aspect"),
        (".102", {"full_range": True}, "stream.range"),
        (".102", {"full_range": None, "pixel_format": "yuvj420p"}, "stream.range"),
        (".102", {"matrix": "ycgco"}, "stream.matrix"),
        (".102", {"rotation": 90}, "stream.rotation"),
    ],
)
def test_what_only_encoding_mends_is_an_error_of_the_stream(described, x, video, rule):
    errors = found(described(video=video, container="mpegts"), x, severities=("error",))
    assert rule in errors
    assert all(error.startswith("stream.") for error in errors)


@pytest.mark.parametrize(
    ("video", "rule"),
    [
        ({"profile": "Main"}, "stream.profile.lesser"),
        ({"profile": "Constrained Baseline"}, "stream.profile.lesser"),
        ({"profile": None}, "stream.profile.lesser"),
        ({"level_idc": 30}, "stream.level.claim"),
        ({"matrix": "bt2020nc"}, "stream.gamut"),
        ({"transfer": "smpte2084"}, "stream.gamut"),
        ({"constant_rate": False}, "stream.rate"),
    ],
)
def test_what_every_decoder_shows_all_the_same_is_a_warning(described, video, rule):
    assert found(described(video=video), ".102", severities=("error",)) == set()
    assert found(described(video=video), ".102", severities=("warning",)) == {rule}


@pytest.mark.parametrize("container", ["avi", "matroska", "mpegps", "elementary", "mov"])
def test_another_container_is_an_error_of_the_container_alone(described, container):
    assert found(described(container=container), ".102", severities=("error",)) == {"container.format"}


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"moov_first": False}, "container.moov"),
        ({"fragmented": True}, "container.fragmented"),
        ({"edit_list": True}, "container.edit_list"),
        ({"other_streams": 1}, "container.streams"),
    ],
)
def test_what_disturbs_viewers_is_a_warning(described, changes, rule):
    assert found(described(**changes), ".102", severities=("error",)) == set()
    assert found(described(**changes), ".102", severities=("warning",)) == {rule}


def sound(codec: str, rate: int, channels: int, bit_rate: int | None = None) -> AudioStream:
    return AudioStream(codec=codec, sample_rate=rate, channels=channels, bit_rate=bit_rate)


@pytest.mark.parametrize(
    ("stream", "container"),
    [
        (sound("aac", 48_000, 2, 640_000), "mp4"),
        (sound("aac", 48_000, 6), "mpegts"),
        (sound("mp3", 44_100, 1, 320_000), "mp4"),
        (sound("mp3float", 32_000, 2), "mp4"),
        (sound("mp2", 32_000, 2, 384_000), "mpegts"),
        (sound("ac3", 48_000, 6, 448_000), "mpegts"),
        (sound("pcm_bluray", 96_000, 2, 4_608_000), "mpegts"),
    ],
)
def test_legal_sound_has_no_findings(described, stream, container):
    assert found(described(audio=(stream,), container=container), ".102") == set()


@pytest.mark.parametrize(
    ("stream", "rule"),
    [
        (sound("aac", 44_100, 2), "audio.rate"),
        (sound("aac", 48_000, 1), "audio.channels"),
        (sound("aac", 48_000, 2, 640_001), "audio.bit_rate"),
        (sound("mp2", 48_000, 1), "audio.channels"),
        (sound("ac3", 48_000, 2), "audio.container"),
        (sound("pcm_s16le", 48_000, 2), "audio.container"),
        (sound("opus", 48_000, 2), "audio.format"),
        (sound("vorbis", 0, 0), "audio.format"),
    ],
)
def test_illegal_sound_is_an_error_of_the_sound_alone(described, stream, rule):
    assert found(described(audio=(stream,)), ".102") == {rule}


def test_one_legal_and_one_illegal_sound_give_one_finding(described, aac):
    assert found(described(audio=(aac, sound("aac", 44_100, 2))), ".102") == {"audio.rate"}


def test_beside_mpeg_2_only_mp3_is_legal(described, aac):
    video = size(720, 576, 25) | MPEG2 | {"level_idc": 8}
    assert found(described(video=video, container="mpegps", audio=(sound("mp3", 44_100, 2),)), ".100") == set()
    assert found(described(video=video, container="mpegps", audio=(aac,)), ".100") == {"audio.format"}


def test_the_clause_is_that_of_the_syntax(described):
    clauses = {check_stream(described(video={"rotation": 90}), ROOT + x)[0].clause for x in (".102", ".103.1", ".104")}
    assert clauses == {"PS3.5 8.2.7", "PS3.5 8.2.8"}


def test_a_short_loop_may_live_on_a_full_buffer(described):
    """62.5 Mbit/s and a buffer of 78 Mbit (H.264 Table A-1, High): two seconds may hold 203 Mbit, twenty 1328."""
    short, long = ({"bit_rate": 90_000_000, "duration_ms": seconds * 1000.0} for seconds in (2, 20))
    assert found(described(video=short | {"level_idc": 41}), ".102") == set()
    assert found(described(video=long | {"level_idc": 41}), ".102") == {"stream.level.limits"}


def test_a_uid_that_is_no_video_syntax_is_refused(described):
    with pytest.raises(NoLegalPath):
        check_stream(described(), f"{ROOT}.50")


def test_each_rule_has_its_own_id_and_says_what_it_demands():
    ids = [rule.id for rule in DESCRIPTION_RULES]
    assert len(ids) == len(set(ids))
    assert all(rule.demand.endswith(".") for rule in DESCRIPTION_RULES)
    assert {rule.id.split(".")[0] for rule in DESCRIPTION_RULES} == {"stream", "container", "audio"}


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(width=st.integers(16, 4096), height=st.integers(16, 4096), rate=st.sampled_from([10, 25, 30, 50, 60]))
def test_limits_agree_with_the_lowest_level_that_holds_the_picture(described, width, height, rate):
    needed = h264_minimal_level(width, height, Fraction(rate))
    legal = needed is not None and (needed == "1b" or float(needed) <= 4.1)
    description = described(video=size(width, height, rate) | {"level_idc": None, "bit_rate": None})
    assert ("stream.level.limits" not in found(description, ".102")) == legal


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    syntax=st.sampled_from(VIDEO_SYNTAXES),
    codec=st.sampled_from(["h264", "hevc", "mpeg2video", "mjpeg"]),
    profile=st.sampled_from([None, "High", "Main", "Main 10", "profile 300"]),
    level=st.none() | st.integers(-99, 400),
    rate=st.fractions(0, 1000, max_denominator=1001),
    scan=st.sampled_from(Scan),
)
def test_any_description_is_judged_without_a_crash(described, syntax, codec, profile, level, rate, scan):
    video = {"codec": codec, "profile": profile, "level_idc": level, "frame_rate": rate, "scan": scan}
    for finding in check_stream(described(video=video), syntax.uid):
        assert finding.found
        assert finding.required
        assert finding.clause
