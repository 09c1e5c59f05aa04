"""Whose jobs a caller sees: every query of a session leaves out what belongs to other sites, whoever wrote the query.

``seen_by`` names the sites for what runs in this context (a request and the threads that answer it). Where nothing is named, as in the
loop and its workers' answers, all jobs are there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sqlalchemy import event, select
from sqlalchemy.orm import ORMExecuteState, Session, with_loader_criteria

from orchestrator.ledger.schema import (
    Attempt,
    Decision,
    Delivery,
    Errand,
    Item,
    Job,
    StateChange,
    StoredInstance,
    Tally,
)

_SITES: ContextVar[tuple[frozenset[str], str] | None] = ContextVar("sites", default=None)


@contextmanager
def seen_by(sites: frozenset[str] | None, name: str) -> Iterator[None]:
    """What runs in this block sees jobs of ``sites`` alone (None: all), and of plans those that ``name`` asked for."""
    token = _SITES.set(None if sites is None else (sites, name))
    try:
        yield
    finally:
        _SITES.reset(token)


def bound_sites() -> frozenset[str] | None:
    """The sites that are seen here; None: all."""
    known = _SITES.get()
    return None if known is None else known[0]


@event.listens_for(Session, "do_orm_execute")
def _leave_out(state: ORMExecuteState) -> None:
    known = _SITES.get()
    if known is None or not state.is_select:
        return
    state.statement = state.statement.options(*_criteria(*known))


def _criteria(sites: frozenset[str], name: str) -> tuple[Any, ...]:
    # Core columns in the inner queries: they are not filtered once more
    jobs, items = Job.__table__, Item.__table__
    own = select(jobs.c.id).where(jobs.c.site.in_(sorted(sites)))
    own_items = select(items.c.id).where(items.c.job_id.in_(own))
    of_job = tuple(
        with_loader_criteria(kind, kind.job_id.in_(own)) for kind in (Item, Delivery, Tally, StateChange, Decision)
    )
    return (
        with_loader_criteria(Job, Job.site.in_(sorted(sites))),
        *of_job,
        with_loader_criteria(Attempt, Attempt.item_id.in_(own_items)),
        with_loader_criteria(StoredInstance, StoredInstance.item_id.in_(own_items)),
        with_loader_criteria(Errand, Errand.by == name),
    )
