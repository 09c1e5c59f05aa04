"""One poller a process reads the audit table while somebody listens, and hands the same text to every stream."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from fastapi.concurrency import run_in_threadpool
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from common.logs import logger
from orchestrator.api.job_answers import JobAnswer
from orchestrator.farm import Farm
from orchestrator.job_view import views
from orchestrator.ledger.schema import Job, StateChange
from orchestrator.trail_lines import change_object

log = logger(__name__)

POLL_SECONDS = 0.5
BATCH = 1000
"""Changes read at a time; where there are more, the next look follows at once."""

PROGRESS_SECONDS = 1.0

BUFFER = 2000
"""Events that wait for a slow client; then its stream ends, and it may come again with Last-Event-ID."""

HOLE_SECONDS = 90.0
"""How long a number that was skipped may still be committed: longer than idle_in_transaction_session_timeout."""

MOST_HOLES = 1000


@dataclass(eq=False)
class Stream:
    """One client; ``job_id`` empty: of all jobs."""

    job_id: str = ""
    queue: asyncio.Queue[str] = field(default_factory=lambda: asyncio.Queue(BUFFER))
    late: bool = False  # it did not keep up

    def offer(self, text: str) -> None:
        """Hand on one event; a client that is too slow is let go."""
        try:
            self.queue.put_nowait(text)
        except asyncio.QueueFull:
            self.late = True


class Hub:
    """Knows the streams of this process. Its methods are called in the event loop."""

    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self._streams: set[Stream] = set()
        self._task: asyncio.Task[None] | None = None
        self._last = 0
        self._holes: dict[
            int, float
        ] = {}  # numbers between those that were seen → since when; PostgreSQL alone has them
        self._changed: set[str] = set()  # jobs whose progress is to be told
        self._told_at = 0.0

    async def join(self, stream: Stream) -> int:
        """From now on the stream gets what happens; returns the place behind which it does."""
        if self._task is None or self._task.done():
            self._last, self._holes = await run_in_threadpool(self._newest), {}
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._run())
        self._streams.add(stream)
        return self._place

    def leave(self, stream: Stream) -> None:
        """The client is gone; with the last one the poller ends."""
        self._streams.discard(stream)
        if not self._streams and self._task is not None:
            self._task.cancel()
            self._task = None

    @property
    def _place(self) -> int:
        """All up to here was handed on: what a client goes on from."""
        return min(self._holes) - 1 if self._holes else self._last

    async def _run(self) -> None:
        while True:
            more = False
            try:
                rows = await run_in_threadpool(self._read)
                self._hand_on(rows)
                more = len(rows) >= BATCH
                if self._changed and time.monotonic() - self._told_at >= PROGRESS_SECONDS:
                    await self._tell_progress()
            except SQLAlchemyError as error:
                log.warning("events_wait", error=type(error).__name__)
            await asyncio.sleep(0.01 if more else POLL_SECONDS)

    def _newest(self) -> int:
        with self._farm.reading() as session:
            return session.scalar(select(func.max(StateChange.id))) or 0

    def _read(self) -> Sequence[StateChange]:
        with self._farm.reading() as session:
            late = (
                session.scalars(select(StateChange).where(StateChange.id.in_(self._holes))).all() if self._holes else []
            )
            new = select(StateChange).where(StateChange.id > self._last).order_by(StateChange.id).limit(BATCH)
            return [*late, *session.scalars(new)]

    def _hand_on(self, rows: Sequence[StateChange]) -> None:
        moment = time.monotonic()
        self._holes = {number: since for number, since in self._holes.items() if moment - since < HOLE_SECONDS}
        for row in rows:
            self._holes.pop(row.id, None)
            if row.id > self._last:
                skipped = range(self._last + 1, row.id)[-MOST_HOLES:]
                self._holes.update(dict.fromkeys(skipped, moment))
                self._last = row.id
            self._changed.add(row.job_id)
            self._send(row.job_id, event("change", change_object(row) | {"job": row.job_id}, place=self._place))

    async def _tell_progress(self) -> None:
        self._told_at = time.monotonic()
        changed, self._changed = self._changed, set()
        wanted = {stream.job_id for stream in self._streams}
        chosen = changed if "" in wanted else changed & wanted
        for answer in await run_in_threadpool(self._progress, chosen):
            self._send(answer.job, event("progress", answer.model_dump(mode="json")))

    def _progress(self, job_ids: set[str]) -> list[JobAnswer]:
        with self._farm.reading() as session:
            jobs = session.scalars(select(Job).where(Job.id.in_(sorted(job_ids)[:BATCH]))).all()
            return [JobAnswer.of(view) for view in views(session, jobs)]

    def _send(self, job_id: str, text: str) -> None:
        for stream in self._streams:
            if stream.job_id in ("", job_id):
                stream.offer(text)


def event(name: str, data: dict[str, object], *, place: int | None = None) -> str:
    """One event as text (HTML Living Standard 9.2.6)."""
    head = f"event: {name}\n" if place is None else f"id: {place}\nevent: {name}\n"
    return f"{head}data: {json.dumps(data, separators=(',', ':'))}\n\n"
