"""A shift of matrix or range between source and result is seen; an honest encode of any kind of source is not accused."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from common.orders import Path as Way
from common.orders import Plan
from common.process import Limits
from common.recipes import ARCHIVE
from workers.colour_check import ColourCheck, check_colours
from workers.encode import encode
from workers.quality import judge, pool

if TYPE_CHECKING:
    from tests.integration.workers.conftest import Clip, Studio

PICTURES = "testsrc2=s=320x240:r=25:d=1"
LOSSY_AS_CAN_BE = ARCHIVE.ladder[0].model_copy(update={"crf": 36, "search": None})


def looked_at(studio: Studio, clip: Clip, *, crf: int = 18) -> tuple[ColourCheck, bool]:
    """The look, and whether the scores alone would let the result go."""
    studio.scratch.mkdir(exist_ok=True)
    recipe = LOSSY_AS_CAN_BE.model_copy(update={"crf": crf})
    plan = Plan(
        path=Way.ENCODE, reason="", sop_class_uid="1", transfer_syntax_uid=recipe.transfer_syntax_uid,
        recipe=recipe, gate=ARCHIVE.gate,
    )  # fmt: skip
    output = studio.folder / "out.mp4"
    made = encode(clip.media, clip.description, plan, output, studio.scratch, settings=studio.settings)
    check = check_colours(clip.media, clip.description, plan, output, studio.scratch, limits=Limits(seconds=60))
    return check, judge(pool(made.scores, clip.description.video.frame_rate), ARCHIVE.gate).passed


def tagged(studio: Studio, is_: str, value_range: str, **changes: object) -> Clip:
    """A clip that says what it is; ``changes``: what its description says instead."""
    scale = f"scale=out_color_matrix={is_}:out_range={value_range},format=yuv420p"
    tags = ("-colorspace", is_, "-color_range", value_range, "-color_primaries", "bt709", "-color_trc", "bt709")
    path = studio.make("tagged.mp4", f"{PICTURES},format=gbrp,{scale}", "-c:v", "libx264", "-qp", 8, *tags)
    clip = studio.file(path)
    video = clip.description.video.model_copy(update=changes)
    media = replace(clip.media, **{name: changes[name] for name in ("matrix", "full_range") if name in changes})
    return replace(clip, media=media, description=clip.description.model_copy(update={"video": video}))


@pytest.mark.parametrize(("is_", "read_as"), [("smpte170m", "bt709"), ("bt709", "smpte170m")])
def test_a_swap_of_bt_601_and_709_keeps_perfect_scores_and_is_caught(studio: Studio, is_: str, read_as: str) -> None:
    check, good_scores = looked_at(studio, tagged(studio, is_, "tv", matrix=read_as))
    assert good_scores
    assert check.shift is not None
    assert check.shift > 3
    assert "matrix, range or tags" in check.misses[0]


def test_limited_range_taken_for_full_keeps_perfect_scores_and_is_caught(studio: Studio) -> None:
    check, good_scores = looked_at(studio, tagged(studio, "bt709", "tv", full_range=True))
    assert good_scores
    assert check.misses


@pytest.mark.parametrize("value_range", ["tv", "pc"])
@pytest.mark.parametrize("matrix", ["smpte170m", "bt709"])
def test_an_honest_encode_is_not_accused_even_where_it_is_coarse(studio: Studio, matrix: str, value_range: str) -> None:
    check, _ = looked_at(studio, tagged(studio, matrix, value_range), crf=36)
    assert check.misses == ()
    assert check.shift is not None
    assert check.shift < (0.5 if value_range == "tv" else 1.8)


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("gray", ("-c:v", "ffv1")),
        ("gbrp", ("-c:v", "ffv1")),
        ("yuv422p10le", ("-c:v", "ffv1")),
        ("yuvj420p", ("-c:v", "mjpeg", "-q:v", 2)),
    ],
)
def test_every_kind_of_sample_is_compared(studio: Studio, form: str, words: tuple[object, ...]) -> None:
    check, _ = looked_at(studio, studio.file(studio.make("source.mkv", f"{PICTURES},format={form}", *words)))
    assert check.misses == ()
    assert check.pictures >= 5


def test_a_video_that_players_turn_is_compared_upright(studio: Studio) -> None:
    clip = studio.moving(f"{PICTURES},format=yuv420p")
    turned = clip.description.video.model_copy(update={"rotation": 90})
    clip = replace(clip, description=clip.description.model_copy(update={"video": turned}))
    check, _ = looked_at(studio, clip)
    assert check.misses == ()


def test_a_clip_of_one_frame_is_compared(studio: Studio) -> None:
    check, _ = looked_at(studio, studio.moving("testsrc2=s=160x120:r=25:d=0.04,format=yuv420p"))
    assert check.pictures >= 1
    assert check.misses == ()
