"""The states of an item in the order of a video's way, and the one table of legal transitions.

found → described → planned → queued → running → produced → delivered → committed → done; aside: skipped, quarantined,
failed, cancelled. A pair that the table does not know is refused.
"""

from __future__ import annotations

from enum import StrEnum

from common.errors import InternalFault


class State(StrEnum):
    """Where an item stands."""

    FOUND = "found"  # listed at the source
    DESCRIBED = "described"  # a worker has read what it is
    PLANNED = "planned"  # the cheapest legal path is chosen
    QUEUED = "queued"  # a work order is in the window
    RUNNING = "running"  # a worker holds the lease
    PRODUCED = "produced"  # the instance is in the object store, gated and checked
    DELIVERED = "delivered"  # every destination has it
    COMMITTED = "committed"  # every destination has proven that it has it
    DONE = "done"
    SKIPPED = "skipped"  # nothing to do: not video, or the same bytes as another item
    QUARANTINED = "quarantined"  # gate or conformance not met; evidence kept
    FAILED = "failed"  # with a reason a person can act on
    CANCELLED = "cancelled"

    @property
    def is_end(self) -> bool:
        """True when nothing more will happen by itself."""
        return self in ENDS


ENDS = frozenset({State.DONE, State.SKIPPED, State.QUARANTINED, State.FAILED, State.CANCELLED})

_ASIDE = {State.FAILED, State.CANCELLED}

TRANSITIONS: dict[State, frozenset[State]] = {
    State.FOUND: frozenset({State.DESCRIBED, State.SKIPPED} | _ASIDE),
    State.DESCRIBED: frozenset({State.PLANNED, State.SKIPPED} | _ASIDE),
    State.PLANNED: frozenset({State.QUEUED, State.SKIPPED} | _ASIDE),
    # running and queued go back to planned when an attempt is lost or the next rung of the ladder is tried
    State.QUEUED: frozenset({State.RUNNING, State.PLANNED, State.PRODUCED, State.QUARANTINED} | _ASIDE),
    State.RUNNING: frozenset({State.PLANNED, State.PRODUCED, State.QUARANTINED} | _ASIDE),
    # produced goes back to planned when the stored result was lost before it was delivered
    State.PRODUCED: frozenset({State.DELIVERED, State.PLANNED} | _ASIDE),
    State.DELIVERED: frozenset({State.COMMITTED, State.PRODUCED} | _ASIDE),
    State.COMMITTED: frozenset({State.DONE} | _ASIDE),
    # a done item whose delivered object has gone is made again, one whose source has changed is read again
    State.DONE: frozenset({State.PLANNED, State.FOUND}),
    State.SKIPPED: frozenset({State.FOUND}),
    # a person accepts what missed its gate, so that it is packaged after all; or gives an item up
    State.QUARANTINED: frozenset({State.FOUND, State.PLANNED, State.CANCELLED}),
    State.FAILED: frozenset({State.FOUND, State.CANCELLED}),
    State.CANCELLED: frozenset({State.FOUND}),
}


def check_transition(before: State, after: State) -> State:
    """Return ``after`` when the table allows it.

    Raises:
        InternalFault: the pair is not in the table.
    """
    if after not in TRANSITIONS[before]:
        raise InternalFault(f"an item cannot go from {before} to {after}")
    return after
