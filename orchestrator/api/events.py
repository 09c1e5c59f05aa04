"""State changes as Server-Sent Events, from the audit trail.

An event's id is a place in the trail, and ``Last-Event-ID`` goes on behind it: after a reconnect some events may come twice,
none is left out. On PostgreSQL transactions commit in another order than they took their numbers; a place moves on when all
before it were handed on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from sqlalchemy import select

from orchestrator.api.dependencies import FarmOf
from orchestrator.api.event_hub import BATCH, Hub, Stream, event
from orchestrator.control import find_job
from orchestrator.farm import Farm
from orchestrator.ledger.schema import StateChange
from orchestrator.trail_lines import change_object

router = APIRouter(prefix="/api/v1", tags=["events"])

HEARTBEAT_SECONDS = 15.0
"""A comment: proxies keep the connection, and a client that is gone is noticed."""

MOST_REPLAYED = 20_000
"""Events behind Last-Event-ID; a client that missed more is told to look anew (event: reset)."""

EVENT_STREAM = "text/event-stream"


@router.get(
    "/events",
    operation_id="followEvents",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "`change`: a change of state (docs/json.md, audit) with its `job`; `progress`: a job as in its list, at "
            "most once a second; `reset`: too much was missed, look anew",
            "content": {EVENT_STREAM: {}},
        }
    },
)
async def events(
    request: Request,
    farm: FarmOf,
    job: Annotated[str, Query(max_length=200, description="only of this job; empty: of all")] = "",
    last_event_id: Annotated[
        str, Header(max_length=20, pattern="^[0-9]*$", description="go on behind this event")
    ] = "",
) -> StreamingResponse:
    """Follow what happens, for as long as the connection lasts."""
    job_id = await run_in_threadpool(_id, farm, job) if job else ""
    hub: Hub = request.app.state.hub
    lines = _lines(farm, hub, Stream(job_id), int(last_event_id) if last_event_id else None)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(lines, media_type=EVENT_STREAM, headers=headers)


def _id(farm: Farm, name: str) -> str:
    with farm.reading() as session:
        return find_job(session, name).id


async def _lines(farm: Farm, hub: Hub, stream: Stream, after: int | None) -> AsyncIterator[str]:
    place = await hub.join(stream)
    try:
        yield ": following\n\n"
        if after is not None:
            async for text in _missed(farm, stream.job_id, after, place):
                yield text
        while not stream.late:
            try:
                yield await asyncio.wait_for(stream.queue.get(), HEARTBEAT_SECONDS)
            except TimeoutError:
                yield ": alive\n\n"
    finally:
        hub.leave(stream)


async def _missed(farm: Farm, job_id: str, after: int, until: int) -> AsyncIterator[str]:
    """What happened behind ``after``, page by page."""
    if until - after > MOST_REPLAYED:
        yield event("reset", {}, place=until)
        return
    while rows := await run_in_threadpool(_page, farm, after, until):
        for row in rows:
            if job_id in ("", row.job_id):
                yield event("change", change_object(row) | {"job": row.job_id}, place=row.id)
        after = rows[-1].id


def _page(farm: Farm, after: int, until: int) -> list[StateChange]:
    wanted = select(StateChange).where(StateChange.id > after, StateChange.id <= until).order_by(StateChange.id)
    with farm.reading() as session:
        return list(session.scalars(wanted.limit(BATCH)))
