"""Figures of the whole come from all frames, not from the chunks' figures."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from workers.assemble import merged
from workers.ffmpeg.parse import Scores
from workers.quality import pool

RATE = Fraction(25)


def chunk(*values: float) -> Scores:
    return {"vmaf": np.array(values, dtype=np.float32)}


def test_frames_are_merged_in_order() -> None:
    assert merged([chunk(1, 2), chunk(3), chunk(4, 5)])["vmaf"].tolist() == [1, 2, 3, 4, 5]


def test_pooled_figures_of_merged_chunks_are_exactly_those_of_the_whole() -> None:
    values = np.random.default_rng(4711).uniform(60, 100, 1007).astype(np.float32)
    parts = [{"vmaf": part} for part in np.split(values, (3, 500, 777))]
    assert pool(merged(parts), RATE) == pool({"vmaf": values}, RATE)


def test_a_percentile_of_percentiles_would_be_wrong() -> None:
    good, bad = chunk(*[100.0] * 900), chunk(*[50.0] * 100)
    whole = pool(merged([good, bad]), RATE)["vmaf"]
    assert whole.p5 == 50
    assert (pool(good, RATE)["vmaf"].p5 + pool(bad, RATE)["vmaf"].p5) / 2 == 75
