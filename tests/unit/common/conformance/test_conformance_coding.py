"""Rules on what the coded bytes tell: each is broken once by one fact, and kept once by its neighbour."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.conformance import DESCRIPTION_RULES, check_stream
from common.dicom.transfer_syntaxes import ROOT, VIDEO_SYNTAXES
from common.levels import h264_max_references, hevc_max_pictures
from common.media import AudioStream, Coding, Hrd, MasteringDisplay

Facts = dict[str, Any]

HEVC: Facts = {"codec": "hevc", "profile": "Main", "level_idc": 153}
MPEG2: Facts = {"codec": "mpeg2video", "profile": "Main", "level_idc": 8, "width": 720, "height": 576, "frame_rate": 25}
HD2: Facts = {"codec": "mpeg2video", "profile": "Main", "level_idc": 4, "frame_rate": 25}
BLURAY: Facts = {"width": 1920, "height": 1080, "frame_rate": 24, "level_idc": 41}
FINE = Coding(
    nal_hrd=Hrd(bit_rate=40_000_000, buffer_bits=30_000_000),
    slices=4,
    b_pictures=3,
    decoded_frames=4,
    delimiters=True,
    longest_gop=24,
)
PQ: Facts = {"transfer": "smpte2084", "primaries": "bt2020", "matrix": "bt2020nc"}
DISPLAY = MasteringDisplay(red=(1, 1), green=(1, 1), blue=(1, 1), white_point=(1, 1), max_luminance=1, min_luminance=0)


def found(description: Any, x: str) -> dict[str, str]:
    return {finding.rule: finding.severity for finding in check_stream(description, ROOT + x)}


def hrd(rate: int, buffer: int) -> Hrd:
    return Hrd(bit_rate=rate, buffer_bits=buffer)


# (syntax, the stream, facts that break the rule, facts that keep it, rule, severity)
CODED: list[tuple[str, Facts, Facts, Facts, str, str]] = [
    (".107", HEVC, {"tier": "high"}, {"tier": "main", "compatible_profiles": (1,)}, "stream.tier", "error"),
    (
        ".107",
        HEVC,
        {"tier": "main", "compatible_profiles": (2,)},
        {"tier": "main", "compatible_profiles": (1, 2)},
        "stream.compatibility",
        "warning",
    ),
    (".107", HEVC, {"vps_agrees": False}, {"vps_agrees": True}, "stream.vps", "warning"),
    (".107", HEVC, {"progressive_only": False}, {"progressive_only": True}, "stream.scan", "warning"),
    (
        ".107",
        HEVC | {"profile": "Format Range Extensions"},
        {"compatible_profiles": (4,)},
        {"compatible_profiles": (1, 4)},
        "stream.profile",
        "error",
    ),
    (".102", {}, {"tools": ("slice groups",)}, {"tools": ("CABAC", "B slices")}, "stream.tools", "error"),
    (".102", {}, {"tools": ("data partitioning",)}, {}, "stream.tools", "error"),
    (
        ".102",
        {"profile": "Constrained Baseline"},
        {"tools": ("B slices",)},
        {"tools": ()},
        "stream.tools.claim",
        "warning",
    ),
    (
        ".102",
        {"profile": "Main"},
        {"tools": ("8x8 transform",)},
        {"tools": ("CABAC", "B slices")},
        "stream.tools.claim",
        "warning",
    ),
    (".102", {}, {"sizes": ((1920, 1080), (1280, 720))}, {"sizes": ((1920, 1080),)}, "stream.sizes", "error"),
    (
        ".102",
        {},
        {"parameter_sets": 2, "sizes": ((1920, 1080),)},
        {"parameter_sets": 1, "sizes": ((1920, 1080),)},
        "stream.sequences",
        "warning",
    ),
    (".106", {"profile": "Stereo High"}, {"second_view": False}, {"second_view": True}, "stream.views", "error"),
    (".105", {"frame_packed": True}, {"frame_packing": 0}, {"frame_packing": 3}, "stream.packing.kind", "warning"),
    (".105", {"frame_packed": True}, {"frame_packing": 99}, {"frame_packing": 4}, "stream.packing.kind", "warning"),
    (".102", {}, {"longest_gop": 301}, {"longest_gop": 250}, "stream.seek", "note"),
    (".102", {}, {"chroma": "4:0:0"}, {"chroma": "4:2:0"}, "stream.chroma", "error"),
    (".102", {"matrix": None}, {"matrix_code": 0}, {"matrix_code": 2}, "stream.matrix", "error"),
    (".102", {}, {"decoded_frames": 5}, {"decoded_frames": 4}, "stream.level.pictures", "error"),
    (".102", {}, {"reference_frames": 16}, {"reference_frames": 4}, "stream.level.pictures", "error"),
    (
        ".107",
        HEVC | {"width": 3840, "height": 2160},
        {"decoded_frames": 7},
        {"decoded_frames": 6},
        "stream.level.pictures",
        "error",
    ),
    (
        ".102",
        {},
        {"nal_hrd": hrd(75_000_001, 1)},
        {"nal_hrd": hrd(75_000_000, 93_750_000)},
        "stream.level.hrd",
        "error",
    ),
    (
        ".102",
        {},
        {"nal_hrd": hrd(1, 93_750_001)},
        {"vcl_hrd": hrd(62_500_000, 78_125_000)},
        "stream.level.hrd",
        "error",
    ),
    (".102", {}, {"vcl_hrd": hrd(62_500_001, 1)}, {}, "stream.level.hrd", "error"),
    (
        ".107",
        HEVC,
        {"nal_hrd": hrd(44_000_001, 1)},
        {"nal_hrd": hrd(44_000_000, 44_000_000)},
        "stream.level.hrd",
        "error",
    ),
    (
        ".100",
        MPEG2,
        {"nal_hrd": hrd(15_000_400, 1)},
        {"nal_hrd": hrd(15_000_000, 1_835_008)},
        "stream.level.hrd",
        "error",
    ),
    (".100", MPEG2, {"nal_hrd": hrd(1, 1_851_392)}, {"nal_hrd": hrd(104_857_200, 1)}, "stream.level.hrd", "error"),
    (".100", MPEG2, {"nal_hrd": hrd(104_857_200, 1)}, {"nal_hrd": hrd(9_000_000, 1)}, "stream.level.rate", "warning"),
    # 78,125,000 bits of buffer, and 62,500,000 bit/s for the time of nine frames of 29.97 a second: 18.8 Mbit
    (".102", {}, {"peaks": ((1, 78_125_001),)}, {"peaks": ((1, 78_125_000),)}, "stream.level.peak", "error"),
    (".102", {}, {"peaks": ((10, 96_900_000),)}, {"peaks": ((10, 96_890_000),)}, "stream.level.peak", "error"),
    (".100", MPEG2, {"peaks": ((1, 1_835_009),)}, {"peaks": ((1, 1_835_008),)}, "stream.level.peak", "error"),
    (
        ".102",
        {"level_idc": 31, "width": 1280, "height": 720},
        {"decoded_frames": 6},
        {"decoded_frames": 5},
        "stream.level.claim",
        "warning",
    ),
    (".101", HD2, {"aspect_code": 1}, {"aspect_code": 3}, "stream.mpeg2.aspect", "error"),
    (".100", MPEG2, {"aspect_code": 5}, {"aspect_code": 2}, "stream.mpeg2.aspect", "error"),
    (".100", MPEG2, {"rate_code": 9}, {"rate_code": 3}, "stream.mpeg2.rate", "error"),
    (".100", MPEG2, {"rate_extended": True}, {"rate_extended": False}, "stream.mpeg2.rate", "error"),
    (
        ".100",
        MPEG2,
        {"low_delay": True, "b_pictures": 2},
        {"low_delay": True, "b_pictures": 0},
        "stream.mpeg2.low_delay",
        "warning",
    ),
    (".103", BLURAY, {"longest_gop": 25}, {"longest_gop": 24}, "stream.bluray.key_frames", "warning"),
    (
        ".103",
        BLURAY,
        {"longest_gop": 49, "nal_hrd": hrd(15_000_000, 1)},
        {"longest_gop": 48, "nal_hrd": hrd(15_000_000, 1)},
        "stream.bluray.key_frames",
        "warning",
    ),
    (
        ".103",
        BLURAY,
        {"nal_hrd": hrd(40_000_001, 1)},
        {"nal_hrd": hrd(40_000_000, 30_000_000)},
        "stream.bluray.rate",
        "warning",
    ),
    (".103", BLURAY, {"nal_hrd": hrd(1, 30_000_001)}, {}, "stream.bluray.rate", "warning"),
    (".103", BLURAY, {"peaks": ((1, 30_000_001),)}, {"peaks": ((1, 30_000_000),)}, "stream.bluray.rate", "warning"),
    (".103", BLURAY, {"nal_hrd": None}, {}, "stream.bluray.hrd", "warning"),
    (".103", BLURAY, {"slices": 3}, {"slices": 4}, "stream.bluray.slices", "warning"),
    (".103", BLURAY, {"b_pictures": 4}, {"b_pictures": 3}, "stream.bluray.b_pictures", "warning"),
    (".103", BLURAY, {"decoded_frames": 5}, {"decoded_frames": 4}, "stream.bluray.decoded", "warning"),
    (".103", BLURAY, {"delimiters": False}, {"delimiters": True}, "stream.bluray.delimiters", "warning"),
]


@pytest.mark.parametrize(("x", "video", "broken", "kept", "rule", "severity"), CODED)
def test_one_fact_of_the_coded_bytes_breaks_one_rule(
    described: Any, x: str, video: Facts, broken: Facts, kept: Facts, rule: str, severity: str
) -> None:
    base = FINE.model_dump() if x == ".103" else {}
    assert found(described(video=video | {"coding": Coding(**base | broken)}), x).get(rule) == severity
    assert rule not in found(described(video=video | {"coding": Coding(**base | kept)}), x)


CONTAINED: list[tuple[str, Facts, Facts, Facts, str, str]] = [
    (".107", HEVC, {"sample_entry": "avc1"}, {"sample_entry": "hvc1"}, "container.sample_entry", "error"),
    (".107", HEVC, {"sample_entry": "hev1"}, {"sample_entry": "hvc1"}, "container.sample_entry.in_band", "warning"),
    (".102", {}, {"sample_entry": "avc3"}, {"sample_entry": "avc1"}, "container.sample_entry.in_band", "warning"),
    (".102", {}, {"sample_entries": 2}, {"sample_entries": 1}, "container.sample_entries", "warning"),
    (".102", {}, {"video_streams": 2}, {"video_streams": 1}, "container.video_streams", "error"),
    (".102", {}, {"external_data": True}, {"external_data": False}, "container.external", "error"),
    (".102", {}, {"programs": 2}, {"programs": 1}, "container.programs", "error"),
    (".102", {}, {"stream_type": 0x24}, {"stream_type": 0x1B}, "container.stream_type", "error"),
    (".107", HEVC, {"stream_type": 0x06}, {"stream_type": 0x24}, "container.stream_type", "error"),
    (".102", {}, {"packet_bytes": 192}, {"packet_bytes": 188}, "container.packets", "error"),
    (".102", {"matrix": None}, {}, {"video": {"matrix": "bt709"}}, "stream.colour", "note"),
    (".102", {"transfer": None}, {}, {"video": {"transfer": "bt709"}}, "stream.colour", "note"),
    (".102", {"matrix": "bt470bg"}, {}, {"video": {"matrix": "bt709"}}, "stream.colour.size", "note"),
    (
        ".102",
        {"width": 640, "height": 480},
        {},
        {"video": {"width": 640, "height": 480, "matrix": "smpte170m"}},
        "stream.colour.size",
        "note",
    ),
    (".108", HEVC | PQ, {}, {"video": HEVC | PQ | {"mastering_display": DISPLAY}}, "stream.colour.mastering", "note"),
]


@pytest.mark.parametrize(("x", "video", "broken", "kept", "rule", "severity"), CONTAINED)
def test_one_fact_of_the_container_or_its_tags_breaks_one_rule(
    described: Any, x: str, video: Facts, broken: Facts, kept: Facts, rule: str, severity: str
) -> None:
    assert found(described(**{"video": video} | broken), x).get(rule) == severity
    assert rule not in found(described(**{"video": video} | kept), x)


def test_for_mpeg_2_the_container_is_free(described: Any) -> None:
    facts = {"programs": 2, "packet_bytes": 192, "stream_type": 0x80, "container": "mpegts"}
    assert not {rule for rule in found(described(video=MPEG2, **facts), ".100") if rule.startswith("container.")}


def sound(**changes: Any) -> AudioStream:
    return AudioStream(**{"codec": "aac", "sample_rate": 48_000, "channels": 2, "profile": "LC"} | changes)


@pytest.mark.parametrize(
    ("broken", "kept", "rule", "severity"),
    [
        (sound(profile="HE-AAC"), sound(), "audio.profile", "warning"),
        (sound(channels=6, layout="hexagonal"), sound(channels=6, layout="5.1(side)"), "audio.layout", "error"),
        (
            sound(codec="mp3", constant_bit_rate=False, profile=None),
            sound(codec="mp3", constant_bit_rate=True, profile=None),
            "audio.constant",
            "error",
        ),
    ],
)
def test_one_fact_of_the_sound_breaks_one_rule(
    described: Any, broken: AudioStream, kept: AudioStream, rule: str, severity: str
) -> None:
    assert found(described(audio=(broken,)), ".102") == {rule: severity}
    assert found(described(audio=(kept,)), ".102") == {}


def test_a_second_sound_stream_is_noted(described: Any) -> None:
    assert found(described(audio=(sound(), sound())), ".102") == {"audio.tracks": "note"}


def test_progressive_frames_coded_as_interlaced_are_the_25_frames_of_blu_ray(described: Any) -> None:
    video = BLURAY | {"frame_rate": 25}
    assert "stream.geometry" in found(described(video=video), ".103")
    fake = video | {"coding": FINE.model_copy(update={"progressive_only": False, "longest_gop": 25})}
    assert found(described(video=fake), ".103") == {}


def test_a_stream_as_blu_ray_wants_it_has_no_findings(described: Any) -> None:
    assert found(described(video=BLURAY | {"coding": FINE}), ".103") == {}


def test_busy_frames_of_unknown_length_are_not_held_against_their_time(described: Any) -> None:
    coding = Coding(peaks=((10, 96_900_000),))
    assert "stream.level.peak" not in found(described(video={"coding": coding, "constant_rate": False}), ".102")


def test_levels_count_the_samples_that_are_decoded(described: Any) -> None:
    """8,192 macroblocks a frame at level 4.1: 2048x1024 fits; cut out of 2048x1040 it does not."""
    shown = {"width": 2048, "height": 1024, "frame_rate": 25}
    assert "stream.level.limits" not in found(described(video=shown), ".102")
    cut = Coding(coded_width=2048, coded_height=1040)
    assert "stream.level.limits" in found(described(video=shown | {"coding": cut}), ".102")


@pytest.mark.parametrize(
    ("size", "pictures"), [((4096, 2160), 6), ((3840, 1600), 8), ((2560, 1440), 12), ((1920, 1080), 16), ((8, 8), 16)]
)
def test_hevc_holds_more_of_smaller_pictures(size: tuple[int, int], pictures: int) -> None:
    assert hevc_max_pictures(*size, "5.1") == pictures


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(width=st.integers(16, 1920), height=st.integers(16, 1088), frames=st.integers(0, 16))
def test_held_pictures_agree_with_max_dpb_frames(described: Any, width: int, height: int, frames: int) -> None:
    video = {"width": width, "height": height, "frame_rate": 10, "coding": Coding(decoded_frames=frames)}
    legal = frames <= h264_max_references(width, height, "4.1")
    assert ("stream.level.pictures" not in found(described(video=video), ".102")) == legal


counts = st.none() | st.integers(-1, 10**9)
codings = st.builds(
    Coding,
    tier=st.sampled_from([None, "main", "high"]),
    decoded_frames=counts,
    nal_hrd=st.none() | st.builds(Hrd, bit_rate=st.integers(0, 10**12), buffer_bits=st.integers(0, 10**12)),
    progressive_only=st.none() | st.booleans(),
    tools=st.lists(st.sampled_from(["CABAC", "B slices", "slice groups", "field pictures"]), max_size=3).map(tuple),
    slices=counts,
    b_pictures=counts,
    longest_gop=counts,
    peaks=st.lists(st.tuples(st.integers(1, 1024), st.integers(0, 10**12)), max_size=3).map(tuple),
    frame_packing=counts,
    aspect_code=counts,
    rate_code=counts,
    matrix_code=counts,
)


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    syntax=st.sampled_from(VIDEO_SYNTAXES),
    codec=st.sampled_from(["h264", "hevc", "mpeg2video", "vp9"]),
    coding=codings,
    rate=st.fractions(0, 1000, max_denominator=1001),
)
def test_any_facts_are_judged_without_a_crash(
    described: Any, syntax: Any, codec: str, coding: Coding, rate: Fraction
) -> None:
    for finding in check_stream(described(video={"codec": codec, "coding": coding, "frame_rate": rate}), syntax.uid):
        assert finding.found
        assert finding.required


def test_each_rule_on_coded_facts_is_broken_by_a_test() -> None:
    named = {row[4] for row in (*CODED, *CONTAINED)} | {
        "audio.profile",
        "audio.layout",
        "audio.constant",
        "audio.tracks",
    }
    new = {"stream.bluray", "stream.mpeg2", "stream.level.p", "stream.level.hrd", "stream.colour", "stream.tools"}
    asked = {rule.id for rule in DESCRIPTION_RULES if any(rule.id.startswith(prefix) for prefix in new)}
    assert asked <= named


def test_layer_2_may_change_its_bit_rate(described: Any) -> None:
    assert found(described(audio=(sound(codec="mp2", constant_bit_rate=False, profile=None),)), ".102") == {}
