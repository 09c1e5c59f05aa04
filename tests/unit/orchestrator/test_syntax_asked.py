"""``--syntax`` and ``syntax = …``: part of what a job is, kept by the planner, refused where it makes no sense."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import NoLegalPath, PolicyError
from common.media import Description, Kind, VideoStream
from common.orders import Path as Way
from common.recipes import ARCHIVE, LOSSLESS, Audio
from common.store.folder import FolderStore
from common.targets import aimed
from orchestrator.chunk_policy import Policy, chunks_for, next_recipe
from orchestrator.cli.migration import Migration
from orchestrator.jobfile import JobFile
from orchestrator.planner import plan

ROOT = "1.2.840.10008.1.2.4"
TARGETS = (".100", ".101", ".102", ".103", ".104", ".105", ".107", ".108")


def clip(**changes: object) -> Description:
    facts: dict[str, object] = {
        "codec": "h264",
        "profile": "High",
        "level_idc": 31,
        "width": 1280,
        "height": 720,
        "pixel_format": "yuv420p",
        "full_range": False,
        "matrix": "bt709",
        "frame_rate": "50",
        "frame_count": 50_000,
        "duration_ms": 1_000_000.0,
    }
    video = VideoStream.model_validate(facts | changes)
    return Description(kind=Kind.VIDEO, digest="0" * 64, size_bytes=9, container="mp4", moov_first=True, video=video)


def asked(folder: Path, syntax: str | None) -> str:
    source = folder / "in"
    source.mkdir(exist_ok=True)
    migration = Migration.asked(
        [str(source)],
        [str(folder / "out")],
        profile="archive",
        audio=Audio.STRIP,
        mapping=None,
        workers=1,
        state=folder,
        syntax=syntax,
    )
    return migration.request.key


def test_each_target_makes_another_job_and_the_same_one_the_same(tmp_path: Path) -> None:
    keys = {asked(tmp_path, syntax) for syntax in (None, *TARGETS)}
    assert len(keys) == 1 + len(TARGETS)
    assert asked(tmp_path, ".101") == asked(tmp_path, f"{ROOT}.101")


def test_a_job_file_asks_for_a_target(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_text('sources = ["in"]\ndestinations = ["out"]\nsyntax = "101"\n', encoding="utf-8")
    request = JobFile.load(path).request(tmp_path, FolderStore(tmp_path / "store"))
    assert request.profile == aimed(ARCHIVE, f"{ROOT}.101")
    path.write_text('sources = ["in"]\ndestinations = ["out"]\nsyntax = ".99"\n', encoding="utf-8")
    with pytest.raises(PolicyError, match="no target"):
        JobFile.load(path)


def test_a_stream_that_is_legal_elsewhere_is_encoded_to_the_target_that_was_asked_for() -> None:
    assert plan(clip(), ARCHIVE, modality="ES").path is Way.REWRAP
    chosen = plan(clip(), aimed(ARCHIVE, f"{ROOT}.101"), modality="ES")
    assert (chosen.path, chosen.transfer_syntax_uid) == (Way.ENCODE, f"{ROOT}.101")
    assert "quantiser scale as high as the gate allows" in chosen.reason


def test_a_stream_that_is_legal_under_the_target_is_rewrapped_into_it() -> None:
    chosen = plan(clip(level_idc=42), aimed(ARCHIVE, f"{ROOT}.104"), modality="ES")
    assert (chosen.path, chosen.transfer_syntax_uid) == (Way.REWRAP, f"{ROOT}.104")


def test_what_the_target_does_not_hold_is_refused_and_nothing_else_is_taken_for_it() -> None:
    with pytest.raises(NoLegalPath, match=r"\.100: 1280×720") as refused:
        plan(clip(), aimed(ARCHIVE, f"{ROOT}.100"), modality="ES")
    assert refused.value.hint


def test_a_target_that_the_destination_does_not_take_is_refused() -> None:
    with pytest.raises(NoLegalPath, match=r"\.101"):
        plan(clip(), aimed(ARCHIVE, f"{ROOT}.101"), modality="ES", destination_syntaxes=[f"{ROOT}.102"])


def test_a_second_view_is_not_lost_by_encoding_what_a_decoder_shows() -> None:
    stereo = clip(profile="Stereo High", level_idc=42)
    with pytest.raises(NoLegalPath, match="MVC") as refused:
        plan(stereo, aimed(ARCHIVE, f"{ROOT}.102"), modality="ES")
    assert (refused.value.rule, refused.value.hint) == ("target.views", "Keep or rewrap it under .106.")


def test_a_profile_that_never_encodes_does_not_begin_to() -> None:
    with pytest.raises(NoLegalPath, match="never encodes"):
        plan(clip(), aimed(LOSSLESS, f"{ROOT}.101"), modality="ES")


def test_the_ladder_of_a_target_is_climbed() -> None:
    profile = aimed(ARCHIVE, f"{ROOT}.101")
    second = plan(clip(), profile, modality="ES", rung=1)
    assert second.recipe is not None
    assert (second.recipe.crf, second.rungs) == (3, 4)
    assert next_recipe(profile, second.recipe, 2) == profile.ladder[2]


@pytest.mark.parametrize(("syntax", "cut"), [(".103", False), (".101", False), (".102", True)])
def test_only_streams_that_can_be_joined_are_cut(syntax: str, cut: bool) -> None:
    chosen = plan(clip(level_idc=52), aimed(ARCHIVE, f"{ROOT}{syntax}"), modality="ES")
    assert chosen.path is Way.ENCODE
    assert bool(chunks_for(chosen, 50_000, 4, Policy(after_seconds=1, chunk_seconds=1))) == cut
