"""Charts: nothing bad is hidden, whatever is drawn is well-formed, and hostile words stay words."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.reports.charts import (
    Band,
    GateLine,
    Trial,
    bytes_chart,
    histogram,
    panels,
    score_chart,
    search_chart,
)
from orchestrator.reports.plot import Scale, clock, clock_ticks, envelope, spread, ticks

SVG = "{http://www.w3.org/2000/svg}"
FIGURES = st.floats(-1e6, 1e6, allow_nan=False, width=32)
ANY = st.floats(allow_nan=True, allow_infinity=True, width=32)
GATES = st.lists(st.builds(GateLine, FIGURES, st.text(max_size=20)), max_size=3)
HOSTILE = '<script>alert("x")</script>&\''


def parsed(svg: str) -> ET.Element:
    return ET.fromstring(str(svg).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))  # noqa: S314 our own


def coordinates(root: ET.Element) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    for kind in ("polyline", "polygon"):
        for mark in root.iter(f"{SVG}{kind}"):
            pairs = (pair.split(",") for pair in mark.attrib["points"].split())
            found += [(float(x), float(y)) for x, y in pairs]
    return found


@given(st.lists(FIGURES, min_size=1, max_size=200), st.integers(1, 60))
def test_every_frame_lies_within_its_column_and_the_lowest_is_kept(values: list[float], buckets: int) -> None:
    shape = envelope(values, buckets)
    exact = np.asarray(values)
    assert len(shape.first) <= buckets
    assert shape.first[0] == 0
    assert shape.last[-1] == len(values) - 1
    assert np.array_equal(shape.first[1:], shape.last[:-1] + 1)
    for first, last, least, most in zip(shape.first, shape.last, shape.least, shape.most, strict=True):
        assert least == exact[first : last + 1].min()
        assert most == exact[first : last + 1].max()


@given(st.integers(100, 400_000), st.data())
def test_one_bad_second_of_a_long_film_is_drawn_as_low_as_it_was(frames: int, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, frames - 26))
    values = np.full(frames, 45.0)
    values[at : at + 25] = 20.0
    drawn = coordinates(parsed(score_chart("a", "PSNR", values, 25)))
    lowest = max(y for _, y in drawn)  # downwards
    assert lowest == pytest.approx(Scale(20 - 1.5, 45 + 1.5, 160, 10)(20), abs=0.1)


@given(st.lists(ANY, max_size=50), GATES, st.sampled_from([Fraction(25), Fraction(30000, 1001), Fraction(1, 2)]))
def test_whatever_was_measured_the_charts_are_well_formed(
    values: list[float], gates: list[GateLine], rate: Fraction
) -> None:
    for svg in (
        score_chart("a", "PSNR", values, rate, unit="dB", gates=gates, worst=range(5), bands=[Band(0, 2, "black")]),
        histogram("b", "PSNR", values, unit="dB", gates=gates),
    ):
        text = "".join(char for char in svg if char.isprintable())  # XML 1.0 has no way to write control characters
        root = parsed(text)
        assert root.attrib["role"] == "img"
        assert root[0].tag == f"{SVG}title"
        assert root[1].tag == f"{SVG}desc"
        assert "nan" not in " ".join(mark.attrib.get("points", "") for mark in root.iter())


@given(
    st.lists(st.builds(Trial, st.integers(0, 51), FIGURES, st.floats(0, 1e9), st.booleans()), min_size=1, max_size=8)
)
def test_every_trial_of_a_search_is_a_mark(trials: list[Trial]) -> None:
    root = parsed(search_chart("a", "Search", trials, trials[0].number, GateLine(40.0, "p1 ≥ 40")))
    marks = [mark for mark in root.iter(f"{SVG}circle") if mark.attrib["class"] in ("c-dot", "c-whole")]
    assert len(marks) == len(trials)


def test_a_frame_without_a_figure_is_marked_and_told() -> None:
    root = parsed(score_chart("a", "VMAF", [90.0, float("nan"), 91.0, 92.0], 25))
    assert [mark.attrib["class"] for mark in root.iter(f"{SVG}rect")] == ["c-missing"]
    assert "1 frames without a figure" in root.findtext(f"{SVG}desc", "")


def test_hostile_words_stay_words() -> None:
    lines = [GateLine(1.0, HOSTILE)]
    drawn = [
        score_chart("a", HOSTILE, [1.0, 2.0], 25, unit=HOSTILE, gates=lines, bands=[Band(0, 1, HOSTILE)]),
        histogram("b", HOSTILE, [1.0], unit=HOSTILE, gates=lines),
        search_chart("c", HOSTILE, [Trial(20, 1.0, 1.0)], 20, lines[0]),
        bytes_chart("d", HOSTILE, [(HOSTILE, 1, HOSTILE)]),
        *panels("e", 'x" onload="', 4, 3, [HOSTILE]),
    ]
    assert not any("<script" in svg or 'onload="' in svg for svg in drawn)


def test_panels_hold_their_picture_once() -> None:
    drawn = panels("w", "data:image/jpeg;base64,AAAA", 480, 270, ("source", "result", "difference"))
    assert [svg.count("data:image") for svg in drawn] == [1, 0, 0]
    assert ['viewBox="480 0 480 270"' in svg for svg in drawn] == [False, True, False]


def test_bars_are_as_long_as_the_sizes() -> None:
    root = parsed(bytes_chart("a", "Size", [("before", 1000, "1 kB"), ("after", 250, "250 B")]))
    before, after = (float(mark.attrib["width"]) for mark in root.iter(f"{SVG}rect"))
    assert after / before == pytest.approx(0.25, abs=0.01)


@given(FIGURES, st.floats(1e-3, 1e6))
def test_ticks_are_few_and_lie_within(low: float, span: float) -> None:
    marks = ticks(low, low + span)
    assert len(marks) <= 7
    assert all(low - span * 1e-6 <= mark <= low + span * 1.000001 for mark in marks)


@given(st.floats(0.05, 1e5))
def test_times_are_few_and_lie_within(seconds: float) -> None:
    marks = clock_ticks(seconds)
    assert 1 <= len(marks) <= 7
    assert all(0 <= mark <= seconds * 1.000001 for mark in marks)


def test_times_for_people() -> None:
    assert [clock(t) for t in (0, 0.4, 59, 65, 3600, 7325)] == ["0 s", "0.4 s", "59 s", "1:05", "1:00:00", "2:02:05"]


@given(st.lists(st.floats(0, 200), max_size=6))
def test_words_do_not_lie_on_each_other(places: list[float]) -> None:
    moved = sorted(spread(places, 12))
    assert all(b - a >= 12 - 1e-9 for a, b in pairwise(moved))
