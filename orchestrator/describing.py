"""Have sources described for a plan by children of the workers' code, some at a time, in the order of finding."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

from common.dicom.identifiers import Identifiers
from common.errors import CinefarmError, ResourceLimit, UnreadableSource
from common.header_patterns import HeaderPatterns
from common.media import Description
from common.orders import Failure
from common.settings import Settings
from orchestrator.ingest.bucket import local_copy
from orchestrator.ingest.found import Found


@dataclass(frozen=True)
class Listed:
    """What an archive says of a source that lies there: nobody reads it before it is fetched."""

    note: str


Outcome = Description | Failure | Listed

AHEAD = 16
"""Sources a child that may wait for the one in front of them: a long one must not leave the others idle."""

RENEW = 5_000
"""Sources after which a child is replaced: decoders leak, and a leak must not grow with the tree."""

SLOWEST_READ = 20_000_000
"""Bytes/s of a slow network disk, for the time limit where all bytes are read (as in workers.describe)."""


class Describer:
    """One child. A source that crashes or stalls it costs itself alone: the next one gets a new child."""

    def __init__(
        self,
        settings: Settings,
        *,
        quick: bool,
        rules: Identifiers | None = None,
        patterns: Sequence[HeaderPatterns | None] = (),
    ) -> None:
        self._settings, self._quick, self._rules, self._patterns = settings, quick, rules, patterns
        self._child: subprocess.Popen[bytes] | None = None
        self._asked = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def ask(self, found: Found) -> Outcome:
        """What a source is, or why it cannot be told."""
        if found.problem is not None:
            return Failure.of(found.problem)
        if found.retrieval is not None:
            return Listed(found.note)
        seconds = self._settings.describe_seconds + (0 if self._quick else found.size_bytes / SLOWEST_READ)
        try:
            with local_copy(found, self._settings) as path:
                answer = json.loads(self._answer(path, found.path.suffix.lower(), seconds))
        except CinefarmError as error:
            return Failure.of(error)
        except TimeoutError:
            self._end()
            return Failure.of(ResourceLimit(f"describing the source took longer than {seconds:.0f} s"))
        except (OSError, EOFError):
            self._end()
            return Failure.of(UnreadableSource("the decoder crashed on this source"))
        if "failure" in answer:
            return Failure.model_validate(answer["failure"])
        return Description.model_validate(answer["description"])

    def _answer(self, path: Path, hint: str, seconds: float) -> bytes:
        child = self._running()
        if child.stdin is None or child.stdout is None:
            raise EOFError
        child.stdin.write(json.dumps({"path": str(path), "hint": hint}).encode() + b"\n")
        child.stdin.flush()
        return line_from(child.stdout.fileno(), time.monotonic() + seconds)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._asked >= RENEW:
            self._end()
        if self._child is None:
            flags = ["--quick"] if self._quick else []
            argv = [sys.executable, "-m", "workers", "describe-each", "--parent", str(os.getpid()), *flags]
            pipe = subprocess.PIPE
            self._child = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
            if self._rules is not None and self._child.stdin is not None:
                self._child.stdin.write(b'{"identifiers":' + self._rules.json_bytes + b"}\n")
            if self._patterns and self._child.stdin is not None:
                asked = [each and each.model_dump() for each in self._patterns]
                self._child.stdin.write(json.dumps({"header_patterns": asked}).encode() + b"\n")
        self._asked += 1
        return self._child

    def _end(self) -> None:
        child, self._child, self._asked = self._child, None, 0
        if child is not None:
            child.kill()
            child.communicate()


def line_from(fd: int, until: float) -> bytes:
    """One answer. Raises: TimeoutError, EOFError."""
    got = bytearray()
    while not got.endswith(b"\n"):
        if not select.select([fd], [], [], max(0.0, until - time.monotonic()))[0]:
            raise TimeoutError
        data = os.read(fd, 1 << 16)
        if not data:
            raise EOFError
        got += data
    return bytes(got)


def describe_all(
    sources: Iterable[Found],
    settings: Settings,
    *,
    quick: bool,
    at_a_time: int,
    rules: Identifiers | None = None,
    patterns: Sequence[HeaderPatterns | None] = (),
) -> Generator[tuple[Found, Outcome]]:
    """Each source with what it is, in the order of finding; only a few a child are held, however many there are."""
    mine, children = threading.local(), list[Describer]()

    def begin() -> None:
        mine.child = Describer(settings, quick=quick, rules=rules, patterns=patterns)
        children.append(mine.child)

    def ask(found: Found) -> Outcome:
        outcome: Outcome = mine.child.ask(found)
        return outcome

    pool = ThreadPoolExecutor(at_a_time, thread_name_prefix="describe", initializer=begin)
    waiting: deque[tuple[Found, Future[Outcome]]] = deque()
    stream = iter(sources)
    try:
        while True:
            room = at_a_time * AHEAD - len(waiting)
            waiting.extend((found, pool.submit(ask, found)) for found in islice(stream, room))
            if not waiting:
                return
            found, outcome = waiting.popleft()
            yield found, outcome.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in children:
            child.__exit__(None, None, None)
        pool.shutdown()
