"""A whole search over made-up curves: it ends, is never fooled by samples, and stays within its number of encodes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import ProgramFailed
from common.orders import Pooled
from common.recipes import Gate, Search, Threshold
from workers.search import MOST_WHOLES, Curve, Probe, meets
from workers.target import Looking

BOUNDS = Search(finest=8, start=26, coarsest=36)
GATE = Gate(
    thresholds=(
        Threshold(metric="psnr_y", statistic="mean", minimum=40),
        Threshold(metric="vmaf", statistic="p1", minimum=85),
    )
)
Heights = dict[int, float]

numbers = range(BOUNDS.finest, BOUNDS.coarsest + 1)
noisy = st.lists(st.floats(20, 60), min_size=len(numbers), max_size=len(numbers)).map(
    lambda values: dict(zip(numbers, values, strict=True))
)
falling = noisy.map(lambda heights: dict(zip(numbers, sorted(heights.values(), reverse=True), strict=True)))
flat = st.floats(20, 60).map(lambda value: dict.fromkeys(numbers, value))
curves = st.one_of(noisy, falling, flat)


def pooled(value: float) -> Pooled:
    return Pooled(mean=value, harmonic_mean=value, min=value, p1=value, p5=value, worst_second=value)


def probe(crf: int, psnr: float, *, load: float = 0.1) -> Probe:
    return Probe(crf, {"psnr_y": pooled(psnr), "vmaf": pooled(2 * psnr + 5)}, 100, 1000, 1.0, load=load)


@dataclass
class Curved:
    """A video whose scores are given: of its samples, and of the whole."""

    samples: Heights
    wholes: Heights
    loads: dict[int, float] = field(default_factory=dict)
    sampled: list[int] = field(default_factory=list)
    encoded: list[int] = field(default_factory=list)

    def sample(self, crf: int) -> Probe:
        self.sampled.append(crf)
        return probe(crf, self.samples[crf])

    def whole(self, crf: int) -> tuple[int, Probe]:
        self.encoded.append(crf)
        return crf, probe(crf, self.wholes[crf], load=self.loads.get(crf, 0.1))


@dataclass
class Kept:
    """A memory that holds one curve."""

    curve: Curve = field(default_factory=Curve)

    def recall(self) -> Curve:
        return self.curve

    def keep(self, curve: Curve) -> None:
        self.curve = curve


@given(samples=curves, wholes=curves)
@settings(deadline=None)
def test_whatever_the_curves_a_search_ends_within_its_encodes_and_what_it_returns_has_passed_if_anything_has(
    samples: Heights, wholes: Heights
) -> None:
    work = Curved(samples, wholes)
    made, searched = Looking(work, GATE, BOUNDS, given=18).result()
    assert len(work.sampled) == len(set(work.sampled)) <= BOUNDS.probes
    assert len(work.encoded) <= MOST_WHOLES
    assert work.encoded == sorted(set(work.encoded), reverse=True)
    assert all(BOUNDS.finest <= crf <= BOUNDS.coarsest for crf in (*work.sampled, *work.encoded))
    passing = [crf for crf in work.encoded if meets(probe(crf, wholes[crf]), GATE)]
    assert passing in ([], [made])
    assert made == searched.chosen == work.encoded[-1]


@given(curve=falling, low=st.floats(0, 1.5))
@settings(deadline=None)
def test_samples_that_are_too_good_cost_encodes_and_no_quality(curve: Heights, low: float) -> None:
    work = Curved(curve, {crf: value - low for crf, value in curve.items()})
    made, _ = Looking(work, GATE, BOUNDS, given=18).result()
    if work.wholes[made] < 40:
        assert made == BOUNDS.finest


@given(samples=curves, wholes=curves)
@settings(deadline=None)
def test_what_is_remembered_is_not_encoded_again_but_for_the_result(samples: Heights, wholes: Heights) -> None:
    memory = Kept()
    first = Curved(samples, wholes)
    made, searched = Looking(first, GATE, BOUNDS, 18, memory).result()
    second = Curved(samples, wholes)
    again, told = Looking(second, GATE, BOUNDS, 18, memory).result()
    assert (again, second.sampled, second.encoded) == (made, [], [made])
    assert told.remembered == len(searched.probes) + len(searched.wholes)
    assert (told.probes, told.wholes) == (searched.probes, searched.wholes)


@given(samples=curves, wholes=curves, died_after=st.integers(0, 6))
@settings(deadline=None)
def test_a_search_that_died_goes_on_where_it_was_and_ends_as_it_would_have(
    samples: Heights, wholes: Heights, died_after: int
) -> None:
    whole = Curved(samples, wholes)
    made, searched = Looking(whole, GATE, BOUNDS, given=18).result()
    done = died_after % (len(searched.probes) + len(searched.wholes))
    known = Curve(searched.probes[:done], searched.wholes[: max(0, done - len(searched.probes))])
    rest = Curved(samples, wholes)
    again, _ = Looking(rest, GATE, BOUNDS, 18, Kept(known)).result()
    assert again == made
    assert len(rest.sampled) == len(searched.probes) - len(known.probes)


def test_where_the_peak_rate_is_used_up_no_finer_number_is_tried() -> None:
    work = Curved({crf: 45 - (crf - 20) * 0.5 for crf in numbers}, dict.fromkeys(numbers, 38.0))
    work.loads = dict.fromkeys(numbers, 0.95)
    _, searched = Looking(work, GATE, BOUNDS, given=18).result()
    assert len(work.encoded) == 1
    assert searched.capped


def test_a_source_that_cannot_be_sampled_is_encoded_at_the_given_number_and_nothing_is_remembered() -> None:
    class Closed(Curved):
        def sample(self, crf: int) -> Probe:
            raise ProgramFailed("ffmpeg", ["ffmpeg"], 1, "no")

    memory = Kept()
    work = Closed(dict.fromkeys(numbers, 50.0), dict.fromkeys(numbers, 50.0))
    made, searched = Looking(work, GATE, BOUNDS, 18, memory).result()
    assert made == 18
    assert searched.why_not.startswith("ProgramFailed")
    assert memory.curve == Curve()


def test_what_was_measured_as_nothing_never_passes() -> None:
    broken = Curved(dict.fromkeys(numbers, math.nan), dict.fromkeys(numbers, math.nan))
    made, _ = Looking(broken, GATE, BOUNDS, given=18).result()
    assert not meets(probe(made, math.nan), GATE)
    assert len(broken.encoded) <= MOST_WHOLES
