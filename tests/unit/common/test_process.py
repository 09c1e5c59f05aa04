"""Children that misbehave in every way we know of, for real."""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import BinaryIO

import psutil
import pytest

from common.errors import (
    InternalFault,
    LeaseLost,
    ProgramFailed,
    ProgramMissing,
    ResourceLimit,
    TruncatedSource,
    UnreadableSource,
)
from common.process import Limits, call, run


def python(code: str) -> list[str]:
    return [sys.executable, "-S", "-c", textwrap.dedent(code)]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_dead(pid: int) -> bool:
    for _ in range(500):
        if not alive(pid):
            return True
        time.sleep(0.02)
    return False


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def segfault() -> None:
    ctypes.string_at(0)


def spin() -> None:
    while True:
        pass


def hog() -> int:
    return len(bytearray(64 << 30))


def raise_truncated() -> None:
    raise TruncatedSource("it ends at frame 3", hint="copy it again")


def divide() -> float:
    return 1 / int("0")


def write_much(path: Path) -> None:
    with path.open("wb") as stream:
        for _ in range(64):
            stream.write(bytes(1 << 16))


def test_a_called_function_gives_its_value_back() -> None:
    assert call(sum, [1, 2, 3], limits=Limits(), what="adding") == 6


def test_a_value_larger_than_a_pipe_comes_back_whole() -> None:
    assert call(bytes, 5_000_000, limits=Limits(seconds=30), what="zeros") == bytes(5_000_000)


def test_a_called_function_runs_in_another_process() -> None:
    assert call(os.getpid, limits=Limits(), what="pid") != os.getpid()


def test_an_error_of_the_tree_is_raised_as_it_was() -> None:
    with pytest.raises(TruncatedSource, match="frame 3") as caught:
        call(raise_truncated, limits=Limits(), what="reading")
    assert caught.value.hint == "copy it again"


def test_a_program_failure_survives_the_way_out_of_a_child() -> None:
    error = pickle.loads(pickle.dumps(ProgramFailed("ffmpeg", ["ffmpeg", "-x"], 3, "bad option")))  # noqa: S301  our own bytes
    assert (error.exit_code, error.stderr_tail, error.argv) == (3, "bad option", ["ffmpeg", "-x"])


def test_a_segfault_costs_the_source_and_not_the_worker() -> None:
    with pytest.raises(UnreadableSource, match="decoder crashed"):
        call(segfault, limits=Limits(), what="decoding")


def kill_myself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_child_that_was_killed_from_outside_is_no_fault_of_the_source() -> None:
    with pytest.raises(ResourceLimit, match="decoding was killed"):
        call(kill_myself, limits=Limits(), what="decoding")


def test_a_child_that_leaves_without_a_word_is_a_crash() -> None:
    with pytest.raises(UnreadableSource, match="decoder crashed"):
        call(os._exit, 0, limits=Limits(), what="decoding")


def test_an_endless_loop_meets_the_limit_on_time() -> None:
    with pytest.raises(ResourceLimit, match=r"decoding took longer than its limit of 0\.3 s"):
        call(spin, limits=Limits(seconds=0.3), what="decoding")


def test_a_memory_hog_meets_the_limit_on_memory() -> None:
    with pytest.raises(ResourceLimit, match="memory"):
        call(hog, limits=Limits(memory_bytes=8 << 30), what="decoding")


def test_a_writer_without_end_meets_the_limit_on_output(tmp_path: Path) -> None:
    with pytest.raises(ResourceLimit, match="output size"):
        call(write_much, tmp_path / "out", limits=Limits(output_bytes=1 << 20), what="writing")


def test_an_unexpected_exception_names_its_type_and_place_but_not_its_message() -> None:
    with pytest.raises(InternalFault, match="ZeroDivisionError") as caught:
        call(divide, limits=Limits(), what="dividing")
    assert caught.value.code == "InternalFault"
    assert "divide" in caught.value.stderr_tail  # type: ignore[attr-defined]
    assert "by zero" not in caught.value.stderr_tail  # type: ignore[attr-defined]


