"""Where the picture is inside its black border: drawn pictures of every shape, and those that must not be masked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from common.errors import PolicyError
from common.region import NO_REGION, Region, given_region, parse_region
from workers.region import COLUMNS, find_region, lay_region

WIDTH, HEIGHT = 1920, 1080
ROWS = COLUMNS * HEIGHT // WIDTH
CELL = WIDTH / COLUMNS
Y, X = np.mgrid[:ROWS, :COLUMNS] + 0.5


def scene(number: int, *, low: int = 60, high: int = 220) -> NDArray[np.float64]:
    """One picture of moving tissue with a highlight."""
    random = np.random.default_rng(number)
    base = low + (high - low) * (0.5 + 0.5 * np.sin(X / 9 + number) * np.cos(Y / 7 - number / 2)) * 0.6
    spot = np.hypot(X - random.uniform(40, 150), Y - random.uniform(20, 90)) < 5
    return np.where(spot, 250.0, base)


def masked(shape: NDArray[np.bool_], *, black: float = 0, noise: float = 0, count: int = 9) -> NDArray[np.uint8]:
    """Pictures with a scene inside ``shape`` and black outside."""
    random = np.random.default_rng(7)
    pictures = [np.where(shape, scene(n), black) + random.normal(0, noise, shape.shape) for n in range(count)]
    return np.clip(np.array(pictures), 0, 255).astype(np.uint8)


def circle(x: float, y: float, radius: float) -> NDArray[np.bool_]:
    return np.hypot(X * CELL - x, Y * CELL - y) <= radius


def octagon(radius: float) -> NDArray[np.bool_]:
    turned = [
        np.cos(a) * (X * CELL - WIDTH / 2) + np.sin(a) * (Y * CELL - HEIGHT / 2) for a in np.arange(8) * np.pi / 4
    ]
    return np.max(turned, axis=0) <= radius


def lies_in(region: Region, shape: NDArray[np.bool_]) -> bool:
    """True when every cell that what is measured touches lies in the shape."""
    left, top, width, height = region.inner or (0, 0, 0, 0)
    return bool(
        shape[int(top / CELL) : int((top + height) / CELL), int(left / CELL) : int((left + width) / CELL)].all()
    )


@settings(max_examples=40, deadline=None)
@given(
    x=st.floats(700, 1220), y=st.floats(480, 600), radius=st.floats(330, 640),
    black=st.sampled_from([0, 4, 16]), noise=st.floats(0, 2.0),
)  # fmt: skip
def test_a_circle_is_found_wherever_it_lies(x: float, y: float, radius: float, black: int, noise: float) -> None:
    shape = circle(x, y, radius)
    region, why = find_region(masked(shape, black=black, noise=noise), WIDTH, HEIGHT)
    assert region is not None, why
    assert region.shape == "circle"
    assert region.circle is not None
    assert np.allclose(region.circle, (x, y, radius), atol=2.5 * CELL)
    assert lies_in(region, shape)
    assert region.share == pytest.approx(shape.mean(), abs=0.03)


def test_what_is_measured_is_the_square_in_a_circle() -> None:
    region, _ = find_region(masked(circle(960, 540, 500)), WIDTH, HEIGHT)
    assert region is not None
    assert region.inner is not None
    _, _, width, height = region.inner
    assert 0.85 * 2 * 500**2 < width * height <= 2 * 500**2
    assert all(side % 2 == 0 for side in region.inner)


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        (octagon(480), "polygon"),
        ((np.abs(X * CELL - 960) < 600) & (Y > 0), "rectangle"),
        ((np.abs(Y * CELL - 540) < 400) & (X > 0), "rectangle"),
        (circle(960, 540, 700), "circle"),
    ],
    ids=["octagon", "pillars", "letterbox", "circle-cut-at-top-and-bottom"],
)
def test_other_shapes(shape: NDArray[np.bool_], name: str) -> None:
    region, why = find_region(masked(shape), WIDTH, HEIGHT)
    assert region is not None, why
    assert region.shape == name
    assert lies_in(region, shape)


def test_text_beside_the_circle_does_not_move_it() -> None:
    shape = circle(1200, 540, 500)
    pictures = masked(shape)
    random = np.random.default_rng(3)
    for one in pictures:  # name, date, and a clock that runs
        one[10:16, 5:50] = random.integers(0, 2, (6, 45)) * 230
        one[80:100:4, 4:40] = 200
    region, why = find_region(pictures, WIDTH, HEIGHT)
    assert region is not None, why
    assert region.circle is not None
    assert np.allclose(region.circle, (1200, 540, 500), atol=25)


def test_text_that_touches_the_circle_does_not_move_it() -> None:
    shape = circle(1100, 540, 500)
    pictures = masked(shape)
    pictures[:, 50:53, :90] = 200
    region, why = find_region(pictures, WIDTH, HEIGHT)
    assert region is not None, why
    assert region.circle is not None
    assert np.allclose(region.circle, (1100, 540, 500), atol=25)


def test_a_circle_behind_a_fade_from_black_is_found() -> None:
    pictures = masked(circle(960, 540, 450))
    pictures[:4] = 0
    region, _ = find_region(pictures, WIDTH, HEIGHT)
    assert region is not None
    assert region.shape == "circle"


def full(count: int = 9) -> NDArray[np.uint8]:
    return masked(np.ones((ROWS, COLUMNS), dtype=bool), count=count)


def dark() -> NDArray[np.uint8]:
    """A dim room with one lamp that moves: dark, never flat."""
    random = np.random.default_rng(1)
    room = 6 + 18 * (0.5 + 0.5 * np.sin(X / 11) * np.cos(Y / 5))
    lamps = [140 * np.exp(-(((X - 60 - 8 * n) / 14) ** 2) - ((Y - 50) / 14) ** 2) for n in range(9)]
    return np.clip(np.array([room + lamp + random.normal(0, 1, room.shape) for lamp in lamps]), 0, 255).astype(np.uint8)


def vignette() -> NDArray[np.uint8]:
    """Light that falls off slowly to black."""
    fall = np.clip(1 - np.hypot((X - COLUMNS / 2) / 90, (Y - ROWS / 2) / 70), 0, 1)
    return np.array([fall * scene(n) for n in range(9)]).astype(np.uint8)


def fade() -> NDArray[np.uint8]:
    """Black that becomes a full picture at the very end."""
    pictures = full()
    pictures[:7] = 0
    pictures[7:, :, : COLUMNS // 2] = 0
    return pictures


def stars() -> NDArray[np.uint8]:
    """Small lights all over black, as dark-field microscopy shows them."""
    random = np.random.default_rng(2)
    pictures = np.zeros((9, ROWS, COLUMNS), dtype=np.uint8)
    for one in pictures:
        for x, y in zip(random.integers(4, 188, 40), random.integers(4, 104, 40), strict=True):
            one[y - 3 : y + 3, x - 3 : x + 3] = 230
    return pictures


@pytest.mark.parametrize(
    "pictures",
    [
        full(),
        dark(),
        vignette(),
        fade(),
        stars(),
        np.zeros((9, ROWS, COLUMNS), np.uint8),
        masked(circle(960, 540, 450), count=2),
    ],
    ids=["full", "dark-scene", "vignette", "fade-from-black", "dark-field", "black", "two-pictures"],
)
def test_what_has_no_mask_gets_none(pictures: NDArray[np.uint8]) -> None:
    region, why = find_region(pictures, WIDTH, HEIGHT)
    assert region is None
    assert why


def test_a_given_circle_is_measured_in_its_square() -> None:
    laid = lay_region(given_region("circle", [960, 540, 500]), WIDTH, HEIGHT)
    assert laid.inner is not None
    assert laid.inner[2] * laid.inner[3] > 0.95 * 2 * 500**2
    assert laid.share == pytest.approx(np.pi * 500**2 / (WIDTH * HEIGHT), abs=0.002)


def test_a_given_rectangle_is_measured_as_it_is_in_even_pixels() -> None:
    laid = lay_region(given_region("rectangle", [101, 50, 801, 600]), WIDTH, HEIGHT)
    assert laid.inner == (102, 50, 800, 600)


@pytest.mark.parametrize(
    "asked",
    [
        given_region("rectangle", [1500, 0, 800, 600]),
        given_region("circle", [3000, 540, 400]),
        given_region("circle", [900, 500, 20]),
    ],
)
def test_a_region_outside_the_picture_is_refused(asked: Region) -> None:
    with pytest.raises(PolicyError, match="does not lie in pictures of 1920×1080"):
        lay_region(asked, WIDTH, HEIGHT)


def test_words_of_a_job_are_understood() -> None:
    assert parse_region("auto") is None
    assert parse_region("none") == NO_REGION
    assert parse_region("circle=960,540,500") == given_region("circle", [960, 540, 500])
    assert parse_region("rectangle=10,20,640,480") == given_region("rectangle", [10, 20, 640, 480])


@pytest.mark.parametrize(
    "text", ["", "square", "circle", "circle=1,2", "circle=1,2,-3", "rectangle=1,2,3", "rectangle=0,0,1.5,9", "auto=1"]
)
def test_other_words_are_refused_with_what_there_is(text: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_region(text)
    assert "circle=X,Y,RADIUS" in caught.value.hint
