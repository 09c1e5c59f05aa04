"""The chain of filters that a picture gets."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import NoLegalPath, UnsupportedSource
from common.media import Scan, VideoStream
from common.picture import padded_size, square_size
from common.recipes import ARCHIVE
from workers.ffmpeg.conversion import Filter, Picture, conversion
from workers.ffmpeg.encoders import check_level

rules = settings(max_examples=60, deadline=None)
sides = st.integers(1, 4096)
scans = st.sampled_from(list(Scan))
aspects = st.fractions(min_value=Fraction(1, 4), max_value=4, max_denominator=300)


def picture(**changes: object) -> Picture:
    facts: dict[str, object] = {"width": 640, "height": 480, "pixel_format": "yuv420p", "frame_rate": Fraction(25)}
    return Picture(**(facts | changes))  # type: ignore[arg-type]


def names(chain: tuple[Filter, ...]) -> list[str]:
    return [step.name for step in chain]


def option(chain: tuple[Filter, ...], name: str, key: str) -> str:
    return dict(next(step for step in chain if step.name == name).options)[key]


def test_a_legal_picture_is_only_timed_and_tagged() -> None:
    assert names(conversion(picture()).filters) == ["settb", "setpts", "setparams", "setsar"]


@given(sides, sides, scans)
@rules
def test_padding_adds_less_than_one_unit_and_gives_even_fields(width: int, height: int, scan: Scan) -> None:
    rows = 2 if scan is Scan.PROGRESSIVE else 4
    wide, high = padded_size(width, height, scan)
    assert 0 <= wide - width < 2
    assert 0 <= high - height < rows
    assert wide % 2 == high % rows == 0


@given(sides, sides, aspects)
@rules
def test_square_pixels_never_lose_a_sample_and_keep_the_shape(width: int, height: int, aspect: Fraction) -> None:
    wide, high = square_size(width, height, aspect)
    assert wide >= width
    assert high >= height
    assert (wide, high).count(0) == 0
    assert abs(wide - width * aspect * high / height) <= 1 + aspect * width / height


@given(sides, sides, st.sampled_from([0, 90, 180, 270]), aspects, st.sampled_from(["yuv420p", "rgb24", "yuvj444p"]))
@rules
def test_the_result_is_even_and_always_ends_in_tags(
    width: int, height: int, rotation: int, aspect: Fraction, pixel_format: str
) -> None:
    shape = conversion(
        picture(width=width, height=height, rotation=rotation, pixel_aspect=aspect, pixel_format=pixel_format)
    )
    assert shape.width % 2 == shape.height % 2 == 0
    assert names(shape.filters)[-2:] == ["setparams", "setsar"]
    assert option(shape.filters, "setparams", "range") == "limited"


@given(sides, sides, st.sampled_from([90, 270]))
@rules
def test_a_quarter_turn_swaps_the_sides(width: int, height: int, rotation: int) -> None:
    flat, turned = (conversion(picture(width=width, height=height, rotation=r)) for r in (0, rotation))
    assert (flat.width, flat.height) == (turned.height, turned.width)


def test_odd_pictures_are_padded_in_444_and_then_subsampled() -> None:
    chain = conversion(picture(width=641, pixel_format="rgb24")).filters
    assert names(chain)[2:-2] == ["scale", "format", "pad", "fillborders", "scale", "format"]
    assert [dict(step.options)["pix_fmts"] for step in chain if step.name == "format"] == ["yuv444p", "yuv420p"]


def test_interlaced_samples_are_scaled_field_by_field() -> None:
    chain = conversion(picture(pixel_format="yuv422p", scan=Scan.TOP_FIELD_FIRST)).filters
    assert option(chain, "scale", "interl") == "1"
    assert option(chain, "setparams", "field_mode") == "tff"


def test_interlaced_video_is_not_turned() -> None:
    with pytest.raises(UnsupportedSource, match="interlaced"):
        conversion(picture(scan=Scan.BOTTOM_FIELD_FIRST, rotation=90))


def test_chroma_is_taken_from_where_the_source_has_it() -> None:
    for codec, place in (("mjpeg", "center"), ("h264", "left")):
        video = VideoStream(
            codec=codec,
            width=64,
            height=64,
            pixel_format="yuvj420p",
            frame_rate=Fraction(25),
            frame_count=1,
            duration_ms=40,
        )
        assert option(conversion(Picture.of(video)).filters, "scale", "in_chroma_loc") == place


@pytest.mark.parametrize(
    ("constant", "keep_start", "base", "times"),
    [
        (True, False, "1001/30000", "N"),
        (True, True, "1001/30000", "N+STARTPTS"),
        (False, False, "1/90000", "PTS-STARTPTS"),
        (False, True, "1/90000", "PTS-STARTPTS+STARTPTS"),
    ],
)
def test_time_is_counted_or_kept(constant: bool, keep_start: bool, base: str, times: str) -> None:
    chain = conversion(picture(frame_rate=Fraction(30000, 1001), constant_rate=constant), keep_start=keep_start).filters
    assert option(chain, "settb", "expr") == base
    assert option(chain, "setpts", "expr") == times


def test_a_picture_at_the_level_passes_and_one_beyond_is_told_what_it_needs() -> None:
    recipe = ARCHIVE.ladder[0]
    check_level(1920, 1080, Fraction(30), recipe)
    with pytest.raises(NoLegalPath, match=r"1920×1080 at 60 frames/s: macroblock rate") as caught:
        check_level(1920, 1080, Fraction(60), recipe)
    assert "level 4.2" in caught.value.hint


def test_a_recipe_beyond_its_own_level_is_refused() -> None:
    with pytest.raises(NoLegalPath, match="bit rate"):
        check_level(64, 64, Fraction(1), ARCHIVE.ladder[0].model_copy(update={"max_rate_kbit": 62_501}))


def test_a_picture_beyond_every_level_gets_no_hint() -> None:
    with pytest.raises(NoLegalPath) as caught:
        check_level(16_384, 16_384, Fraction(30), ARCHIVE.ladder[0])
    assert "level" not in caught.value.hint