def test_a_value_that_cannot_travel_is_our_fault() -> None:
    with pytest.raises(InternalFault):
        call(threading.Lock, limits=Limits(), what="locking")


def test_a_call_leaves_no_descriptor_open() -> None:
    before = open_descriptors()
    call(int, limits=Limits(), what="nothing")
    with pytest.raises(UnreadableSource):
        call(segfault, limits=Limits(), what="crash")
    assert open_descriptors() == before


def test_a_program_that_ends_well_reports_its_memory_and_last_words() -> None:
    done = run(python("import sys; sys.stderr.write('warned'); x = bytearray(300 << 20)"), name="python")
    assert done.stderr_tail == "warned"
    assert done.peak_rss_bytes > 300 << 20


def test_lines_of_standard_output_arrive_whole_and_in_order() -> None:
    lines: list[str] = []
    run(python("for i in range(20000): print('frame', i)"), name="python", on_line=lines.append)
    assert lines == [f"frame {i}" for i in range(20000)]


def test_a_last_line_without_an_end_is_still_a_line() -> None:
    lines: list[str] = []
    run(python("print('a\\nb', end='')"), name="python", on_line=lines.append)
    assert lines == ["a", "b"]


def test_a_failed_program_carries_name_command_code_and_tail() -> None:
    argv = python("import sys; sys.exit('no such codec')")
    with pytest.raises(ProgramFailed, match="tool ended with exit code 1: no such codec") as caught:
        run(argv, name="tool")
    assert caught.value.argv == argv


def test_standard_error_is_kept_as_a_tail_without_overwritten_progress() -> None:
    code = """
        import sys
        sys.stderr.write("the reason\\n" )
        for i in range(20000): sys.stderr.write(f"frame={i}\\r")
        sys.stderr.write("\\n" + "x" * 50 + "\\n")
        sys.exit(4)
    """
    with pytest.raises(ProgramFailed) as caught:
        run(python(code), name="tool")
    assert caught.value.stderr_tail.startswith("the reason\n")
    assert len(caught.value.stderr_tail) < 8193


def test_a_path_of_the_command_line_is_taken_out_of_the_last_words(tmp_path: Path) -> None:
    argv = [*python("import sys; sys.exit('cannot open ' + sys.argv[1])"), str(tmp_path / "DOE^JANE.mpg")]
    with pytest.raises(ProgramFailed) as caught:
        run(argv, name="tool")
    assert "DOE" not in str(caught.value) + caught.value.stderr_tail


def test_a_program_that_is_not_there_is_missing() -> None:
    with pytest.raises(ProgramMissing, match="cannot be started"):
        run(["/nonexistent/program"], name="program")


def test_a_missing_program_leaves_no_feeder_behind() -> None:
    before, children = open_descriptors(), psutil.Process().children()
    with pytest.raises(ProgramMissing):
        run(["/nonexistent/program"], name="program", feed=lambda stream: spin())
    assert open_descriptors() == before
    assert psutil.Process().children() == children


def test_a_program_that_hangs_meets_the_limit_on_time_with_all_it_started(tmp_path: Path) -> None:
    script = (
        f"sleep 60 & echo $! > {tmp_path}/pid; wait"  # a shell: it is up long before the limit, even on a busy machine
    )
    with pytest.raises(ResourceLimit, match="tool took longer than its limit of 2 s"):
        run(["sh", "-c", script], name="tool", limits=Limits(seconds=2))
    assert wait_until_dead(int((tmp_path / "pid").read_text()))


def test_a_program_that_writes_too_much_meets_the_limit_on_output(tmp_path: Path) -> None:
    argv = ["dd", "if=/dev/zero", f"of={tmp_path / 'out'}", "bs=65536", "count=64"]
    with pytest.raises(ResourceLimit, match="output size"):
        run(argv, name="dd", limits=Limits(output_bytes=1 << 20))


