"""The audit trail as lines of ``cinefarm audit --json`` (docs/json.md)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orchestrator.ledger.audit import gaps, trail
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import StateChange


def change_object(change: StateChange) -> dict[str, Any]:
    """One change of an item's or a delivery's state."""
    return {
        "type": "change",
        "at": change.at.isoformat(),
        "item": change.item_id,
        "delivery": change.delivery_id,
        "before": change.before,
        "after": change.after,
        "order": change.order_id or None,
    }


def trail_lines(ledger: Sessions, job_id: str) -> Iterator[dict[str, Any]]:
    """Every change of a job, item by item; then one object for each item whose trail is not complete."""
    for change in trail(ledger, job_id):
        yield change_object(change)
    for item_id in gaps(ledger, job_id):
        yield {"type": "gap", "item": item_id}
