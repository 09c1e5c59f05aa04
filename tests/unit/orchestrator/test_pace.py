"""The time that is left: by bytes while plans are missing, by estimated work then, with what running attempts have done."""

from __future__ import annotations

from common.stages import State
from orchestrator.cli.live import Pace
from orchestrator.status import Progress


def seen(work_done: float, *, bytes_done: int = 0, found: int = 0, work_total: float = 100.0) -> Progress:
    counts = {State.FOUND: found, State.RUNNING: 1}
    return Progress(counts, (), 1000, bytes_done, work_total, work_done)


def remaining(*steps: tuple[float, Progress]) -> list[float | None]:
    moments = iter([moment for moment, _ in steps])
    now = [0.0]
    pace = Pace(lambda: now[0])
    told = []
    for _, progress in steps:
        now[0] = next(moments)
        told.append(pace.remaining_seconds(progress))
    return told


def test_once_all_is_planned_work_under_way_counts() -> None:
    assert remaining((0, seen(0)), (10, seen(0)), (20, seen(25))) == [None, None, 60.0]


def test_while_plans_are_missing_source_bytes_count() -> None:
    early = seen(50, bytes_done=0, found=1), seen(90, bytes_done=500, found=1)
    assert remaining((0, early[0]), (10, early[1])) == [None, 10.0]


def test_the_time_of_reading_is_no_part_of_the_pace_of_the_work() -> None:
    steps = (0, seen(0, found=1)), (50, seen(0)), (60, seen(50))
    assert remaining(*steps) == [None, None, 10.0]


def test_what_has_no_estimate_is_weighed_by_its_bytes() -> None:
    assert remaining((0, seen(0, work_total=0)), (10, seen(0, bytes_done=250, work_total=0))) == [None, 30.0]
