"""How long the rest will take: nothing is said before enough is measured, and the range holds what really comes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.eta import LEAST_SAMPLES, Pace, Sample, Span, pace, remaining

SECONDS = st.floats(0.1, 1e5)
SAMPLES = st.lists(st.builds(Sample, SECONDS, SECONDS), min_size=LEAST_SAMPLES, max_size=40)


def test_too_few_measured_items_say_nothing() -> None:
    assert pace([Sample(1.0, 2.0)] * (LEAST_SAMPLES - 1)) is None
    assert remaining(100.0, 10.0, 2, None) is None


def test_items_without_an_estimate_do_not_count() -> None:
    assert pace([Sample(0.0, 2.0)] * 50) is None


def test_work_that_took_twice_its_estimate_takes_twice_its_estimate() -> None:
    known = pace([Sample(estimated, 2 * estimated) for estimated in (1.0, 5.0, 9.0, 2.0, 3.0)])
    assert known == Pace(2.0, 2.0, 2.0, 5)
    assert remaining(100.0, 0.0, 4, known) == Span(50.0, 50.0)


def test_nobody_at_work_has_no_end() -> None:
    assert remaining(100.0, 1.0, 0, Pace(1.0, 1.0, 1.0, 9)) is None


@given(SAMPLES)
def test_the_bounds_hold_the_mean(samples: list[Sample]) -> None:
    known = pace(samples)
    assert known is not None
    assert 0 < known.low <= known.mean * (1 + 1e-9)
    assert known.mean <= known.high * (1 + 1e-9)


@given(SAMPLES, SECONDS, st.integers(1, 100), st.floats(0, 1))
def test_the_range_is_one(samples: list[Sample], work: float, slots: int, share: float) -> None:
    span = remaining(work, work * share, slots, pace(samples))
    assert span is not None
    assert span.low <= span.high * (1 + 1e-9)
