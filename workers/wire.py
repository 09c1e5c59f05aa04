"""What pool processes tell their worker's main process, over a pipe: orders taken and ended, probe orders taken.

Celery's own signals of success and failure stay in the pool process. A pipe needs no lock that a killed process could
keep, a write shorter than PIPE_BUF is never torn (pipe(7)), and a reader that is stuck costs a writer nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import time
from dataclasses import dataclass
from enum import StrEnum

from common.errors import Actor
from common.orders import WorkResult

SHARED = frozenset(
    {"DestinationUnavailable", "NotAnswered", "DestinationRefused", "RetrievalFailed", "ResourceLimit", "LeaseLost"}
)
"""Errors of the environment that say nothing about this node: every node would meet them with the same order."""

GATHER_SECONDS = 0.02
"""Short orders come in bursts: one waking of the main process for many, since it takes Celery's turn from it."""

_PIPE_BYTES = 1 << 20  # a second of a thousand orders a second, while the listener waits for the broker


class What(StrEnum):
    """What happened in a pool process."""

    TAKEN = "taken"
    ENDED = "ended"
    PROBED = "probed"  # a probe order went the whole way from the broker to a pool process


class Outcome(StrEnum):
    """What the end of an order says about this node."""

    GOOD = "good"
    BAD = "bad"  # the node failed an order that others may be able to do
    NEUTRAL = "neutral"  # input, policy, a peer; or the order was dropped, taken away, handed back


@dataclass(frozen=True)
class Event:
    """One thing that a pool process did."""

    what: What
    pid: int
    order: str = ""
    item: str = ""
    outcome: Outcome = Outcome.NEUTRAL


def outcome_of(result: WorkResult | None) -> Outcome:
    """Judge the node by who must act on the failure: the node's own are those of the environment and of us."""
    if result is None:
        return Outcome.NEUTRAL
    failure = result.failure
    if failure is None:
        return Outcome.GOOD
    ours = failure.actor in (Actor.ENVIRONMENT, Actor.US) and failure.code not in SHARED
    return Outcome.BAD if ours else Outcome.NEUTRAL


class Wire:
    """The pipe. Made before the pool forks; pool processes ``say``, the main process ``hear``s."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        for end in (self._reader, self._writer):
            os.set_blocking(end, False)
        with contextlib.suppress(OSError):  # this user's share of big pipes is used up: the default size works too
            fcntl.fcntl(self._writer, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._rest = b""

    def say(self, event: Event) -> None:
        """Write an event; one that does not fit is dropped, work never waits for the listener."""
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(self._writer, json.dumps(vars(event)).encode() + b"\n")

    def hear(self, seconds: float) -> list[Event]:
        """All events that are there; waits at most ``seconds`` for the first, and a moment for those close behind it."""
        if select.select([self._reader], [], [], seconds)[0]:
            time.sleep(GATHER_SECONDS)
        data = self._rest
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self._reader, 1 << 16):
                data += chunk
        *lines, self._rest = data.split(b"\n")
        return [_event(line) for line in lines]


def _event(line: bytes) -> Event:
    said = json.loads(line)
    return Event(**said | {"what": What(said["what"]), "outcome": Outcome(said["outcome"])})
