"""Events over HTTP: what changes is told at once, a client that comes again misses nothing, and a slow one is let go."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from support.web_server import Served

from common.recipes import ARCHIVE
from common.stages import State
from orchestrator.api.event_hub import BUFFER, Stream
from orchestrator.jobs import JobRequest, submit
from orchestrator.ledger.schema import Item


def a_job(served: Served, source: str = "/archive") -> str:
    job = submit(served.farm.ledger, JobRequest((source,), ("/results",), ARCHIVE))
    with served.farm.ledger.begin() as session:
        values = {"name": "a", "size_bytes": 1, "mtime_ns": 0, "number": 1, "source": f"{source}/a"}
        session.add(Item(id=job[:8], job_id=job, state=State.FOUND, **values))
    return job


def move(served: Served, job: str, state: State) -> None:
    with served.farm.ledger.begin() as session:
        session.get_one(Item, job[:8]).state = state


@contextmanager
def following(served: Served, query: str = "", last: str = "") -> Iterator[Iterator[dict[str, Any]]]:
    """The events of a stream that is open, each with its name and id."""
    headers = {"Last-Event-ID": last} if last else {}
    with served.client.stream("GET", f"/api/v1/events{query}", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert next(lines) == ": following"
        yield parsed(lines)


def parsed(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    found: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line:
            found[name] = value
        elif "event" in found:
            yield {"event": found["event"], "id": found.get("id"), **json.loads(found["data"])}
            found = {}


def test_a_change_of_state_is_told_with_its_job_then_the_progress_of_the_job(served: Served) -> None:
    job = a_job(served)
    with following(served) as events:
        move(served, job, State.CANCELLED)
        change, progress = next(events), next(events)
    assert (change["event"], change["job"], change["before"], change["after"]) == ("change", job, "found", "cancelled")
    assert (progress["event"], progress["job"], progress["counts"]) == ("progress", job, {"cancelled": 1})


def test_a_client_that_comes_again_is_told_what_it_missed(served: Served) -> None:
    job = a_job(served)
    with following(served) as events:
        move(served, job, State.CANCELLED)
        last = next(events)["id"]
    move(served, job, State.FOUND)
    move(served, job, State.FAILED)
    with following(served, last=str(last)) as events:
        assert [next(events)["after"] for _ in range(2)] == ["found", "failed"]


def test_a_stream_of_one_job_is_silent_about_others(served: Served) -> None:
    mine, other = a_job(served), a_job(served, "/other")
    with following(served, f"?job={mine}") as events:
        move(served, other, State.CANCELLED)
        move(served, mine, State.FAILED)
        assert next(events)["job"] == mine


def test_many_streams_are_open_while_other_requests_are_answered(served: Served) -> None:
    job, told = a_job(served), []

    def follow() -> None:
        with following(served) as events:
            ready.release()
            told.append(next(events)["after"])

    ready = threading.Semaphore(0)
    threads = [threading.Thread(target=follow) for _ in range(20)]
    for thread in threads:
        thread.start()
    for _ in threads:
        ready.acquire()
    move(served, job, State.CANCELLED)
    assert served.client.get("/api/v1/jobs").status_code == 200
    for thread in threads:
        thread.join()
    assert told == ["cancelled"] * 20


def test_a_client_that_does_not_read_fills_its_own_buffer_alone() -> None:
    stream = Stream()
    for _ in range(BUFFER + 1):
        stream.offer("x")
    assert stream.late
    assert stream.queue.qsize() == BUFFER
