"""Progress of a search."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workers.effort import Effort
from workers.ffmpeg.parse import Progress


def at(frame: int) -> Progress:
    return Progress(frame=frame, fps=1, size_bytes=0)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 500)), min_size=1, max_size=8), st.integers(1, 500))
def test_progress_never_goes_back_nor_beyond_the_end(stages: list[tuple[bool, int]], frames: int) -> None:
    told: list[int] = []
    effort = Effort(lambda progress: told.append(progress.frame), frames)
    for whole, length in stages:
        report = effort.whole() if whole else effort.sample(length)
        for frame in range(0, (frames if whole else length) + 1, 50):
            report(at(frame))
    assert told == sorted(told)
    assert all(0 <= frame <= frames for frame in told)


def test_a_usual_search_tells_how_much_of_all_is_done() -> None:
    told: list[int] = []
    effort = Effort(lambda progress: told.append(progress.frame), 1000)
    for _ in range(3):
        effort.sample(100)(at(100))
    effort.whole()(at(500))
    effort.whole()  # it is not told before it has done something
    assert told == [76, 153, 230, 615]  # of 1300 frames in all, as of 1000
