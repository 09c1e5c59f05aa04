"""The search for the highest number that meets the gate, against encoders whose curve is known."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from common.orders import Pooled
from common.recipes import ARCHIVE, PROFILES, Gate, Search, Threshold, fixed
from workers.ffmpeg.sample_command import windows
from workers.search import Curve, Probe, best_passing, next_probe, next_whole, predicted_best, step_finer, straight

GATE = Gate(
    thresholds=(
        Threshold(metric="psnr_y", statistic="mean", minimum=40),
        Threshold(metric="vmaf", statistic="p1", minimum=85),
    )
)
HALVINGS = 5
"""From 36 to 8 in halves: 22, 15, 11, 9, 8."""
BOUNDS = Search(finest=8, start=26, coarsest=36, probes=5)


def pooled(value: float) -> Pooled:
    return Pooled(mean=value, harmonic_mean=value, min=value, p1=value, p5=value, worst_second=value)


def probe(crf: int, psnr: float, vmaf: float) -> Probe:
    return Probe(crf, {"psnr_y": pooled(psnr), "vmaf": pooled(vmaf)}, frames=100, video_bytes=1000, seconds=1.0)


def search(encode: Callable[[int], Probe], bounds: Search = BOUNDS, *, exact: bool = True) -> list[Probe]:
    probes: list[Probe] = []
    while (crf := next_probe(probes, GATE, bounds, exact=exact)) is not None:
        assert crf not in [one.crf for one in probes], "a number is encoded once"
        assert bounds.finest <= crf <= bounds.coarsest
        probes.append(encode(crf))
    return probes


def vmaf_of(decibels: float) -> float:
    return 100 * min(1.0, 1 + 1e-3 - 10 ** (-decibels / 10))


curves = st.tuples(st.floats(0.2, 1.2), st.floats(0.1, 3.0), st.floats(10, 50), st.floats(10, 50))


@given(curves)
@settings(deadline=None)
def test_on_straight_curves_the_best_number_is_found_exactly(curve: tuple[float, float, float, float]) -> None:
    psnr_slope, vmaf_slope, psnr_at, vmaf_at = curve  # dB a step, and where each curve crosses its gate
    assume(abs(min(psnr_at, vmaf_at) - round(min(psnr_at, vmaf_at))) > 1e-6)
    passes = straight("vmaf", 85)

    def encode(crf: int) -> Probe:
        return probe(crf, 40 - psnr_slope * (crf - psnr_at), vmaf_of(passes - vmaf_slope * (crf - vmaf_at)))

    probes = search(encode)
    best = max((crf for crf in range(8, 37) if crf <= min(psnr_at, vmaf_at)), default=None)
    found = best_passing(probes, GATE)
    assert (found and found.crf) == best
    assert len(probes) <= BOUNDS.probes


@given(st.lists(st.floats(0, 3), min_size=40, max_size=40), st.integers(0, 40))
@settings(deadline=None)
def test_on_any_falling_curve_what_is_chosen_has_passed(steps: list[float], crossing: int) -> None:
    heights = [sum(steps[:crf]) for crf in range(40)]

    def encode(crf: int) -> Probe:
        return probe(crf, 50, 85 + heights[min(crossing, 39)] - heights[crf])

    probes = search(encode)
    passed = best_passing(probes, GATE)
    assert (passed is not None) == (heights[8] <= heights[min(crossing, 39)]), (
        "what some number passes is never given up"
    )
    assert len(probes) <= BOUNDS.probes + HALVINGS


def test_samples_need_a_margin_and_the_number_between_two_near_probes_is_not_encoded() -> None:
    probes = search(lambda crf: probe(crf, 60 - crf, 99), exact=False)
    # 26 misses by 6 dB: at 0.6 dB a step 15 would do; a step turns out to be 1 dB
    assert [one.crf for one in probes] == [26, 15, 19]
    assert predicted_best(probes, GATE, BOUNDS, margin=1) == 19
    assert predicted_best(probes, GATE, BOUNDS, margin=0) == 20


def test_a_source_that_no_number_is_good_enough_for_ends_with_the_finest() -> None:
    probes = search(lambda crf: probe(crf, 30, 50))
    assert [one.crf for one in probes] == [26, 9, 8]
    assert predicted_best(probes, GATE, BOUNDS, margin=0) is None


def test_what_was_not_measured_never_passes() -> None:
    lacking = Probe(20, {"psnr_y": pooled(60)}, frames=1, video_bytes=1, seconds=0.1)
    assert best_passing([lacking], GATE) is None
    assert predicted_best([lacking], GATE, BOUNDS, margin=0) is None


def test_a_whole_that_misses_is_made_again_as_much_finer_as_its_curve_says() -> None:
    samples = [probe(20, 42, 95), probe(30, 37, 90)]  # 0.5 dB a step
    assert step_finer(samples, [probe(24, 39.2, 95)], GATE, BOUNDS) == 22
    assert step_finer(samples, [probe(8, 39, 95)], GATE, BOUNDS) is None


@given(st.integers(1, 100_000), st.floats(0.001, 1), st.integers(1, 20))
def test_samples_lie_within_the_video_in_order_and_apart(frames: int, share: float, count: int) -> None:
    spans = windows(frames, frames / 25, share=share, count=count)
    assert 1 <= len(spans) <= count
    assert all(0 <= span.first < span.last <= frames for span in spans)
    assert all(before.last <= after.first for before, after in pairwise(spans))
    assert all(span.seconds == pytest.approx((span.last - span.first) / 25) for span in spans)


def test_a_fixed_profile_looks_for_nothing_and_has_the_same_gate() -> None:
    plain = fixed(ARCHIVE)
    assert PROFILES["archive-fixed"] == plain
    assert plain.gate == ARCHIVE.gate
    assert [recipe.crf for recipe in plain.ladder] == [recipe.crf for recipe in ARCHIVE.ladder]
    assert not any(recipe.search for rung in range(len(plain.ladder)) for recipe in plain.recipes(rung))
    assert all(recipe.search for recipe in ARCHIVE.recipes(0))
    assert not any(recipe.search for recipe in ARCHIVE.recipes(1))


def test_a_clip_whose_curve_bends_is_not_given_up_after_its_probes() -> None:
    """The finer, the flatter: each probe falls just short of what the line through the ones before it promised."""
    bounds = BOUNDS.model_copy(update={"finest": 10, "probes": 4})
    probes = search(lambda crf: probe(crf, 40 - 6 * (max(0, crf - 12) / 14) ** 1.8, 99), bounds)
    assert [one.crf for one in probes] == [26, 16, 14, 13, 11]
    assert (found := best_passing(probes, GATE)) is not None
    assert found.crf == 11


def test_a_clip_that_passed_has_no_probe_too_many() -> None:
    bounds = BOUNDS.model_copy(update={"probes": 2})
    probes = search(lambda crf: probe(crf, 60 - crf, 99), bounds)
    assert [one.crf for one in probes] == [26, 16]


def test_wholes_that_fall_short_end_with_the_finest_number() -> None:
    samples = (probe(26, 34, 99), probe(16, 40.5, 99))
    curve = Curve(samples, (probe(16, 39, 99), probe(14, 39.5, 99), probe(13, 39.7, 99)))
    assert next_whole(curve, GATE, BOUNDS, given=18) == 10
    curve = Curve(samples, (*curve.wholes, probe(10, 39.9, 99)))
    assert next_whole(curve, GATE, BOUNDS, given=18) == BOUNDS.finest
    curve = Curve(samples, (*curve.wholes, probe(8, 39.9, 99)))
    assert next_whole(curve, GATE, BOUNDS, given=18) is None
