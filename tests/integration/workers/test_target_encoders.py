"""The search by each CPU encoder on real encodes, under caps that bind, and what it remembers."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import pytest

from common.dicom.transfer_syntaxes import ROOT
from common.orders import Path as Way
from common.orders import Plan
from common.recipes import ARCHIVE, Recipe, Search, cpu_ladder
from common.store.folder import FolderStore
from workers.encode import Encoded
from workers.quality import judge, pool
from workers.search_memory import memory_of
from workers.target import encode_by_plan

if TYPE_CHECKING:
    from tests.integration.workers.conftest import Clip, Studio

VGA = "testsrc2=s=640x480:r=30:d=0.5,noise=alls=3:allf=t:all_seed=1,format=yuv420p"
SMALL = "testsrc2=s=160x120:r=25:d={},noise=alls=18:allf=t:all_seed=1,format=yuv420p"
"""Encoder → target, the bounds of the search, a scene."""
ENCODERS = {
    "libx264": (".102", Search(finest=10, start=26, coarsest=36), SMALL.format(1)),
    "libx265": (".107", Search(finest=10, start=26, coarsest=38), SMALL.format(1)),
    "mpeg2video": (".100", Search(finest=2, start=5, coarsest=14), VGA),
}


def recipe_of(name: str, **changes: object) -> Recipe:
    syntax, search, _ = ENCODERS[name]
    preset = "" if name == "mpeg2video" else "veryfast"
    ladder = cpu_ladder((18 if preset else 4,), preset, f"{ROOT}{syntax}")
    return ladder.recipe.model_copy(update={"search": search, "threads": 2} | changes)


def planned(recipe: Recipe) -> Plan:
    return Plan(
        path=Way.ENCODE,
        reason="",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.77.1.1.1",
        transfer_syntax_uid=recipe.transfer_syntax_uid,
        recipe=recipe,
        gate=ARCHIVE.gate,
    )


def run(studio: Studio, clip: Clip, recipe: Recipe, store: FolderStore | None = None) -> Encoded:
    plan, output = planned(recipe), studio.folder / "out"
    description = clip.description.model_copy(update={"digest": "ab" * 32})
    memory = memory_of(store, description, plan) if store else None
    return encode_by_plan(
        clip.media, description, plan, output, studio.scratch, settings=studio.settings, memory=memory
    )


def passes(made: Encoded) -> bool:
    return judge(pool(made.scores, Fraction(25)), ARCHIVE.gate).passed


@pytest.mark.parametrize("name", ENCODERS)
def test_each_encoder_s_number_passes_and_the_next_one_would_not(studio: Studio, name: str) -> None:
    clip = studio.moving(ENCODERS[name][2])
    made = run(studio, clip, recipe_of(name))
    assert made.searched is not None
    assert passes(made)
    chosen = made.searched.chosen
    assert chosen < ENCODERS[name][1].coarsest
    coarser = {probe.crf: probe for probe in made.searched.probes}.get(chosen + 1)
    if coarser is None:
        assert not passes(run(studio, clip, recipe_of(name, search=None, crf=chosen + 1)))


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("whole_seconds", [15.0, 0.0])
def test_where_the_peak_rate_binds_the_search_says_so_and_stops(
    studio: Studio, name: str, whole_seconds: float
) -> None:
    clip = studio.moving(ENCODERS[name][2])
    search = ENCODERS[name][1].model_copy(update={"whole_seconds": whole_seconds})
    rate = 1500 if name == "mpeg2video" else 150
    made = run(studio, clip, recipe_of(name, search=search, max_rate_kbit=rate, buffer_kbit=rate // 4))
    assert made.searched is not None
    assert not passes(made)
    assert made.searched.capped
    assert len(made.searched.wholes) == 1
    assert len(made.searched.probes) <= search.probes


def test_a_search_that_was_made_before_encodes_the_result_alone(studio: Studio) -> None:
    clip = studio.moving(SMALL.format(1))
    store = FolderStore(studio.folder / "store")
    first = run(studio, clip, recipe_of("libx264"), store)
    made = first.path.read_bytes()
    again = run(studio, clip, recipe_of("libx264"), store)
    assert first.searched is not None
    assert again.searched is not None
    assert again.searched.remembered == len(first.searched.probes) > 1
    assert again.searched.chosen == first.searched.chosen
    assert again.path.read_bytes() == made
    assert list(studio.scratch.iterdir()) == []


def test_a_damaged_memory_changes_nothing_but_the_time(studio: Studio) -> None:
    clip = studio.moving(SMALL.format(1))
    store = FolderStore(studio.folder / "store")
    first = run(studio, clip, recipe_of("libx264"), store)
    made = first.path.read_bytes()
    (key,) = store.keys("searches/")
    store.put(key, store.get(key)[:100])
    again = run(studio, clip, recipe_of("libx264"), store)
    assert again.searched is not None
    assert again.searched.remembered == 0
    assert again.path.read_bytes() == made
