"""The bucket and the pace, by a clock that only moves when somebody sleeps."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.bandwidth import AWAY_SECONDS, BURST_SECONDS, PIECE_SECONDS, LocalBucket, Pace, SharedBucket
from common.errors import LeaseLost
from common.leases import connect

RATE = 1_000_000


class Clock:
    """Time that sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def paced(clock: Clock) -> Pace:
    return Pace(bytes_per_second=RATE, reserve=LocalBucket(clock), sleep=clock.sleep)


@given(st.lists(st.integers(1, 500_000), min_size=1, max_size=60), st.floats(0, 0.05))
def test_whatever_the_pieces_the_rate_is_kept(pieces: list[int], work_seconds: float) -> None:
    clock = Clock()
    pace, start, sent = paced(clock), clock(), 0
    for piece in pieces:
        pace(piece)
        sent += piece
        clock.sleep(work_seconds)
    elapsed = clock() - work_seconds - start
    assert sent - max(pieces) <= RATE * (elapsed + BURST_SECONDS + PIECE_SECONDS) * 1.000001


def test_a_sender_that_always_has_bytes_gets_the_whole_rate() -> None:
    clock = Clock()
    pace, start = paced(clock), clock()
    for _ in range(1000):
        pace(16_384)
    assert 1000 * 16_384 / (clock() - start) == pytest.approx(RATE, rel=0.05)


def test_an_idle_line_saves_up_no_more_than_a_burst() -> None:
    clock = Clock()
    bucket = LocalBucket(clock)
    clock.sleep(3600)
    assert bucket(BURST_SECONDS) == 0
    assert bucket(1) == 0
    assert bucket(1) == pytest.approx(1)


def test_without_a_limit_nothing_is_waited_for() -> None:
    clock = Clock()
    Pace(sleep=clock.sleep)(1 << 40)
    assert clock() == 100.0


def test_a_revoked_attempt_stops_in_the_middle_of_a_wait() -> None:
    clock = Clock()

    def check() -> None:
        if clock() > 102:
            raise LeaseLost("revoked")

    pace = Pace(check, 1000, LocalBucket(clock), clock.sleep)
    pace(100_000)  # its piece begins at once; the next one after 100 s
    with pytest.raises(LeaseLost):
        pace(100_000)
    assert clock() < 104


@pytest.mark.parametrize(("rate", "piece"), [(None, 131_072), (10_000_000, 131_072), (100_000, 50_000), (10, 1_024)])
def test_a_slow_line_gets_small_pieces(rate: int | None, piece: int) -> None:
    assert Pace(bytes_per_second=rate).piece_bytes(131_072, 1_024) == piece


def test_without_redis_a_worker_keeps_to_its_share(tmp_path: Path) -> None:
    clock = Clock()
    away = connect(f"redis+socket://{tmp_path / 'nobody'}?virtual_host=0", timeout_seconds=0.1, retries=0)
    pace = Pace(bytes_per_second=RATE, reserve=SharedBucket(away, "x", sharers=4, clock=clock), sleep=clock.sleep)
    start = clock()
    for _ in range(100):
        pace(100_000)
    assert clock() - start > AWAY_SECONDS  # so it has asked again in between, in vain
    assert 100 * 100_000 / (clock() - start) == pytest.approx(RATE / 4, rel=0.05)
