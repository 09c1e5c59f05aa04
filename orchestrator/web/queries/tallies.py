"""Sums over items, from the tallies that triggers keep: by state, queue and cause."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from common.stages import ENDS, State
from orchestrator.ledger.schema import Tally

WAITING = (State.PLANNED, State.QUEUED, State.RUNNING)
"""States of items whose work is estimated and not done."""


@dataclass(frozen=True)
class Total:
    """Items alike in state, queue and cause. ``seconds``: of work, as planned; ``made_bytes``: of their results."""

    state: State
    queue: str
    cause: str
    items: int
    bytes: int
    seconds: float
    made_bytes: int


@dataclass(frozen=True)
class Totals:
    """The sums of one job, or of all."""

    rows: tuple[Total, ...]

    @property
    def counts(self) -> dict[State, int]:
        """Items by state, in the order of a video's way."""
        counted: Counter[State] = Counter()
        for row in self.rows:
            counted[row.state] += row.items
        return {state: counted[state] for state in State if counted[state]}

    @property
    def items(self) -> int:
        """All of them."""
        return sum(row.items for row in self.rows)

    @property
    def ended(self) -> int:
        """Items of which nothing more will happen by itself."""
        return sum(row.items for row in self.rows if row.state in ENDS)

    @property
    def bytes(self) -> int:
        """Of all sources."""
        return sum(row.bytes for row in self.rows)

    @property
    def bytes_ended(self) -> int:
        """Of the sources of items that have ended."""
        return sum(row.bytes for row in self.rows if row.state in ENDS)

    @property
    def before(self) -> int:
        """Source bytes of what is done."""
        return sum(row.bytes for row in self.rows if row.state is State.DONE)

    @property
    def after(self) -> int:
        """Result bytes of what is done."""
        return sum(row.made_bytes for row in self.rows if row.state is State.DONE)

    @property
    def causes(self) -> list[Total]:
        """What is set aside, by state and cause, the most frequent first."""
        merged: dict[tuple[State, str], int] = {}
        for row in self.rows:
            if row.cause and row.state in (State.FAILED, State.QUARANTINED):
                merged[row.state, row.cause] = merged.get((row.state, row.cause), 0) + row.items
        found = [Total(state, "", cause, items, 0, 0.0, 0) for (state, cause), items in merged.items()]
        return sorted(found, key=lambda row: (-row.items, row.cause))

    def queued_seconds(self) -> dict[str, float]:
        """Estimated work that is planned and not done, by queue, s."""
        seconds: Counter[str] = Counter()
        for row in self.rows:
            if row.state in WAITING:
                seconds[row.queue] += row.seconds  # type: ignore[assignment]
        return dict(seconds)

    def queued_items(self) -> dict[str, int]:
        """Items that wait or are at work, by queue."""
        items: Counter[str] = Counter()
        for row in self.rows:
            if row.state in WAITING or row.state is State.FOUND:
                items[row.queue] += row.items
        return dict(items)

    def unplanned_bytes(self) -> int:
        """Source bytes of items of which no plan is made yet."""
        return sum(row.bytes for row in self.rows if row.state in (State.FOUND, State.DESCRIBED))

    def seconds_a_byte(self) -> float:
        """Of what is planned or done: estimated seconds of work for a byte of source; 0 while nothing is."""
        known = [row for row in self.rows if row.seconds > 0]
        total = sum(row.bytes for row in known)
        return sum(row.seconds for row in known) / total if total else 0.0


SUMS = tuple(
    func.sum(column).label(column.key) for column in (Tally.items, Tally.bytes, Tally.seconds, Tally.made_bytes)
)
KEYS = (Tally.state, Tally.queue, Tally.cause)


def totals(session: Session, job_id: str = "") -> Totals:
    """The sums of a job; without an id, of all jobs."""
    statement = select(*KEYS, *SUMS).group_by(*KEYS)
    if job_id:
        statement = statement.where(Tally.job_id == job_id)
    found = (total_of(dict(row._mapping)) for row in session.execute(statement))
    return Totals(tuple(total for total in found if total is not None))


def total_of(row: dict[str, Any]) -> Total | None:
    """A row of sums; None where all have gone: sums of seconds may keep a rounding error of them."""
    if not row["items"]:
        return None
    whole = {name: int(row[name]) for name in ("items", "bytes", "made_bytes")}
    return Total(row["state"], row["queue"], row["cause"], seconds=max(0.0, float(row["seconds"])), **whole)
