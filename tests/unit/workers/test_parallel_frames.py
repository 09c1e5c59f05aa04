"""Work on frames in several processes: in order, bounded, and a failure is told where it stands."""

from __future__ import annotations

import os
import signal
from itertools import islice

import pytest

from common.errors import TruncatedSource, UnreadableSource
from workers.frames.parallel import in_order


def test_results_come_in_order_from_as_many_processes_as_asked():
    made = list(in_order(lambda number: b"%d %d" % (number, os.getpid()), range(3, 20), 3, "work"))
    assert [int(each.split()[0]) for each in made] == list(range(3, 20))
    pids = [bytes(each.split()[1]) for each in made]
    assert len(set(pids)) == 3
    assert b"%d" % os.getpid() not in pids
    assert pids[0] == pids[3] == pids[6]


def test_one_process_is_this_one():
    assert list(in_order(lambda number: b"%d" % os.getpid(), range(2), 1, "work")) == [b"%d" % os.getpid()] * 2


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_results_of_any_size_are_whole(size):
    made = list(in_order(lambda number: bytes([number]) * size, range(5), 2, "work"))
    assert [bytes(each) for each in made] == [bytes([number]) * size for number in range(5)]


def test_an_error_comes_after_all_results_before_it():
    def make(number: int) -> bytes:
        if number == 4:
            raise TruncatedSource("frame 5 of 9: the file ends inside it")
        return b"x"

    results = in_order(make, range(9), 2, "work")
    assert [bytes(each) for each in islice(results, 4)] == [b"x"] * 4
    with pytest.raises(TruncatedSource, match="frame 5 of 9"):
        next(results)


def test_a_crash_is_the_sources_fault():
    def make(number: int) -> bytes:
        if number:
            os.kill(os.getpid(), signal.SIGSEGV)
        return b"x"

    with pytest.raises(UnreadableSource, match="crashed on this source"):
        list(in_order(make, range(4), 2, "work"))


def test_who_stops_taking_leaves_no_process_behind(tmp_path):
    def make(number: int) -> bytes:
        (tmp_path / str(os.getpid())).touch()
        return bytes(1 << 21)

    results = in_order(make, range(1000), 2, "work")
    next(results)
    results.close()
    pids = [int(path.name) for path in tmp_path.iterdir()]
    assert pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_process_waits_until_its_result_is_taken(tmp_path):
    """Else a slow encoder would fill memory with decoded frames."""

    def make(number: int) -> bytes:
        (tmp_path / str(number)).touch()
        return bytes(1 << 21)

    results = in_order(make, range(1000), 2, "work")
    for _ in range(20):
        next(results)
    made = len(list(tmp_path.iterdir()))
    results.close()
    assert 20 <= made <= 20 + 2 * 2
