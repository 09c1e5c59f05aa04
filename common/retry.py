"""Pure: a failure and what went before in, the next attempt's wait or nothing out.

Most failures use up one of the tries of their class. A peer that is away (an archive that is down for the night, a store that
is restarted) is no fault of the item: within the job's patience such failures are waited out and use up no try.
"""

from __future__ import annotations

from dataclasses import dataclass

from common.orders import Failure

JITTER = 0.2
"""The part of a wait that is drawn: what failed together must not come back together."""


@dataclass(frozen=True)
class Backoff:
    """How one class of errors is tried again. The waits double: ``first_seconds``, twice it … at most ``longest_seconds``."""

    first_seconds: float = 2.0
    longest_seconds: float = 300.0
    tries: int | None = None  # attempts in all; None: the farm's max_attempts
    patience_seconds: float = 0.0  # waited out at most this long, and within the job's patience; 0: not at all


ORDINARY = Backoff()

BACKOFFS: dict[str, Backoff] = {
    # an archive may be away for a night or a weekend: only the job's own patience ends the wait
    "DestinationUnavailable": Backoff(longest_seconds=900.0, patience_seconds=float("inf")),
    "NotAnswered": Backoff(longest_seconds=900.0, patience_seconds=float("inf")),
    # a store comes back within a night; an object that is still unreadable after twelve hours is rotten
    "StoreFault": Backoff(first_seconds=5.0, longest_seconds=900.0, patience_seconds=12 * 3600.0),
    # a program that failed three times on one source will fail for ever
    "ProgramFailed": Backoff(longest_seconds=60.0, tries=3),
    # a busy node may have been the reason once; the limits are wide, and each try costs all of them
    "ResourceLimit": Backoff(first_seconds=10.0, longest_seconds=60.0, tries=2),
}


@dataclass(frozen=True)
class Again:
    """Try again after ``wait_seconds``. ``counted``: the failed attempt used up a try."""

    wait_seconds: float
    counted: bool = True


def next_try(
    failure: Failure,
    attempt: int,
    max_attempts: int,
    *,
    waited_seconds: float = 0.0,
    patience_seconds: float = 0.0,
    draw: float = 0.0,
) -> Again | None:
    """When to try again, or None to give up.

    ``attempt`` counts from 1. ``waited_seconds``: since the peer was first found away; ``patience_seconds``: the job's. ``draw``
    in [0, 1) shortens the wait by up to JITTER of it. Each patient wait is as long as all before it together, so they double.
    """
    if not failure.retryable:
        return None
    backoff = BACKOFFS.get(failure.code, ORDINARY)
    patience = min(patience_seconds, backoff.patience_seconds)
    if patience > 0:
        if waited_seconds >= patience:
            return None
        wait, counted = max(waited_seconds, backoff.first_seconds), False
    else:
        if attempt >= min(max_attempts, backoff.tries or max_attempts):
            return None
        # the exponent is bounded: a float overflows where the longest wait is long since reached
        wait, counted = backoff.first_seconds * 2 ** min(attempt - 1, 30), True
    return Again(min(wait, backoff.longest_seconds) * (1 - JITTER * draw), counted)
