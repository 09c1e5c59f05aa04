"""How an item goes from state to state: one door, by the table of legal transitions."""

from __future__ import annotations

from datetime import timedelta

from common.orders import Failure
from common.stages import State, check_transition
from orchestrator.ledger.schema import Item, now


def move(item: Item, state: State, reason: str | None = None) -> None:
    """Go on to ``state``; what follows may begin at once.

    Raises:
        InternalFault: the table does not know this step.
    """
    item.state = check_transition(item.state, state)
    item.not_before = now()
    if reason is not None:
        item.reason = reason


def fail(item: Item, failure: Failure) -> None:
    """Set an item aside with what went wrong."""
    item.failure = failure.model_dump(mode="json")
    move(item, State.FAILED, failure.message)


def retry_later(item: Item, wait_seconds: float) -> None:
    """Put an item back to where its next attempt begins."""
    if item.state in (State.QUEUED, State.RUNNING):
        item.state = check_transition(item.state, State.PLANNED)
    item.not_before = now() + timedelta(seconds=wait_seconds)
