"""Items in lists: of a job, of a study, of a cause. Each list goes on from a cursor and follows one index."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.stages import State
from orchestrator.ledger.schema import Item, Job

ITEMS = 50
"""Items on one page of a list."""

STUDIES = 25

_COLUMNS = (
    Item.id, Item.job_id, Item.number, Item.name, Item.state, Item.reason, Item.size_bytes, Item.made_bytes, Item.updated_at,
    Item.cause,
)  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One item in a list."""

    id: str
    job_id: str
    number: int
    name: str
    state: State
    reason: str
    size_bytes: int
    made_bytes: int
    updated_at: datetime
    cause: str | None


@dataclass(frozen=True)
class Page:
    """Some items, and the cursor of the next ones; empty: there are no more."""

    lines: tuple[Line, ...]
    after: str


@dataclass(frozen=True)
class Filter:
    """Which items of a job: by state, by cause, of one study. Empty fields ask for nothing."""

    state: State | None = None
    cause: str = ""
    study_uid: str = ""


def of_job(session: Session, job_id: str, wanted: Filter, after: str = "") -> Page:
    """A job's items in the order of finding, from the one after the cursor (a number)."""
    # a study is short: it is found by its own index (items_study_uid) and sorted, which "+ 0" brings about
    number = Item.number + 0 if wanted.study_uid and not wanted.cause else Item.number
    statement = select(*_COLUMNS).where(Item.job_id == job_id).order_by(number).limit(ITEMS + 1)
    if wanted.cause:  # index items_cause
        statement = statement.where(Item.cause == wanted.cause)
    elif wanted.study_uid:
        statement = statement.where(Item.study_uid == wanted.study_uid)
    if wanted.state is not None:  # index items_state
        statement = statement.where(Item.state == wanted.state)
    if after.isdecimal():
        statement = statement.where(number > int(after))
    lines = [Line(**dict(row._mapping)) for row in session.execute(statement)]
    return Page(tuple(lines[:ITEMS]), str(lines[ITEMS - 1].number) if len(lines) > ITEMS else "")


def of_cause(session: Session, cause: str, job_id: str = "", after: str = "", limit: int = ITEMS) -> Page:
    """What is set aside for a cause, in all jobs or in one, from the one after the cursor (job id and number)."""
    statement = select(*_COLUMNS).where(Item.cause == cause).order_by(Item.job_id, Item.number).limit(limit + 1)
    if job_id:
        statement = statement.where(Item.job_id == job_id)
    last_job, _, number = after.partition(":")
    if number.isdecimal():
        behind = (Item.job_id > last_job) | ((Item.job_id == last_job) & (Item.number > int(number)))
        statement = statement.where(behind, Item.job_id >= last_job)
    lines = [Line(**dict(row._mapping)) for row in session.execute(statement)]
    last = lines[limit - 1] if len(lines) > limit else None
    return Page(tuple(lines[:limit]), f"{last.job_id}:{last.number}" if last else "")


@dataclass(frozen=True)
class Study:
    """One study of a job: how many of its items are in which state."""

    uid: str
    counts: dict[State, int]

    @property
    def items(self) -> int:
        """All of them."""
        return sum(self.counts.values())


@dataclass(frozen=True)
class Studies:
    """Some studies, and the last one's UID as the cursor; empty: there are no more."""

    lines: tuple[Study, ...]
    after: str


def studies(session: Session, job_id: str, after: str = "") -> Studies:
    """The studies of a job that are known, by UID; ones whose sources nobody has read yet are not."""
    # each step of the index jumps to the next UID: a GROUP BY would walk through all items
    uids: list[str] = []
    last = after
    while len(uids) <= STUDIES:
        following = select(Item.study_uid).where(Item.job_id == job_id, Item.study_uid > last).order_by(Item.study_uid)
        uid = session.scalar(following.limit(1))
        if uid is None:
            break
        uids.append(uid)
        last = uid
    shown = uids[:STUDIES]
    counts: dict[str, dict[State, int]] = defaultdict(dict)
    rows = (
        select(Item.study_uid, Item.state).where(Item.job_id == job_id, Item.study_uid.in_(shown)).limit(MOST_COUNTED)
    )
    for uid, state in session.execute(rows):
        if uid is not None:
            counts[uid][state] = counts[uid].get(state, 0) + 1
    return Studies(tuple(Study(uid, counts[uid]) for uid in shown), shown[-1] if len(uids) > STUDIES else "")


MOST_COUNTED = 20_000
"""Items of one page's studies that are counted: more would be no studies but a fault of the source's UIDs."""


def job_names(session: Session, ids: set[str]) -> dict[str, str]:
    """What people call some jobs, by id."""
    rows = session.execute(select(Job.id, Job.name).where(Job.id.in_(ids)))
    return {job_id: name or f"Job {job_id[:8]}" for job_id, name in rows}
