"""Pooling is exact, and the gate fails closed."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import InternalFault
from common.orders import Pooled
from common.recipes import PROFILES, Gate, Threshold
from workers.quality import PSNR_CAP, judge, load_scores, pool, save_scores, worst_frames

rules = settings(max_examples=60, deadline=None)
RATE = Fraction(25)
columns = st.lists(st.floats(0, 100, width=32), min_size=1, max_size=300)


def frames(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def exact_percentile(values: list[float], percent: int) -> float:
    """Linear interpolation between closest ranks, written out."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


@given(columns)
@rules
def test_pooled_figures_are_those_of_their_definitions(values: list[float]) -> None:
    pooled = pool({"vmaf": frames(*values)}, RATE)["vmaf"]
    assert pooled.mean == pytest.approx(sum(values) / len(values), abs=1e-9)
    assert pooled.min == min(values)
    assert pooled.p1 == pytest.approx(exact_percentile(values, 1), abs=1e-9)
    assert pooled.p5 == pytest.approx(exact_percentile(values, 5), abs=1e-9)
    if min(values) > 1e-6:
        assert pooled.harmonic_mean == pytest.approx(len(values) / sum(1 / v for v in values), rel=1e-9)


@given(columns)
@rules
def test_pooled_figures_keep_their_order(values: list[float]) -> None:
    pooled = pool({"ssim": frames(*values)}, RATE)["ssim"]
    slack = 1e-6
    assert pooled.min <= pooled.p1 + slack <= pooled.p5 + 2 * slack
    assert pooled.min - slack <= pooled.harmonic_mean <= pooled.mean + slack <= max(values) + 2 * slack


@given(columns, st.randoms())
@rules
def test_the_order_of_frames_does_not_matter(values: list[float], shuffler: object) -> None:
    other = list(values)
    shuffler.shuffle(other)  # type: ignore[attr-defined]
    figures = [pool({"vmaf": frames(*column)}, RATE)["vmaf"] for column in (values, other)]
    first, second = (figure.model_dump(exclude={"worst_second"}) for figure in figures)
    assert first == pytest.approx(second)


def test_one_ruined_second_in_a_long_film_is_seen_by_the_floor_and_not_by_the_mean() -> None:
    scores = np.full(60 * 25, 97, np.float32)
    scores[700:725] = 20
    pooled = pool({"vmaf": scores}, RATE)["vmaf"]
    assert pooled.mean > 95
    assert pooled.p1 == 20


def test_one_ruined_second_in_a_film_of_two_hours_is_seen_by_the_worst_second_alone() -> None:
    scores = np.full(2 * 3600 * 25, 97, np.float32)
    scores[100_010:100_035] = 20
    pooled = pool({"vmaf": scores}, RATE)["vmaf"]
    assert pooled.p1 == 97
    assert pooled.worst_second == pytest.approx(20)


@given(columns)
@rules
def test_the_worst_second_is_the_lowest_mean_of_so_many_frames_in_a_row(values: list[float]) -> None:
    pooled = pool({"vmaf": frames(*values)}, RATE)["vmaf"]
    width = min(25, len(values))
    means = [sum(values[at : at + width]) / width for at in range(len(values) - width + 1)]
    assert pooled.worst_second == pytest.approx(min(means), abs=1e-6)


def test_an_infinite_psnr_counts_as_the_cap() -> None:
    assert pool({"psnr_y": frames(np.inf, np.inf)}, RATE)["psnr_y"].mean == PSNR_CAP


def test_a_metric_without_frames_is_an_error() -> None:
    with pytest.raises(InternalFault, match="vmaf was measured on no frame"):
        pool({"vmaf": frames()}, RATE)


def gate(metric: str = "vmaf", statistic: str = "mean", minimum: float = 93) -> Gate:
    return Gate(thresholds=(Threshold(metric=metric, statistic=statistic, minimum=minimum),))


def flat(value: float) -> Pooled:
    return Pooled(mean=value, harmonic_mean=value, min=value, p1=value, p5=value, worst_second=value)


def test_a_score_at_the_threshold_passes() -> None:
    assert judge({"vmaf": flat(93)}, gate()).passed


def test_a_score_just_below_the_threshold_fails_and_says_by_how_much() -> None:
    verdict = judge({"vmaf": flat(92.9999)}, gate())
    assert not verdict.passed
    assert verdict.misses == ("vmaf mean 92.9999 < 93",)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_fails(value: float) -> None:
    verdict = judge({"vmaf": flat(value)}, gate())
    assert not verdict.passed
    assert "no measurement" in verdict.misses[0]


@pytest.mark.parametrize("asked", [gate(metric="ssim"), gate(statistic="median"), gate(metric="psnr_y", minimum=-1)])
def test_what_was_not_measured_fails(asked: Gate) -> None:
    verdict = judge({"vmaf": flat(99)}, asked)
    assert not verdict.passed
    assert "was not measured" in verdict.misses[0]


@pytest.mark.parametrize("name", [name for name, profile in PROFILES.items() if profile.ladder])
def test_no_scores_at_all_fail_every_gate_that_measures(name: str) -> None:
    asked = PROFILES[name].gate
    assert len(judge({}, asked).misses) == len(asked.thresholds) > 0


@given(st.lists(st.floats(0, 100), min_size=11, max_size=11))
@rules
def test_a_gate_passes_only_when_every_threshold_is_met(values: list[float]) -> None:
    thresholds = PROFILES["archive"].gate.thresholds
    pooled = {t.metric: flat(0) for t in thresholds}
    for threshold, value in zip(thresholds, values, strict=True):
        pooled[threshold.metric] = pooled[threshold.metric].model_copy(update={threshold.statistic: value})
    met = all(value >= t.minimum for t, value in zip(thresholds, values, strict=True))
    assert judge(pooled, PROFILES["archive"].gate).passed is met


def test_worst_frames_come_worst_first_and_earlier_first() -> None:
    assert worst_frames({"vmaf": frames(90, 10, 50, 10)}, 3) == {"vmaf": [1, 3, 2]}


def test_scores_come_back_as_they_were_saved(tmp_path: Path) -> None:
    scores = {"psnr_y": frames(40.5, np.inf), "vmaf": frames(1, 2)}
    save_scores(tmp_path / "scores.npz", scores)
    loaded = load_scores(tmp_path / "scores.npz")
    assert set(loaded) == set(scores)
    for metric, values in scores.items():
        np.testing.assert_array_equal(loaded[metric], values)
