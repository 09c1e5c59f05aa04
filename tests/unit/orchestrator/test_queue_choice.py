"""Which recipe and queue an encode gets: the target by need, a device where it is allowed and served, else the CPU."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from common.errors import NoLegalPath
from common.media import Description, Kind, Scan, VideoStream
from common.orders import Plan
from common.recipes import ARCHIVE, DIAGNOSTIC, PROFILES, REVIEW, Hardware, Profile, fixed
from orchestrator.planner import plan

ROOT = "1.2.840.10008.1.2.4"
NVENC, QSV, VAAPI = "gpu.nvenc", "gpu.qsv", "gpu.vaapi"
ALL = ("describe", "cpu", "deliver", NVENC, QSV, VAAPI)
EAGER = ARCHIVE.model_copy(update={"hardware": Hardware.ALLOWED})


def source(**changes: Any) -> Description:
    facts: dict[str, Any] = {
        "codec": "mpeg4",
        "width": 1280,
        "height": 720,
        "pixel_format": "yuv420p",
        "frame_rate": Fraction(25),
        "frame_count": 100,
        "duration_ms": 4000.0,
    }
    return Description(
        kind=Kind.VIDEO, digest="0" * 64, size_bytes=1, container="avi", video=VideoStream(**facts | changes)
    )


def chosen(description: Description, profile: Profile = ARCHIVE, **options: Any) -> Plan:
    return plan(description, profile, modality="ES", **options)


def encoder(made: Plan) -> str:
    assert made.recipe is not None
    return made.recipe.encoder


@pytest.mark.parametrize(
    ("width", "height", "rate", "target", "by"),
    [
        (1280, 720, Fraction(60), 102, "libx264"),
        (1920, 1080, Fraction(30), 102, "libx264"),
        (1920, 1080, Fraction(50), 104, "libx264"),
        (1920, 1080, Fraction(60), 104, "libx264"),
        (1920, 1080, Fraction(120), 107, "libx265"),
        (2560, 1440, Fraction(30), 107, "libx265"),
        (3840, 2160, Fraction(60), 107, "libx265"),
    ],
)
def test_the_first_target_that_holds_the_picture_is_taken(
    width: int, height: int, rate: Fraction, target: int, by: str
) -> None:
    made = chosen(source(width=width, height=height, frame_rate=rate))
    assert (made.transfer_syntax_uid, encoder(made), made.queue) == (f"{ROOT}.{target}", by, "cpu")


def test_the_size_that_counts_is_the_one_that_is_written() -> None:
    anamorphic = source(width=1440, height=1080, pixel_aspect=Fraction(4, 3), frame_rate=Fraction(40))
    assert chosen(anamorphic).transfer_syntax_uid == f"{ROOT}.104"  # as 1920×1080; 1440×1080 would fit .102


def test_fields_that_level_4_1_does_not_hold_have_no_target() -> None:
    fields = {"scan": Scan.TOP_FIELD_FIRST, "width": 1920, "height": 1080}
    assert chosen(source(**fields, frame_rate=Fraction(25))).transfer_syntax_uid == f"{ROOT}.102"
    with pytest.raises(NoLegalPath, match="interlaced"):
        chosen(source(**fields, frame_rate=Fraction(50)))


def test_an_archive_that_takes_main_10_alone_gets_it() -> None:
    made = chosen(source(), destination_syntaxes=(f"{ROOT}.108",))
    assert made.recipe is not None
    assert (made.transfer_syntax_uid, encoder(made), made.recipe.bits) == (f"{ROOT}.108", "libx265", 10)


@pytest.mark.parametrize(
    ("profile", "queues", "expected"),
    [
        (ARCHIVE, ALL, ("libx264", "cpu")),
        (DIAGNOSTIC, ALL, ("libx264", "cpu")),
        (REVIEW, ("cpu",), ("libx264", "cpu")),
        (REVIEW, (), ("libx264", "cpu")),
        (REVIEW, ALL, ("h264_nvenc", NVENC)),
        (REVIEW, ("cpu", QSV), ("h264_qsv", QSV)),
        (REVIEW, ("cpu", VAAPI), ("h264_vaapi", VAAPI)),
        (REVIEW, ("cpu", "gpu.amf"), ("libx264", "cpu")),
        (EAGER, ALL, ("h264_nvenc", NVENC)),
        (REVIEW.model_copy(update={"hardware": Hardware.NEVER}), ALL, ("libx264", "cpu")),
    ],
)
def test_a_device_is_chosen_where_the_profile_allows_it_and_a_worker_has_it(
    profile: Profile, queues: tuple[str, ...], expected: tuple[str, str]
) -> None:
    made = chosen(source(), profile, queues=queues)
    assert (encoder(made), made.queue) == expected


def test_a_device_never_changes_the_target() -> None:
    for rate in (Fraction(25), Fraction(60)):
        for size in ((1920, 1080), (3840, 2160)):
            picture = source(width=size[0], height=size[1], frame_rate=rate)
            cpu, gpu = chosen(picture, EAGER), chosen(picture, EAGER, queues=ALL)
            assert cpu.transfer_syntax_uid == gpu.transfer_syntax_uid
            assert encoder(gpu).endswith("_nvenc")


def test_fields_stay_on_the_cpu() -> None:
    made = chosen(source(scan=Scan.TOP_FIELD_FIRST, width=720, height=576), EAGER, queues=ALL)
    assert (encoder(made), made.queue) == ("libx264", "cpu")


@pytest.mark.parametrize("profile", [profile for profile in PROFILES.values() if profile.ladder])
def test_the_last_rung_is_the_cpus(profile: Profile) -> None:
    eager = profile.model_copy(update={"hardware": Hardware.ALLOWED})
    queues = [chosen(source(), eager, rung=rung, queues=ALL).queue for rung in range(len(profile.ladder))]
    assert queues == [NVENC] * (len(queues) - 1) + ["cpu"]


@pytest.mark.parametrize("profile", [profile for profile in PROFILES.values() if profile.ladder])
def test_every_way_to_make_a_rung_gets_better_from_rung_to_rung(profile: Profile) -> None:
    for other in profile.alternatives:
        assert list(other.qualities) == sorted(set(other.qualities), reverse=True)
        assert 0 <= len(profile.ladder) - len(other.qualities) <= 1


def test_what_a_device_gave_back_stays_on_the_cpu_with_the_reason() -> None:
    made = chosen(source(), EAGER, queues=ALL, fallback="h264_nvenc failed on this worker")
    assert (encoder(made), made.queue, made.fallback) == ("libx264", "cpu", "h264_nvenc failed on this worker")
    assert "back on the CPU: h264_nvenc failed" in made.reason


def test_a_fallback_makes_the_very_recipe_that_the_cpu_would_have_made() -> None:
    first, fallen = chosen(source()), chosen(source(), EAGER, queues=ALL, fallback="gone")
    assert first.recipe is not None
    assert fallen.recipe is not None
    assert first.recipe.digest == fallen.recipe.digest


def test_the_recipes_of_the_first_release_keep_their_addresses() -> None:
    # SHA-256 of release 0.1.0: results and derived UIDs hang on them
    digests = [recipe.digest[:8] for profile in (ARCHIVE, DIAGNOSTIC, REVIEW) for recipe in fixed(profile).ladder]
    assert digests == [
        *("35f005dd", "e8ec3fb3", "0d8bdb8d", "b0ae7eb8"),
        *("60b93f8a", "713350a4", "294b8340", "a6b72d6b"),
        *("6a9b8495", "fa240c6a", "c99605c9"),
    ]


def test_a_profile_that_an_older_job_stored_is_still_read() -> None:
    stored = ARCHIVE.model_dump(mode="json")
    del stored["alternatives"], stored["hardware"]
    profile = Profile.model_validate(stored)
    assert chosen(source(), profile, queues=ALL).recipe == ARCHIVE.ladder[0]
