"""Run a program or a function in a child that dies with us, under limits; a failure carries its last words."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self, TypeVar, cast

from common.errors import LeaseLost, ProgramFailed, ProgramMissing, ResourceLimit
from common.forks import BIRTH, Fork, Limits, bind, bound

__all__ = ["Finished", "Limits", "call", "run"]

T = TypeVar("T")
Feed = Callable[[BinaryIO], None]

_UNLIMITED = Limits()
_TAIL_BYTES = 8192  # of stderr
_PIPE_BYTES = 1 << 20  # Linux' default limit for a user's pipe (fs.pipe-max-size): fewer switches for raw frames
_TICK_SECONDS = 0.1  # how late a cancel or a timeout is noticed
_GRACE_SECONDS = 2.0  # between SIGTERM and SIGKILL, and for a feeder to notice that its reader has gone
_OVERWRITTEN = re.compile(rb"[^\r\n]*\r(?![\r\n]|$)")


@dataclass(frozen=True)
class Finished:
    """A program that ended well."""

    seconds: float  # wall time
    peak_rss_bytes: int  # ru_maxrss: an upper bound, it counts our own pages before exec
    stderr_tail: str
    cpu_seconds: float = 0.0  # of the program in all its threads, not of its feeder


def call(function: Callable[..., T], *args: object, limits: Limits, what: str) -> T:
    """Run a Python function in a forked child and return its (picklable) value; ``what`` names the work in errors.

    Raises:
        CinefarmError: the one the function raised.
        ResourceLimit: it met a limit.
        UnreadableSource: a signal or an exit ended it.
        InternalFault: any other exception; ``stderr_tail`` holds the end of its traceback.
    """
    with Fork(function, *args, limits=limits) as fork:
        if not fork.wait(limits.seconds):
            raise ResourceLimit(f"{what} took longer than its limit of {limits.seconds:g} s")
        return cast(T, fork.value(what))


def run(
    argv: list[str],
    *,
    name: str,
    limits: Limits = _UNLIMITED,
    feed: Feed | None = None,
    on_line: Callable[[str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Finished:
    """Run a program to its end, in the calling thread.

    ``feed`` runs in a forked child under the same limits and writes the program's standard input; ``on_line`` gets
    each line of standard output; ``cancelled`` is asked ten times a second; ``environment`` is added to ours.

    Raises:
        ProgramMissing: it cannot be started.
        ProgramFailed: it ended with a code other than 0.
        ResourceLimit: it met a limit; the message says which.
        LeaseLost: ``cancelled`` said so: only the loss of its lease stops an attempt, and that is no failure.
        CinefarmError: what ``feed`` raised, in preference to the program's own failure.
        UnreadableSource: ``feed`` crashed.
    """
    started = time.monotonic()
    with _Program(argv, name, limits, feed, on_line, cwd, environment) as program:
        while not program.ended():
            if cancelled is not None and cancelled():
                program.stop()
                raise LeaseLost(f"{name} was stopped: this attempt no longer holds its lease")
            if limits.seconds is not None and time.monotonic() - started > limits.seconds:
                raise ResourceLimit(f"{name} took longer than its limit of {limits.seconds:g} s")
        program.settle_feeder()
        program.check()
        return Finished(time.monotonic() - started, program.peak_rss_bytes, program.tail(), program.cpu_seconds)


class _Program:
    """A running program with its feeder. Leaving the ``with`` block kills and reaps both."""

    def __init__(
        self,
        argv: list[str],
        name: str,
        limits: Limits,
        feed: Feed | None,
        on_line: Callable[[str], None] | None,
        cwd: Path | None,
        environment: Mapping[str, str] | None,
    ) -> None:
        self.peak_rss_bytes, self.cpu_seconds, self._environment = 0, 0.0, environment
        self._argv, self._name, self._limits, self._on_line = argv, name, limits, on_line
        self._stderr, self._stdout = bytearray(), bytearray()
        self._feeder: Fork | None = None
        with BIRTH:
            stdin = subprocess.DEVNULL if feed is None else self._start_feeder(feed)
            try:
                self._process = self._start(stdin, cwd)
            except BaseException:
                self._end_feeder()
                raise
            finally:
                if stdin != subprocess.DEVNULL:
                    os.close(stdin)
        self._selector = selectors.DefaultSelector()
        for stream in (self._process.stderr, self._process.stdout):
            if stream is not None:
                os.set_blocking(stream.fileno(), False)
                self._selector.register(stream, selectors.EVENT_READ)

    def _start_feeder(self, feed: Feed) -> int:
        """Fork the feeder; returns the read end of the pipe it writes."""
        reader, writer = os.pipe()
        with contextlib.suppress(OSError):  # this user's share of big pipes is used up: the default size works too
            fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

        def body() -> None:
            with os.fdopen(writer, "wb", buffering=_PIPE_BYTES) as stream:
                feed(stream)

        self._feeder = Fork(body, limits=self._limits, close=(reader,))
        os.close(writer)
        return reader

    def _start(self, stdin: int, cwd: Path | None) -> subprocess.Popen[bytes]:
        if shutil.which(self._argv[0]) is None:
            raise ProgramMissing(f"{self._name} cannot be started: no such program")
        parent, limits, argv = os.getpid(), self._limits, bound(self._argv, self._limits)
        try:
            return subprocess.Popen(
                argv or self._argv,
                stdin=stdin,
                stdout=subprocess.DEVNULL if self._on_line is None else subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                cwd=cwd,
                env=None if self._environment is None else os.environ | dict(self._environment),
                process_group=0,  # a Ctrl-C at the terminal reaches us, and we decide
                preexec_fn=None if argv else lambda: bind(parent, limits),  # noqa: PLW1509  all it touches is there before
            )
        except OSError as error:
            raise ProgramMissing(f"{self._name} cannot be started: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._signal(signal.SIGKILL)
            self._reap(0)
        self._end_feeder()
        self._selector.close()
        for stream in (self._process.stderr, self._process.stdout):
            if stream is not None:
                stream.close()

    def _end_feeder(self) -> None:
        if self._feeder is not None:
            self._feeder.__exit__()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _reap(self, flags: int) -> bool:
        """wait4 rather than Popen.wait: it tells the child's own use of memory and time."""
        if self._process.returncode is None:
            pid, status, usage = os.wait4(self._process.pid, flags)
            if pid:
                self._process.returncode = os.waitstatus_to_exitcode(status)
                self.peak_rss_bytes = usage.ru_maxrss * 1024  # Linux counts in KiB
                self.cpu_seconds = usage.ru_utime + usage.ru_stime
        return self._process.returncode is not None

    def ended(self) -> bool:
        """Take in output for at most a tick. A feeder that failed ends the program: its outcome is known."""
        over = self._reap(os.WNOHANG)
        if not self._selector.get_map():
            time.sleep(0 if over else _TICK_SECONDS / 10)
        for key, _ in self._selector.select(0 if over else _TICK_SECONDS) if self._selector.get_map() else ():
            self._take(cast(BinaryIO, key.fileobj))
        if over:
            self._drain()
        elif self._feeder is not None and self._feeder.poll():
            self._check_feeder()
        return over

    def _take(self, stream: BinaryIO) -> bool:
        """Read what is there; False at the end of the stream or when nothing is there."""
        try:
            data = os.read(stream.fileno(), 1 << 16)
        except BlockingIOError:
            return False
        if not data:
            self._selector.unregister(stream)
        elif stream is self._process.stderr:
            self._stderr = bytearray(_OVERWRITTEN.sub(b"", self._stderr + data)[-_TAIL_BYTES:])
        else:
            self._lines(data)
        return bool(data)

    def _lines(self, data: bytes) -> None:
        *lines, rest = (self._stdout + data).split(b"\n")
        self._stdout = bytearray(rest)
        for line in lines:
            if self._on_line is not None:
                self._on_line(line.decode("utf-8", "replace"))

    def _drain(self) -> None:
        for key in list(self._selector.get_map().values()):
            while self._take(cast(BinaryIO, key.fileobj)):
                pass
        if self._stdout:
            self._lines(b"\n")

    def stop(self) -> None:
        """Ask it to end, and make it end when it does not."""
        self._signal(signal.SIGTERM)
        end = time.monotonic() + _GRACE_SECONDS
        while not self._reap(os.WNOHANG) and time.monotonic() < end:
            time.sleep(_TICK_SECONDS / 10)

    def settle_feeder(self) -> None:
        """The program has gone: its feeder gets a broken pipe, or has just ended; kill one that does neither."""
        if self._feeder is not None and self._feeder.wait(_GRACE_SECONDS):
            self._check_feeder()

    def _check_feeder(self) -> None:
        if self._feeder is not None:
            with contextlib.suppress(BrokenPipeError):  # the program stopped reading; its own exit code tells why
                self._feeder.value(f"the source of {self._name}")

    def tail(self) -> str:
        """The last words, with every path of the command line taken out: a source's name may be a patient's."""
        text = self._stderr.decode("utf-8", "replace")
        for argument in sorted((a for a in self._argv[1:] if os.sep in a), key=len, reverse=True):
            text = text.replace(argument, "<file>")
        return text

    def check(self) -> None:
        """Raise what the exit code and the last words say."""
        code, tail = self._process.returncode, self.tail()
        if code == 0:
            return
        if code == -signal.SIGXFSZ:
            raise ResourceLimit(f"{self._name} met its limit on output size ({self._limits.output_bytes} bytes)")
        if self._limits.memory_bytes is not None and "Cannot allocate memory" in tail:
            raise ResourceLimit(f"{self._name} met its limit on memory ({self._limits.memory_bytes} bytes)")
        raise ProgramFailed(self._name, self._argv, code, tail)
