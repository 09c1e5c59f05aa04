"""A Python function in a forked child: bound to its parent's life, under limits, its outcome sent back over a pipe."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import faulthandler
import os
import pickle
import resource
import shutil
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from common.errors import CinefarmError, InternalFault, ResourceLimit, UnreadableSource

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PRCTL = getattr(ctypes.CDLL(None), "prctl", None)  # looked up before any fork; absent outside Linux
_ORPHANED = 71  # EX_OSERR: the parent was gone before the child could be bound to it
_TRACE_BYTES = 4096  # fits a pipe's buffer, so the sender never waits for a reader

# A pipe end that leaks into a sibling's fork keeps its reader waiting for an end of file: one birth at a time.
BIRTH = threading.RLock()


@dataclass(frozen=True)
class Limits:
    """What a child may use. ``None``: no limit."""

    seconds: float | None = None  # wall clock
    memory_bytes: int | None = None  # address space (RLIMIT_AS)
    output_bytes: int | None = None  # size of any one file it writes (RLIMIT_FSIZE)
    data_bytes: int | None = (
        None  # private writable memory (RLIMIT_DATA): for GPU drivers, which reserve terabytes of addresses
    )


class Fault(InternalFault):
    """An unexpected exception in a child; ``stderr_tail`` holds the end of its traceback."""

    def __init__(self, message: str, *, hint: str = "", stderr_tail: str = "") -> None:
        super().__init__(message, hint=hint)
        self.stderr_tail = stderr_tail

    @property
    def code(self) -> str:
        """Reported as what it is: an InternalFault."""
        return "InternalFault"


def bind(parent: int, limits: Limits) -> None:
    """Tie this process to its parent's life and set its limits; called in the child, before it does anything else.

    prctl(2): the signal comes when the *thread* that forked ends, so that thread must wait for the child. A parent that
    died between fork and prctl sends none, hence the look at getppid.
    """
    if _PRCTL is not None and _PRCTL(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        os._exit(_ORPHANED)
    if os.getppid() != parent:
        os._exit(_ORPHANED)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for _, kind, ceiling in _ceilings(limits):
        resource.setrlimit(kind, (ceiling, ceiling))


def bound(argv: list[str], limits: Limits) -> list[str] | None:
    """``argv`` behind util-linux' prlimit(1) and setpriv(1), which do what ``bind`` does; None where they are missing.

    A process that needs no code of ours before its program starts without a copy of our memory's map: at 70 MB that is 5 ms of
    processor time saved a start. If we die before setpriv has spoken, the program ends at the first word that it tells us.
    """
    prlimit, setpriv = shutil.which("prlimit"), shutil.which("setpriv")
    if prlimit is None or setpriv is None:
        return None
    ceilings = [f"--{name}={ceiling}" for name, _, ceiling in _ceilings(limits)]
    return [prlimit, "--core=0", *ceilings, "--", setpriv, "--pdeathsig", "KILL", "--", *argv]


def _ceilings(limits: Limits) -> Iterator[tuple[str, int, int]]:
    """prlimit's word, the resource and its ceiling in bytes, soft and hard."""
    for name, kind, limit in (
        ("as", resource.RLIMIT_AS, limits.memory_bytes),
        ("data", resource.RLIMIT_DATA, limits.data_bytes),
        ("fsize", resource.RLIMIT_FSIZE, limits.output_bytes),
    ):
        hard = resource.getrlimit(kind)[1]
        if limit is not None:
            yield name, kind, limit if hard == resource.RLIM_INFINITY else min(limit, hard)


def _fault(error: Exception) -> tuple[str, str]:
    """Type and place of an exception. Its message stays behind: it may quote the source."""
    return type(error).__name__, "".join(traceback.format_tb(error.__traceback__))[-_TRACE_BYTES:]


