"""The same work on every frame of a source, done by several processes; results come in the frames' order."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from io import FileIO

from common.errors import InternalFault
from common.forks import Fork, Limits
from workers.frames.layout import DEFLATED_FRAMES, NATIVE, Layout

Bytes = bytes | bytearray | memoryview

MOST_PROCESSES = 8
"""More decode no faster than one encode takes frames."""

ALONE = 8
"""Up to so many frames are done before a fork pays."""

_LENGTH_BYTES = 8
_PIPE_BYTES = 1 << 20  # Linux' default limit for a user's pipe: a whole frame of 512×512, so that its maker goes on


def processes(layout: Layout) -> int:
    """How many processes decode frames of this layout: one where decoding is a copy, else as many as there are cores."""
    return 1 if layout.syntax in NATIVE or layout.syntax == DEFLATED_FRAMES else cores_for(layout.frames)


def cores_for(frames: int) -> int:
    """How many processes work on so many frames."""
    return 1 if frames <= ALONE else min(MOST_PROCESSES, len(os.sched_getaffinity(0)))


def in_order(make: Callable[[int], Bytes], numbers: range, count: int, what: str) -> Iterator[Bytes]:
    """``make(number)`` of each number, in their order, made by ``count`` forked processes; ``what`` names the work in errors.

    Each process makes every count-th and waits until it is taken, so memory holds two results a process whatever the length.
    ``make`` must not move a file's position: all processes share it. Limits on memory are inherited by each.

    Raises: what ``make`` raised, where the first failing number would stand; ResourceLimit, UnreadableSource: a process ended.
    """
    if count < 2:
        yield from map(make, numbers)
        return
    with ExitStack() as stack:
        lanes: list[_Lane] = []
        for first in range(count):
            inherited = tuple(lane.stream.fileno() for lane in lanes)
            lanes.append(stack.enter_context(_Lane(make, numbers[first::count], what, inherited)))
        for place in range(len(numbers)):
            yield lanes[place % count].take()


class _Lane:
    """One process and the pipe of its results."""

    def __init__(self, make: Callable[[int], Bytes], numbers: range, what: str, inherited: tuple[int, ...]) -> None:
        self._what = what
        reader, writer = os.pipe()
        with contextlib.suppress(OSError):  # a user's pipes are full: the default size will do
            fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self.stream = FileIO(reader)
        try:
            self._fork = Fork(_make_all, make, numbers, writer, limits=Limits(), close=(reader, *inherited))
        except BaseException:
            self.stream.close()
            raise
        finally:
            os.close(writer)

    def __enter__(self) -> _Lane:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()
        self._fork.__exit__()

    def take(self) -> bytearray:
        """The next result. Raises: see in_order."""
        length = _filled(self.stream, bytearray(_LENGTH_BYTES))
        data = _filled(self.stream, bytearray(int.from_bytes(length, "little"))) if length is not None else None
        if data is None:
            self._fork.wait(None)
            self._fork.value(self._what)
            raise InternalFault(f"{self._what} ended before its last frame")
        return data


def _make_all(make: Callable[[int], Bytes], numbers: range, writer: int) -> None:
    """Runs in the forked child."""
    with FileIO(writer, "wb") as pipe:
        for number in numbers:
            data = memoryview(make(number)).cast("B")
            for part in (len(data).to_bytes(_LENGTH_BYTES, "little"), data):
                _write(pipe, part)


def _write(pipe: FileIO, data: Bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[pipe.write(view) :]


def _filled(stream: FileIO, buffer: bytearray) -> bytearray | None:
    """The buffer read full, or None where the stream ends first."""
    view = memoryview(buffer)
    while view:
        count = stream.readinto(view)
        if not count:
            return None
        view = view[count:]
    return buffer
