"""Policies are part of the job, of the plan and of the work; where they change nothing, of neither plan nor work."""

from __future__ import annotations

from pathlib import Path as File
from typing import Any

import pytest

from common.errors import NoLegalPath, PolicyError
from common.handling import AS_IT_IS, Handling
from common.media import Description, Kind, Steady, VideoStream
from common.orders import Path, Plan
from common.recipes import ARCHIVE, LOSSLESS, Profile
from common.region import NO_REGION, given_region
from common.store.folder import FolderStore
from orchestrator.chunk_policy import Policy, chunks_for
from orchestrator.jobfile import JobFile
from orchestrator.jobs import JobRequest
from orchestrator.planner import plan
from orchestrator.work import output_prefix, work_digest

DEINTERLACE = Handling.model_validate({"interlaced": "deinterlace"})
CONSTANT = Handling.model_validate({"rate": "constant"})
TONE_MAP = Handling.model_validate({"dynamic_range": "tone-map"})


def described(**changes: Any) -> Description:
    facts: dict[str, Any] = {"codec": "h264", "profile": "High", "level_idc": 41, "width": 1280, "height": 720}
    facts |= {"pixel_format": "yuv420p", "frame_rate": 25, "frame_count": 40_000, "duration_ms": 1.6e6}
    stream = VideoStream(**facts | changes)
    return Description(kind=Kind.VIDEO, digest="0" * 64, size_bytes=9, container="mp4", moov_first=True, video=stream)


def handled(handling: Handling, profile: Profile = ARCHIVE) -> Profile:
    return profile.model_copy(update={"handling": handling})


def planned(handling: Handling, **changes: Any) -> Plan:
    return plan(described(**changes), handled(handling), modality="ES")


def test_another_policy_is_another_job() -> None:
    keys = {JobRequest(("/a",), ("/b",), handled(each)).key for each in (AS_IT_IS, DEINTERLACE, CONSTANT, TONE_MAP)}
    assert len(keys) == 4


def test_a_policy_that_changes_the_item_is_other_work() -> None:
    kept, treated = (planned(each, codec="mpeg4", scan="tff") for each in (AS_IT_IS, DEINTERLACE))
    assert work_digest(kept) != work_digest(treated)


def test_a_policy_that_does_not_is_the_same_work() -> None:
    assert planned(DEINTERLACE, codec="mpeg4") == planned(AS_IT_IS, codec="mpeg4")


@pytest.mark.parametrize(
    ("handling", "facts"),
    [
        (DEINTERLACE, {"scan": "tff"}),
        (CONSTANT, {"constant_rate": False, "steady": Steady(rate=30, frames=50_000)}),
        (TONE_MAP, {"transfer": "smpte2084"}),
    ],
)
def test_a_legal_stream_is_encoded_where_a_policy_asks_for_another_picture(
    handling: Handling, facts: dict[str, Any]
) -> None:
    assert planned(AS_IT_IS, **facts).path is Path.REWRAP
    assert planned(handling, **facts).path is Path.ENCODE
    with pytest.raises(NoLegalPath, match="never encodes"):
        plan(described(**facts), handled(handling, LOSSLESS), modality="ES")


def test_the_target_must_hold_the_constant_rate() -> None:
    """720p at 60 frames/s is level 3.2; 1080p at 60 needs .104."""
    facts = {"width": 1920, "height": 1080, "constant_rate": False, "steady": Steady(rate=60, frames=96_000)}
    assert planned(CONSTANT, **facts).transfer_syntax_uid.endswith(".104")


def test_hidden_frames_are_not_carried_over() -> None:
    made = planned(AS_IT_IS, hidden_frames=3)
    assert (made.path, "3 frames that are not shown" in made.reason) == (Path.ENCODE, True)


def test_a_treated_video_is_never_cut_into_chunks() -> None:
    policy = Policy(after_seconds=1, chunk_seconds=1)
    whole = planned(AS_IT_IS, codec="mpeg4", scan="tff")
    assert chunks_for(whole, 40_000, 4, policy) > 1
    assert chunks_for(planned(DEINTERLACE, codec="mpeg4", scan="tff"), 40_000, 4, policy) == 0


def test_a_job_file_names_policies_like_the_command_line(tmp_path: File) -> None:
    path = tmp_path / "job.toml"
    path.write_text('sources = ["a"]\ndestinations = ["b"]\ninterlaced = "deinterlace"\nrate = "constant"\n')
    assert JobFile.load(path).handling == Handling.model_validate({"interlaced": "deinterlace", "rate": "constant"})
    path.write_text('sources = ["a"]\ndestinations = ["b"]\ninterlaced = "blend"\n')
    with pytest.raises(PolicyError, match="interlaced"):
        JobFile.load(path)


def jobfile(folder: File, region: str) -> JobFile:
    path = folder / "job.toml"
    path.write_text(f'sources = ["{folder}"]\ndestinations = ["{folder}/out"]\nregion = "{region}"\n')
    return JobFile.load(path)


def test_a_region_of_a_job_is_part_of_its_gate(tmp_path: File) -> None:
    store = FolderStore(tmp_path / "store")
    circle, auto = (jobfile(tmp_path, word).request(tmp_path, store).profile for word in ("circle=960,540,500", "auto"))
    assert circle.gate.region == given_region("circle", [960, 540, 500])
    assert auto == ARCHIVE
    assert auto.digest != circle.digest


def test_a_region_that_is_not_understood_is_refused_at_once(tmp_path: File) -> None:
    with pytest.raises(PolicyError, match="region 'oval' is not understood"):
        jobfile(tmp_path, "oval")


def test_a_region_is_another_result_of_the_same_work() -> None:
    description = described(codec="mpeg4")
    inside = ARCHIVE.model_copy(update={"gate": ARCHIVE.gate.model_copy(update={"region": NO_REGION})})
    without, given = (plan(description, profile, modality="ES") for profile in (ARCHIVE, inside))
    assert work_digest(without) == work_digest(given)
    assert output_prefix("ab" * 32, None, without) != output_prefix("ab" * 32, None, given)
