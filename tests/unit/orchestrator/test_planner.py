"""The cheapest legal path, and its reason."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from support.descriptions import clip, video

from common.errors import NoLegalPath
from common.media import AudioStream, DicomFacts, Kind, Scan
from common.orders import Path
from common.recipes import ARCHIVE, LOSSLESS, Audio
from orchestrator.acceptance import Acceptance
from orchestrator.planner import plan

ROOT = "1.2.840.10008.1.2.4"
VIDEO_ENDOSCOPIC = "1.2.840.10008.5.1.4.1.1.77.1.1.1"
ULTRASOUND_MULTIFRAME = "1.2.840.10008.5.1.4.1.1.3.1"
AAC = AudioStream(codec="aac", sample_rate=48_000, channels=2, bit_rate=128_000)
MP2 = AudioStream(codec="mp2", sample_rate=44_100, channels=1, bit_rate=128_000)
MONO_AAC = AudioStream(codec="aac", sample_rate=44_100, channels=1, bit_rate=64_000)


def dicom(syntax: str, sop_class: str = VIDEO_ENDOSCOPIC, **changes: Any) -> DicomFacts:
    facts: dict[str, Any] = {
        "sop_class_uid": sop_class,
        "sop_instance_uid": "1.2.3",
        "series_uid": "1.2.4",
        "study_uid": "1.2.5",
        "transfer_syntax_uid": syntax,
        "modality": "ES",
        "photometric": "YBR_PARTIAL_420",
        "samples_per_pixel": 3,
        "rows": 720,
        "columns": 1280,
        "number_of_frames": 100,
        "stream_length": 1_999_000,
        "fragment_count": 1,
    }
    return DicomFacts(**facts | changes)


def test_legal_dicom_video_is_kept_to_the_byte() -> None:
    chosen = plan(clip(kind=Kind.DICOM_VIDEO, dicom=dicom(f"{ROOT}.102")), ARCHIVE)
    assert (chosen.path, chosen.transfer_syntax_uid) == (Path.KEEP, f"{ROOT}.102")
    assert "kept" in chosen.reason


def test_a_legal_clip_is_rewrapped_without_decoding() -> None:
    chosen = plan(clip(), ARCHIVE, modality="ES")
    assert (chosen.path, chosen.transfer_syntax_uid, chosen.sop_class_uid) == (
        Path.REWRAP,
        f"{ROOT}.102",
        VIDEO_ENDOSCOPIC,
    )
    assert chosen.recipe is None


def test_level_4_2_is_rewrapped_into_its_own_syntax() -> None:
    chosen = plan(clip(video(width=1920, height=1080, frame_rate=Fraction(60), level_idc=42)), ARCHIVE, modality="ES")
    assert (chosen.path, chosen.transfer_syntax_uid) == (Path.REWRAP, f"{ROOT}.104")


def test_hevc_main_is_rewrapped_into_its_own_syntax() -> None:
    chosen = plan(clip(video(codec="hevc", profile="Main", level_idc=120)), ARCHIVE, modality="ES")
    assert (chosen.path, chosen.transfer_syntax_uid) == (Path.REWRAP, f"{ROOT}.107")


def test_a_clip_that_fills_more_than_one_fragment_goes_to_the_fragmentable_twin() -> None:
    chosen = plan(clip(size_bytes=2**32), ARCHIVE, modality="ES")
    assert (chosen.path, chosen.transfer_syntax_uid) == (Path.REWRAP, f"{ROOT}.102.1")


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"codec": "mpeg4", "profile": None, "level_idc": None}, "mpeg4"),
        ({"chroma": "4:2:2", "pixel_format": "yuv422p"}, "4:2:2"),
        ({"bit_depth": 10, "pixel_format": "yuv420p10le"}, "10"),
        ({"full_range": True, "pixel_format": "yuvj420p"}, "range"),
        ({"rotation": 90}, "90"),
    ],
)
def test_what_the_stream_itself_breaks_is_encoded_and_the_reason_names_it(changes: dict[str, Any], word: str) -> None:
    chosen = plan(clip(video(**changes)), ARCHIVE, modality="ES")
    assert chosen.path is Path.ENCODE
    assert word in chosen.reason
    assert chosen.recipe == ARCHIVE.ladder[0]
    assert (chosen.gate, chosen.rung, chosen.rungs) == (ARCHIVE.gate, 0, 4)


PAL = {"codec": "mpeg2video", "profile": "Main", "level_idc": 8, "width": 720, "height": 576}


def test_a_legal_mpeg_2_tape_is_rewrapped_into_a_transport_stream() -> None:
    stream = video(**PAL, pixel_aspect=Fraction(16, 15), scan=Scan.TOP_FIELD_FIRST)
    chosen = plan(clip(stream, container="mpegps", audio=(MP2,)), ARCHIVE, modality="ES")
    assert (chosen.path, chosen.transfer_syntax_uid, chosen.new_container) == (Path.REWRAP, f"{ROOT}.100", True)


def test_mpeg_2_is_encoded_for_a_destination_that_does_not_take_it() -> None:
    chosen = plan(
        clip(video(**PAL), container="mpegps"), ARCHIVE, [Acceptance(syntaxes={f"{ROOT}.102"})], modality="ES"
    )
    assert (chosen.path, chosen.transfer_syntax_uid) == (Path.ENCODE, f"{ROOT}.102")
    assert chosen.forced_by[-1].rule == "destination.syntax"


def test_mpeg_2_with_holes_in_its_time_stamps_is_encoded_because_its_rate_is_none_of_the_table() -> None:
    stream = video(
        codec="mpeg2video", profile="Main", level_idc=8, width=720, height=480, frame_rate=Fraction(1400, 50)
    )
    chosen = plan(clip(stream, container="mpegps"), ARCHIVE, modality="ES")
    assert (chosen.path, chosen.forced_by[-1].rule) == (Path.ENCODE, "stream.geometry")


def test_mp2_sound_beside_mpeg_2_is_made_anew_when_it_is_kept() -> None:
    chosen = plan(clip(video(**PAL), container="mpegps", audio=(MP2,)), ARCHIVE, audio=Audio.KEEP, modality="ES")
    assert (chosen.path, chosen.transfer_syntax_uid) == (Path.REAUDIO, f"{ROOT}.100")
    assert [(each.path, each.rule) for each in chosen.forced_by] == [
        (Path.KEEP, "source.plain"),
        (Path.REWRAP, "audio.format"),
    ]


def test_a_legal_stream_in_a_container_that_dicom_does_not_know_is_rewrapped() -> None:
    assert plan(clip(container="matroska", moov_first=None), ARCHIVE, modality="ES").path is Path.REWRAP


@pytest.mark.parametrize(
    ("audio", "policy", "path"),
    [
        ((AAC,), Audio.STRIP, Path.REWRAP),
        ((AAC,), Audio.KEEP, Path.REWRAP),
        ((MONO_AAC,), Audio.STRIP, Path.REWRAP),
        ((MONO_AAC,), Audio.KEEP, Path.REAUDIO),
    ],
)
def test_illegal_sound_is_made_anew_only_when_it_is_kept(audio: tuple[AudioStream], policy: Audio, path: Path) -> None:
    assert plan(clip(audio=audio), ARCHIVE, audio=policy, modality="ES").path is path


def test_dicom_video_with_sound_to_be_dropped_is_rewrapped() -> None:
    source = clip(kind=Kind.DICOM_VIDEO, dicom=dicom(f"{ROOT}.102"), audio=(AAC,))
    assert plan(source, ARCHIVE).path is Path.REWRAP
    assert plan(source, ARCHIVE, audio=Audio.KEEP).path is Path.KEEP


def test_pictures_become_video_and_ultrasound_stays_ultrasound() -> None:
    stream = video(
        codec="mjpeg", profile=None, level_idc=None, pixel_format="yuvj422p", chroma="4:2:2", full_range=True
    )
    facts = dicom(f"{ROOT}.50", ULTRASOUND_MULTIFRAME, photometric="YBR_FULL_422", modality="US")
    chosen = plan(clip(stream, kind=Kind.DICOM_FRAMES, container="frames", dicom=facts), ARCHIVE)
    assert (chosen.path, chosen.sop_class_uid) == (Path.ENCODE, ULTRASOUND_MULTIFRAME)


def test_the_second_rung_is_better_than_the_first() -> None:
    source = clip(video(codec="mpeg4", profile=None))
    crfs = [plan(source, ARCHIVE, rung=rung, modality="ES").recipe for rung in range(4)]
    assert [recipe.crf for recipe in crfs if recipe] == sorted((r.crf for r in ARCHIVE.ladder), reverse=True)


def test_a_profile_that_never_encodes_says_why_it_cannot_help() -> None:
    with pytest.raises(NoLegalPath, match="mpeg4"):
        plan(clip(video(codec="mpeg4", profile=None)), LOSSLESS, modality="ES")
    assert plan(clip(), LOSSLESS, modality="ES").path is Path.REWRAP


def test_a_picture_beyond_every_level_is_refused_before_any_work() -> None:
    with pytest.raises(NoLegalPath, match=r"7680×4320 .* HEVC level 5.1"):
        plan(clip(video(codec="mpeg4", profile=None, width=7680, height=4320)), ARCHIVE, modality="ES")


def test_a_destination_that_takes_only_one_syntax_gets_that_one() -> None:
    source = clip(video(codec="hevc", profile="Main", level_idc=120))
    chosen = plan(source, ARCHIVE, modality="ES", destination_syntaxes=(f"{ROOT}.102",))
    assert (chosen.path, chosen.transfer_syntax_uid) == (Path.ENCODE, f"{ROOT}.102")
    with pytest.raises(NoLegalPath):
        plan(source, ARCHIVE, modality="ES", destination_syntaxes=(f"{ROOT}.100",))


def test_the_class_of_plain_video_is_the_requested_one() -> None:
    chosen = plan(clip(), ARCHIVE, modality="ES", requested_class="microscopic")
    assert chosen.sop_class_uid == "1.2.840.10008.5.1.4.1.1.77.1.2.1"


@pytest.mark.parametrize(
    ("changes", "new"),
    [
        ({}, False),
        ({"moov_first": False}, False),
        ({"edit_list": True}, True),
        ({"other_streams": 1}, True),
        ({"container": "mpegts", "moov_first": None}, True),
        ({"audio": (AAC,)}, True),
    ],
)
def test_a_new_container_is_written_only_where_something_must_be_dropped_or_mended(
    changes: dict[str, Any], new: bool
) -> None:
    assert plan(clip(**changes), ARCHIVE, modality="ES").new_container is new


def test_sound_that_is_legal_in_a_transport_stream_alone_is_made_anew_for_the_mp4() -> None:
    ac3 = AudioStream(codec="ac3", sample_rate=48_000, channels=2, bit_rate=192_000)
    source = clip(container="mpegts", moov_first=None, audio=(ac3,))
    assert plan(source, ARCHIVE, audio=Audio.KEEP, modality="ES").path is Path.REAUDIO


def test_a_dicom_object_whose_header_is_wrong_gets_a_new_one_around_the_same_stream() -> None:
    faults = ("Number of Frames 99 where 100 is required",)
    chosen = plan(clip(kind=Kind.DICOM_VIDEO, dicom=dicom(f"{ROOT}.102", faults=faults)), ARCHIVE)
    assert (chosen.path, chosen.new_container) == (Path.REWRAP, False)
    assert faults[0] in chosen.reason
