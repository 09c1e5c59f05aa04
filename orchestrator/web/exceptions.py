"""The worklist of exceptions: what is set aside, by cause; one cause with its items and their worst frames."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import Response

from common.orders import TranscodeDone
from orchestrator import deciding
from orchestrator.api.dependencies import FarmOf
from orchestrator.ledger.schema import Item
from orchestrator.web.jobs import profile_names
from orchestrator.web.pictures import Frame, worst_frames
from orchestrator.web.queries import items, tallies
from orchestrator.web.queries.item import evidence_of
from orchestrator.web.render import page

router = APIRouter(prefix="/exceptions")

SHOWN = 10
"""Items of a cause on one page: each reads its evidence."""

FRAMES = 2
"""Worst frames of each item that are shown here; its own page has all."""


@dataclass(frozen=True)
class Case:
    """One item that waits for a decision."""

    line: items.Line
    misses: tuple[str, ...]
    frames: tuple[Frame, ...]
    why_not: str  # why it cannot be accepted; empty: it can


@router.get("")
def index(request: Request, farm: FarmOf, job: str = "") -> Response:
    """All causes, the most frequent first; ``job``: of one job only."""
    with farm.reading() as session:
        causes = tallies.totals(session, job).causes
        name = items.job_names(session, {job}).get(job, "") if job else ""
    return page(request, "exceptions.html.j2", causes=causes, job=job if name else "", job_name=name)


@router.get("/{cause}")
def cause(request: Request, farm: FarmOf, cause: str, job: str = "", after: str = "") -> Response:
    """The items of one cause, and the forms that decide about them."""
    with farm.reading() as session:
        found = items.of_cause(session, cause, job, after, SHOWN)
        names = items.job_names(session, {line.job_id for line in found.lines} | ({job} if job else set()))
        rows = {line.id: session.get_one(Item, line.id) for line in found.lines}
        total = sum(row.items for row in tallies.totals(session, job).causes if row.cause == cause)
    cases = [_case(farm, line, rows[line.id]) for line in found.lines]
    return page(
        request,
        "cause.html.j2",
        cause=cause,
        job=job,
        job_names=names,
        cases=cases,
        after=found.after,
        total=total,
        profiles=profile_names(),
    )


def _case(farm: FarmOf, line: items.Line, item: Item) -> Case:
    made = TranscodeDone.model_validate(item.result) if item.result else None
    frames = worst_frames(item.id, evidence_of(farm.store, made))[:FRAMES] if made else ()
    return Case(line, made.verdict.misses if made else (), frames, deciding.not_acceptable(item))