def test_a_program_that_takes_too_much_memory_meets_the_limit_on_memory() -> None:
    code = "import errno, os, sys\ntry: x = bytearray(4 << 30)\nexcept MemoryError: sys.exit(os.strerror(errno.ENOMEM))"
    with pytest.raises(ResourceLimit, match="memory"):
        run([sys.executable, "-S", "-c", code], name="tool", limits=Limits(memory_bytes=1 << 30))


def test_a_cancelled_program_is_stopped_even_when_it_ignores_the_request() -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    up: list[str] = []
    with pytest.raises(LeaseLost):
        run(python(code), name="tool", on_line=up.append, cancelled=lambda: bool(up))


def test_a_feeder_writes_the_programs_standard_input() -> None:
    lines: list[str] = []

    def feed(stream: BinaryIO) -> None:
        for _ in range(100):
            stream.write(bytes(100_000))

    run(python("import sys; print(len(sys.stdin.buffer.read()))"), name="tool", feed=feed, on_line=lines.append)
    assert lines == ["10000000"]


def test_an_error_of_the_feeder_is_raised_in_preference_to_the_programs_own() -> None:
    def feed(stream: BinaryIO) -> None:
        stream.write(b"x")
        raise TruncatedSource("it ends at frame 3")

    with pytest.raises(TruncatedSource, match="frame 3"):
        run(python("import sys; sys.stdin.read(); sys.exit(5)"), name="tool", feed=feed)


def test_an_error_of_the_feeder_counts_even_when_the_program_ends_well() -> None:
    def feed(stream: BinaryIO) -> None:
        raise TruncatedSource("it ends at frame 3")

    with pytest.raises(TruncatedSource, match="frame 3"):
        run(python("import sys; sys.stdin.read()"), name="tool", feed=feed)


def test_a_crash_of_the_feeder_is_an_unreadable_source() -> None:
    with pytest.raises(UnreadableSource, match="decoder crashed"):
        run(python("import sys; sys.stdin.read()"), name="tool", feed=lambda stream: segfault())


def test_a_program_that_fails_while_it_is_fed_is_the_programs_failure() -> None:
    def feed(stream: BinaryIO) -> None:
        while True:
            stream.write(bytes(1 << 20))

    with pytest.raises(ProgramFailed, match="exit code 9"):
        run(python("import sys; sys.stdin.buffer.read(1000); sys.exit(9)"), name="tool", feed=feed)


def test_programs_with_feeders_do_not_hold_each_others_pipes_open() -> None:
    def once(hold: float, done: list[float]) -> None:
        def feed(stream: BinaryIO) -> None:
            stream.write(b"x")
            stream.flush()
            time.sleep(hold)

        run(["cat"], name="cat", feed=feed)
        done.append(hold)

    done: list[float] = []
    threads = [threading.Thread(target=once, args=(hold, done)) for hold in (0.0, 3.0, 0.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [0.0, 0.0, 3.0]


@pytest.mark.parametrize("way", ["program", "function", "feeder"])
def test_children_die_with_a_parent_that_was_killed(way: str, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = f"""
        import os, sys, time
        sys.path.insert(0, {str(Path.cwd())!r})
        from common.process import Limits, call, run

        def note(*_):
            with open({str(pid_file)!r} + "~", "w") as f: f.write(str(os.getpid()))
            os.rename({str(pid_file)!r} + "~", {str(pid_file)!r})
            time.sleep(300)

        if {way!r} == "function":
            call(note, limits=Limits(), what="sleep")
        if {way!r} == "feeder":
            run(["sleep", "300"], name="sleep", feed=note)
        run(["sh", "-c", "echo $$ > {pid_file}~; mv {pid_file}~ {pid_file}; exec sleep 300"], name="sh")
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)])
    try:
        while not pid_file.exists():
            assert parent.poll() is None
            time.sleep(0.02)
        child = int(pid_file.read_text())
        assert alive(child)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    assert wait_until_dead(child)


def test_an_environment_is_added_to_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEPT", "ours")
    said: list[str] = []
    code = "import os; print(os.environ['KEPT'], os.environ['ADDED'])"
    run(python(code), name="python", environment={"ADDED": "theirs"}, on_line=said.append)
    assert said == ["ours theirs"]
