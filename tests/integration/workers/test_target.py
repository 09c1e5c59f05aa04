"""Encoding to a gate on real clips: the number that is found passes, and the next one would not."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import pytest

from common.media import Scan
from common.orders import Path as Way
from common.orders import Plan
from common.recipes import ARCHIVE, Recipe, Search
from workers.encode import Encoded, encode
from workers.quality import judge, pool
from workers.target import encode_by_plan

if TYPE_CHECKING:
    from tests.integration.workers.conftest import Clip, Studio

HARD = "testsrc2=s=160x120:r=25:d={},noise=alls=18:allf=t:all_seed=1,format=yuv420p"
BOUNDS = Search(finest=8, start=26, coarsest=36)


def planned(**changes: object) -> Plan:
    recipe: Recipe = ARCHIVE.ladder[0].model_copy(update=changes)
    return Plan(
        path=Way.ENCODE,
        reason="",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.77.1.1.1",
        transfer_syntax_uid=recipe.transfer_syntax_uid,
        recipe=recipe,
        gate=ARCHIVE.gate,
    )


def run(studio: Studio, clip: Clip, **changes: object) -> Encoded:
    studio.scratch.mkdir(exist_ok=True)
    plan = planned(**changes)
    output = studio.folder / "out.mp4"
    return encode_by_plan(clip.media, clip.description, plan, output, studio.scratch, settings=studio.settings)


def passes(made: Encoded) -> bool:
    return judge(pool(made.scores, Fraction(25)), ARCHIVE.gate).passed


def test_a_short_clip_gets_the_highest_number_that_passes(studio: Studio) -> None:
    clip = studio.moving(HARD.format(1))
    made = run(studio, clip, search=BOUNDS)
    assert made.searched is not None
    assert passes(made)
    assert not made.searched.sampled
    coarser = run(studio, clip, search=None, crf=made.searched.chosen + 1)
    assert not passes(coarser)
    assert made.size_bytes < run(studio, clip, search=None, crf=made.searched.chosen - 1).size_bytes
    assert list(studio.scratch.iterdir()) == []


def test_the_probe_that_is_chosen_is_the_result(studio: Studio) -> None:
    clip = studio.moving(HARD.format(1))
    made = run(studio, clip, search=BOUNDS)
    assert made.searched is not None
    bytes_of_search = made.path.read_bytes()
    assert made.path == studio.folder / "out.mp4"
    plan = planned(search=None, crf=made.searched.chosen)
    again = encode(
        clip.media, clip.description, plan, studio.folder / "plain.mp4", studio.scratch, settings=studio.settings
    )
    assert again.path.read_bytes() == bytes_of_search


@pytest.mark.parametrize("seekable", [True, False])
def test_a_long_clip_is_looked_at_by_samples_and_confirmed_as_a_whole(studio: Studio, seekable: bool) -> None:
    clip = studio.moving(HARD.format(12))
    clip = type(clip)(
        media=type(clip.media)(**(vars(clip.media) | {"seekable": seekable})), description=clip.description
    )
    made = run(studio, clip, search=BOUNDS.model_copy(update={"whole_seconds": 0, "share": 0.2}))
    assert made.searched is not None
    assert made.searched.sampled
    assert made.searched.why_not == ""
    assert {probe.frames for probe in made.searched.probes} == {100}  # 4 samples of one group of pictures each
    assert made.searched.wholes[-1].frames == made.frame_count == 300
    assert passes(made)


def test_interlaced_video_is_sampled_too(studio: Studio) -> None:
    path = studio.make(
        "fields.ts", "testsrc2=s=320x240:r=50:d=4,interlace,format=yuv420p",
        "-c:v", "mpeg2video", "-flags", "+ildct+ilme", "-q:v", 2, "-g", 12,
    )  # fmt: skip
    clip = studio.file(path, scan=Scan.TOP_FIELD_FIRST)
    made = run(studio, clip, search=BOUNDS.model_copy(update={"whole_seconds": 0, "share": 0.3}))
    assert made.searched is not None
    assert made.searched.why_not == ""
    assert made.searched.sampled


def test_a_source_that_nothing_is_good_enough_for_ends_with_the_finest_and_misses(studio: Studio) -> None:
    clip = studio.moving(HARD.replace("alls=18", "alls=90").format(1))
    made = run(studio, clip, search=Search(finest=24, start=28, coarsest=36))
    assert made.searched is not None
    assert made.searched.chosen == 24
    assert not passes(made)
