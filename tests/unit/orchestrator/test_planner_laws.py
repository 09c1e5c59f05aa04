"""What the planner promises for every source, profile and set of destinations."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.descriptions import LEGAL, VIDEO_UIDS, acceptances, clip, descriptions, destinations, profiles, video

from common.conformance import check_stream
from common.dicom.transfer_syntaxes import MAX_FRAGMENT_BYTES, ROOT, by_uid
from common.errors import NoLegalPath
from common.levels import level_violations
from common.media import Description, Kind, Scan
from common.orders import Path, Plan
from common.picture import encoded_size
from common.recipes import ARCHIVE, Audio, Profile
from orchestrator.acceptance import Acceptance, Destinations
from orchestrator.planner import plan

VIDEO = {"frame_rate": Fraction(25), "bit_depth": 8, "pixel_format": "yuv420p"}
ASKED = {
    "description": descriptions(),
    "profile": profiles(),
    "places": destinations(),
    "audio": st.sampled_from(Audio),
}
DEARNESS = [Path.KEEP, Path.REWRAP, Path.REAUDIO, Path.ENCODE, None]


def planned(description: Description, profile: Profile, places: list[Acceptance], audio: Audio, **more: Any) -> Plan:
    """The plan; what is refused says nothing to the law at hand."""
    try:
        return plan(description, profile, places, audio=audio, modality="ES", **more)
    except NoLegalPath:
        assume(False)
        raise


def path_of(description: Description, places: list[Acceptance], audio: Audio) -> Path | None:
    try:
        return plan(description, ARCHIVE, places, audio=audio, modality="ES").path
    except NoLegalPath:
        return None


def legal_as_it_is(description: Description, uid: str) -> bool:
    """Whether the bitstream, in a clean container and without sound, is legal under a syntax that means the same picture."""
    bare = {"container": "mp4", "moov_first": True, "edit_list": False, "fragmented": False, "other_streams": 0}
    findings = check_stream(description.model_copy(update=bare | {"audio": ()}), uid)
    multiview = description.video.profile in ("Stereo High", "Multiview High")
    own = (
        description.dicom is not None and by_uid(description.dicom.transfer_syntax_uid).base_uid == by_uid(uid).base_uid
    )
    same_meaning = own or multiview == (by_uid(uid).base_uid == f"{ROOT}.106")
    return same_meaning and not any(finding.severity == "error" for finding in findings)


@given(**ASKED)
def test_what_is_legal_and_accepted_is_never_encoded(
    description: Description, profile: Profile, places: list[Acceptance], audio: Audio
) -> None:
    chosen = planned(description, profile, places, audio)
    if chosen.path is not Path.ENCODE or description.kind is Kind.DICOM_FRAMES:
        return
    container = "mpegts" if description.video.codec == "mpeg2video" else "mp4"
    for uid in VIDEO_UIDS:
        if by_uid(uid).base_uid != uid:
            continue  # a twin is legal where its base is
        limits = Destinations(tuple(places)).limits
        taken = not any(each.refuses(uid) or each.refuses_container(container) for each in limits)
        assert not (taken and legal_as_it_is(description, uid)), f"{uid} would have held it"


@given(**ASKED)
def test_no_syntax_is_picked_that_a_destination_refuses(
    description: Description, profile: Profile, places: list[Acceptance], audio: Audio
) -> None:
    uid = planned(description, profile, places, audio).transfer_syntax_uid
    for each in Destinations(tuple(places)).limits:
        assert each.syntaxes is None or uid in each.syntaxes
        assert each.fragmentable or by_uid(uid).base_uid == uid


@given(**ASKED)
def test_no_demand_of_a_destination_or_its_viewers_is_broken(
    description: Description, profile: Profile, places: list[Acceptance], audio: Audio
) -> None:
    chosen = planned(description, profile, places, audio)
    anew = chosen.path in (Path.ENCODE, Path.REAUDIO) or chosen.new_container
    codec = chosen.recipe.codec if chosen.recipe else description.video.codec
    container = ("mpegts" if codec == "mpeg2video" else "mp4") if anew else description.container
    moved = anew or (chosen.path is Path.REWRAP and description.kind is Kind.VIDEO)  # plain MP4s get their index moved
    fragments = description.dicom.fragment_count if description.dicom and chosen.path is Path.KEEP else 1
    size = chosen.estimated_bytes if chosen.path is Path.ENCODE else description.size_bytes
    for each in Destinations(tuple(places)).limits:
        assert each.containers is None or container in each.containers
        assert not each.index_first or moved or description.moov_first is not False
        assert not each.one_fragment or fragments == 1
        whole = chosen.split is None
        assert not each.one_fragment or chosen.path is Path.KEEP or not whole or size <= MAX_FRAGMENT_BYTES + 10_000
        assert each.max_bytes is None or not whole or size <= each.max_bytes


@given(**ASKED)
def test_nothing_is_upscaled_and_no_frame_is_dropped(
    description: Description, profile: Profile, places: list[Acceptance], audio: Audio
) -> None:
    chosen = planned(description, profile, places, audio)
    if chosen.recipe is None:
        return
    video, recipe = description.video, chosen.recipe
    width, height = encoded_size(video)  # square pixels, upright, even: the picture that the recipe gets
    assert width * height >= video.width * video.height
    if video.pixel_aspect == 1:
        assert width * height <= (max(video.width, video.height) + 3) * (min(video.width, video.height) + 3)
    if recipe.codec == "mpeg2video":
        return  # its sizes and rates are those of a table (PS3.5 8.2.5, 8.2.6), which the rules of the checker hold
    limits = level_violations(
        recipe.codec, width, height, video.frame_rate, recipe.level, interlaced=video.scan is not Scan.PROGRESSIVE
    )
    assert limits == ()  # every frame at its own rate and size, so none has to go and none to shrink


@given(**ASKED)
def test_what_is_copied_is_legal_where_it_goes(
    description: Description, profile: Profile, places: list[Acceptance], audio: Audio
) -> None:
    chosen = planned(description, profile, places, audio)
    if chosen.path is Path.ENCODE:
        return
    made: dict[str, Any] = {}
    if chosen.path is not Path.KEEP and (chosen.new_container or chosen.path is Path.REAUDIO):
        made = {"container": "mpegts" if description.video.codec == "mpeg2video" else "mp4", "moov_first": None}
        made |= {"fragmented": False, "edit_list": False, "other_streams": 0}
    if chosen.audio is Audio.STRIP or chosen.path is Path.REAUDIO:
        made["audio"] = ()
    output = description.model_copy(update=made)
    findings = check_stream(output, chosen.transfer_syntax_uid)
    assert [finding for finding in findings if finding.severity == "error"] == []
    assert not any(each.refuses_container(output.container) for each in places)
    if chosen.audio is Audio.STRIP:
        assert output.audio == ()


@given(**ASKED)
def test_one_instance_holds_it_or_the_plan_parts_it(
    description: Description, profile: Profile, places: list[Acceptance], audio: Audio
) -> None:
    chosen = planned(description, profile, places, audio)
    stream = (description.dicom and description.dicom.stream_length) or description.size_bytes
    size = chosen.estimated_bytes if chosen.path is Path.ENCODE else stream
    limits = Destinations(tuple(places)).limits
    caps = [each.max_bytes for each in limits if each.max_bytes]
    base = by_uid(chosen.transfer_syntax_uid)
    # a stream that comes out too long for one fragment goes under the twin by itself, where all take that
    one = any(each.one_fragment for each in limits)
    if one or (not base.fragmentable and any(each.refuses(f"{base.uid}.1") for each in limits)):
        caps.append(MAX_FRAGMENT_BYTES)
    if chosen.split is None:
        assert all(size <= cap for cap in caps)
    else:
        assert chosen.path is not Path.KEEP
        assert chosen.split.limit_bytes == min(caps)
        assert chosen.split.parts * chosen.split.limit_bytes >= size


@given(**ASKED)
def test_every_cheaper_path_is_on_record_with_the_rule_that_closed_it(
    description: Description, profile: Profile, places: list[Acceptance], audio: Audio
) -> None:
    chosen = planned(description, profile, places, audio)
    closed = [each.path for each in chosen.forced_by]
    cheaper = {Path.KEEP: [], Path.REWRAP: [Path.KEEP], Path.REAUDIO: [Path.KEEP, Path.REWRAP]}
    assert closed == cheaper.get(chosen.path, [Path.KEEP, Path.REWRAP])
    assert all(each.rule and each.clause and each.why for each in chosen.forced_by)
    assert chosen.reason


@given(**ASKED)
def test_the_same_question_has_the_same_answer(
    description: Description, profile: Profile, places: list[Acceptance], audio: Audio
) -> None:
    first, second = (planned(description, profile, places, audio) for _ in range(2))
    assert first == second
    assert planned(description, profile, places[::-1], audio).path is first.path


@given(**ASKED | {"more": st.frozensets(st.sampled_from(VIDEO_UIDS), min_size=1)})
def test_accepting_more_never_makes_the_path_dearer(
    description: Description, profile: Profile, places: list[Acceptance], audio: Audio, more: frozenset[str]
) -> None:
    wider = [
        each.model_copy(update={"syntaxes": each.syntaxes and each.syntaxes | more, "fragmentable": True})
        for each in places
    ]
    before, after = (path_of(description, them, audio) for them in (places, wider))
    assert DEARNESS.index(after) <= DEARNESS.index(before)


@given(
    description=descriptions(), profile=profiles(frames=True), places=st.lists(acceptances(), min_size=1, max_size=2)
)
def test_a_refusal_names_its_reason_its_rule_and_what_to_do(
    description: Description, profile: Profile, places: list[Acceptance]
) -> None:
    refusal = refusal_of(description, profile, places)
    if refusal is not None:
        assert refusal.message
        assert refusal.hint
        assert refusal.rule


def refusal_of(description: Description, profile: Profile, places: list[Acceptance]) -> NoLegalPath | None:
    try:
        plan(description, profile, places, modality="ES")
    except NoLegalPath as error:
        return error
    return None


@pytest.mark.parametrize("syntax", LEGAL)
def test_a_stream_legal_under_a_syntax_is_copied_to_the_destination_that_takes_only_that(syntax: str) -> None:
    stream = VIDEO | LEGAL[syntax]
    chosen = plan(clip(video(**stream)), ARCHIVE, [Acceptance(syntaxes={f"{ROOT}{syntax}"})], modality="ES")
    assert (chosen.path, chosen.transfer_syntax_uid) == (Path.REWRAP, f"{ROOT}{syntax}")


@pytest.mark.parametrize(
    ("syntax", "preferred"),
    [(".102", ".102"), (".103", ".102"), (".104", ".104"), (".105", ".105"), (".106", ".106"), (".107", ".107")],
)
def test_the_most_widely_read_syntax_that_says_what_the_stream_is_comes_first(syntax: str, preferred: str) -> None:
    chosen = plan(clip(video(**VIDEO | LEGAL[syntax])), ARCHIVE, modality="ES")
    assert (chosen.path, chosen.transfer_syntax_uid) == (Path.REWRAP, f"{ROOT}{preferred}")


@pytest.mark.parametrize(
    ("size", "place", "syntax", "parts"),
    [
        (MAX_FRAGMENT_BYTES, Acceptance(), ".102", None),
        (MAX_FRAGMENT_BYTES + 1, Acceptance(), ".102.1", None),
        (MAX_FRAGMENT_BYTES + 1, Acceptance(fragmentable=False), ".102", 2),
        (20 * 10**9, Acceptance(fragmentable=False), ".102", 5),
        (3 * 10**9, Acceptance(max_bytes=10**9), ".102", 4),
        (20 * 10**9, Acceptance(max_bytes=2 * 10**9), ".102.1", 11),
    ],
)
def test_a_long_recording_is_parted_where_one_instance_cannot_hold_it(
    size: int, place: Acceptance, syntax: str, parts: int | None
) -> None:
    chosen = plan(clip(size_bytes=size), ARCHIVE, [place], modality="ES")
    assert (chosen.path, chosen.transfer_syntax_uid) == (Path.REWRAP, f"{ROOT}{syntax}")
    assert (chosen.split.parts if chosen.split else None) == parts


def test_hevc_needs_no_parts_for_its_syntax_takes_many_fragments() -> None:
    source = clip(video(codec="hevc", profile="Main", level_idc=120), size_bytes=20 * 10**9)
    assert plan(source, ARCHIVE, [Acceptance(fragmentable=False)], modality="ES").split is None
