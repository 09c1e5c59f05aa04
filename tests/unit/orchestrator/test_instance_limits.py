"""What one instance may hold where it goes: by its syntax, by its destination."""

from __future__ import annotations

import pytest
from support.descriptions import LEGAL, clip, video

from common.dicom.transfer_syntaxes import MAX_FRAGMENT_BYTES, ROOT
from common.orders import HEADER_BYTES, Path
from common.recipes import ARCHIVE
from orchestrator.acceptance import Acceptance, Destinations
from orchestrator.candidates import limit_of, split_of
from orchestrator.planner import plan
from orchestrator.work import work_digest

H264, HEVC = f"{ROOT}.102", f"{ROOT}.107"
PACS, FOLDER = Acceptance(destination="dicom://A@h:104", fragmentable=False), Acceptance(destination="/out")


def small(size: int) -> Destinations:
    return Destinations((FOLDER.model_copy(update={"max_bytes": size}),))


def test_one_fragment_limits_only_where_the_fragmentable_twin_is_refused() -> None:
    assert limit_of(H264, Destinations((FOLDER,))) is None
    assert limit_of(HEVC, Destinations((PACS,))) is None
    limit = limit_of(H264, Destinations((FOLDER, PACS)))
    assert limit is not None
    assert (limit.limit_bytes, limit.stream_bytes) == (MAX_FRAGMENT_BYTES, MAX_FRAGMENT_BYTES)


def test_a_file_that_is_limited_leaves_room_for_its_header() -> None:
    limit = limit_of(HEVC, small(10**9))
    assert limit is not None
    assert limit.stream_bytes == 10**9 - HEADER_BYTES
    assert split_of(HEVC, 10**9, small(10**9)) is not None
    assert split_of(HEVC, 10**9, small(10**9), whole=True) is None


@pytest.mark.parametrize(("size", "parts"), [(10**9, None), (10**9 + 1, 2)])
def test_a_file_is_parted_from_the_first_byte_too_many(size: int, parts: int | None) -> None:
    split = split_of(H264, size, small(10**9), whole=True)
    assert (split and split.parts) == parts


def test_an_encode_that_is_planned_whole_carries_the_limit_that_applies_to_it() -> None:
    source = clip(video(codec="mpeg4", profile=None, level_idc=None))
    chosen = plan(source, ARCHIVE, [PACS], modality="ES")
    assert (chosen.path, chosen.split) == (Path.ENCODE, None)
    assert chosen.limit is not None
    assert chosen.limit.limit_bytes == MAX_FRAGMENT_BYTES


def test_parts_of_another_size_are_other_work() -> None:
    plans = [plan(clip(video(**LEGAL[".102"])), ARCHIVE, small(limit), modality="ES") for limit in (400_000, 500_000)]
    assert all(each.split is not None for each in plans)
    assert len({work_digest(each) for each in plans}) == 2