def _outcome(function: Callable[..., Any], args: tuple[Any, ...]) -> tuple[str, Any]:
    """Call and classify: what the parent needs to raise the right error."""
    try:
        return "value", function(*args)
    except CinefarmError as error:
        return "error", error
    except MemoryError:
        return "limit", "memory"
    except BrokenPipeError:
        return "pipe", None
    except OSError as error:
        if error.errno == errno.EFBIG:
            return "limit", "output size"
        return "fault", _fault(error)
    except Exception as error:  # whatever it was, the parent reports it
        return "fault", _fault(error)


def _live(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    parent: int,
    limits: Limits,
    sender: int,
    close: tuple[int, ...],
) -> NoReturn:
    """The whole life of a forked child: never returns, never runs its parent's exit handlers."""
    code = 1
    try:
        os.setpgid(0, 0)
        bind(parent, limits)
        for fd in close:
            os.close(fd)
        faulthandler.disable()  # a crash here is an outcome, not news for the worker's stderr
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        silence = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):  # decoders print what they like, patient names too
            os.dup2(silence, stream)
        kind, value = _outcome(function, args)
        try:
            record = pickle.dumps((kind, value))
        except Exception as error:  # an outcome that cannot travel
            record = pickle.dumps(("fault", _fault(error)))
        view = memoryview(record)
        while view:
            view = view[os.write(sender, view) :]
        code = 0
    finally:
        os._exit(code)


class Fork:
    """A running forked child. Use as a context manager: on the way out it is killed and reaped, whatever happened."""

    def __init__(self, function: Callable[..., Any], *args: Any, limits: Limits, close: tuple[int, ...] = ()) -> None:
        """Start ``function(*args)``; ``close``: descriptors of this process that the child must not keep."""
        self.exit_status: int | None = None
        self._record = bytearray()
        with BIRTH, warnings.catch_warnings():
            # Python 3.12 warns of forks beside threads; the child only decodes and leaves by _exit
            warnings.simplefilter("ignore", DeprecationWarning)
            self._fd, sender = os.pipe()
            parent = os.getpid()
            self.pid = os.fork()
            if self.pid == 0:
                _live(function, args, parent, limits, sender, (self._fd, *close))
            os.close(sender)
        os.set_blocking(self._fd, False)

    def __enter__(self) -> Fork:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        os.close(self._fd)

    def fileno(self) -> int:
        """Readable when the child has sent something or is gone."""
        return self._fd

    def poll(self) -> bool:
        """Take in what was sent; True when the child has ended."""
        if self.exit_status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.exit_status = os.waitstatus_to_exitcode(status) if pid else None
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._fd, 1 << 20):
                self._record += data
        return self.exit_status is not None

    def wait(self, seconds: float | None) -> bool:
        """Wait until it has ended; False when ``seconds`` passed first."""
        import select

        end = None if seconds is None else time.monotonic() + seconds
        while not self.poll():
            if end is not None and time.monotonic() > end:
                return False
            select.select([self._fd], [], [], 0.05)
            time.sleep(0.001)  # a closed pipe is readable at once: do not spin until the child is reaped
        return True

    def kill(self) -> None:
        """End it and all it started, and reap it."""
        if self.exit_status is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self.exit_status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def value(self, what: str) -> Any:
        """What the function returned.

        Raises:
            CinefarmError: the one it raised.
            ResourceLimit: it met its limit on memory or output size, or somebody killed it.
            UnreadableSource: a signal of its own making or an exit of the decoder ended it.
            BrokenPipeError: the reader of what it wrote went away.
            Fault: any other exception.
        """
        if (
            self.exit_status == -signal.SIGKILL
        ):  # no program sends it to itself: the kernel short of memory, or an operator
            raise ResourceLimit(f"{what} was killed")
        if self.exit_status != 0 or not self._record:
            raise UnreadableSource(f"the decoder crashed on this source ({what}, exit status {self.exit_status})")
        kind, value = pickle.loads(self._record)  # noqa: S301  our own child wrote it
        if kind == "value":
            return value
        if kind == "error":
            raise value
        if kind == "limit":
            raise ResourceLimit(f"{what} met its limit on {value}")
        if kind == "pipe":
            raise BrokenPipeError(what)
        raise Fault(f"{what} failed with {value[0]}", stderr_tail=value[1])
