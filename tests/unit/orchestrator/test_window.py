"""How far ahead orders are sent: by slots for long ones, by the clock for short ones."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.window import PER_SLOT, Window


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def run(ends_a_second: float, seconds: float, slots: int = 2) -> int:
    """The window after a queue has been kept full for a while."""
    clock = Clock()
    window, out, size = Window(clock), 0.0, 0
    for _ in range(int(seconds * 10)):
        clock.now += 0.1
        out -= min(out, ends_a_second / 10)
        size = window.size("describe", slots, round(out))
        window.filled("describe", size - round(out), max(0, size - round(out)))
        out = max(out, size)
    return size


def test_long_orders_wait_in_pairs_with_the_slots() -> None:
    assert run(ends_a_second=1, seconds=30) == PER_SLOT * 2


def test_of_short_orders_a_second_of_work_is_out() -> None:
    assert 450 <= run(ends_a_second=500, seconds=60) <= 650


def test_a_queue_without_slots_has_no_window() -> None:
    assert run(ends_a_second=0, seconds=1, slots=0) == 0


def test_slots_that_ran_dry_make_it_double_at_once() -> None:
    clock = Clock()
    window = Window(clock)
    for turn in range(5):
        clock.now += 0.05
        size = window.size("describe", 2, 0)
        assert size == PER_SLOT * 2 * 2**turn
        window.filled("describe", size, size)


def test_it_does_not_grow_while_there_is_nothing_to_send() -> None:
    clock = Clock()
    window = Window(clock)
    for _ in range(5):
        clock.now += 0.05
        assert window.size("describe", 2, 0) == PER_SLOT * 2
        window.filled("describe", PER_SLOT * 2, 1)
        clock.now += 0.05


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 500)), max_size=30), st.integers(1, 8))
def test_the_window_never_falls_below_the_slots(moments: list[tuple[float, int]], slots: int) -> None:
    clock = Clock()
    window = Window(clock)
    for elapsed, out in moments:
        clock.now += elapsed
        size = window.size("cpu", slots, out)
        assert size >= PER_SLOT * slots
        window.filled("cpu", size - out, max(0, size - out))
