"""What the API says of jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.ingest.sources import shown
from orchestrator.job_view import JobView
from orchestrator.status import JobState, Running

_JOB: dict[str, Any] = {
    "type": "job",
    "job": "4f1c2a7e9b0d4c5e8f6a1b2c3d4e5f60",
    "name": "endoscopy 2019",
    "state": "working",
    "problem": "",
    "priority": 0,
    "created_at": "2026-11-24T08:00:00+00:00",
    "sources": ["/archive/endoscopy/2019"],
    "destinations": ["dicom://ARCHIVE@pacs.example:104"],
    "profile": "archive",
    "items": 3,
    "counts": {"planned": 2, "done": 1},
    "running": 1,
    "waits": [],
    "bytes_total": 3145728,
    "bytes_done": 1048576,
    "paused": False,
    "window": "Mon-Fri 20:00-06:00 Europe/Berlin",
    "at_end": "finish",
}


class JobAnswer(BaseModel):
    """One job (docs/json.md)."""

    model_config = ConfigDict(json_schema_extra={"examples": [_JOB]})

    type: Literal["job"] = "job"
    job: str = Field(description="its id")
    name: str = Field(description="as the person who submitted it called it")
    state: JobState
    problem: str = Field(description="why its sources cannot be listed")
    priority: int
    created_at: datetime
    sources: list[str] = Field(description="without passwords")
    destinations: list[str]
    profile: str
    items: int
    counts: dict[str, int] = Field(description="state → items")
    running: int = Field(description="attempts at work")
    waits: list[str] = Field(description="why nothing new goes out now, in words")
    bytes_total: int = Field(description="of all sources")
    bytes_done: int = Field(description="of sources that have ended")
    paused: bool
    window: str | None = Field(description="when work may go out; null: always")
    at_end: str = Field(description="what becomes of running work when the window closes: finish or stop")

    @classmethod
    def of(cls, view: JobView) -> JobAnswer:
        """As it stands."""
        job, seen = view.job, view.seen
        return cls(
            job=job.id,
            name=job.name,
            state=view.state,
            problem=job.problem,
            priority=job.priority,
            created_at=job.created_at,
            sources=[shown(source) for source in job.sources],
            destinations=job.destinations,
            profile=str(job.profile["name"]),
            items=sum(seen.counts.values()),
            counts={state.value: count for state, count in seen.counts.items()},
            running=view.running,
            waits=list(view.waits),
            bytes_total=seen.bytes_total,
            bytes_done=seen.bytes_done,
            paused=job.paused,
            window=job.window,
            at_end=job.window_policy,
        )


class AtWork(BaseModel):
    """One attempt that a worker holds."""

    name: str = Field(description="path of the item below its source")
    kind: str = Field(description="describe, transcode, deliver …")
    fraction: float | None = Field(description="how far it is, 0 to 1; null: not known")
    worker: str

    @classmethod
    def of(cls, running: Running) -> AtWork:
        """As the ledger knows it."""
        return cls(name=running.name, kind=running.kind, fraction=running.fraction, worker=running.worker)


class JobDetail(JobAnswer):
    """One job, and what is at work for it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                _JOB
                | {
                    "active": [{"name": "case-7/a.mpg", "kind": "transcode", "fraction": 0.4, "worker": "cpu@node1"}],
                    "causes": {"gate.vmaf": 2},
                }
            ]
        }
    )

    active: list[AtWork] = Field(description="at most 20")
    causes: dict[str, int] = Field(description="why items were set aside → how many")


class Submitted(BaseModel):
    """A job that was taken."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"type": "submitted", "job": "4f1c2a7e9b0d4c5e8f6a1b2c3d4e5f60", "created": True}]
        }
    )

    type: Literal["submitted"] = "submitted"
    job: str = Field(description="its id")
    created: bool = Field(description="false: the same request had been made before, and goes on")


class Changed(BaseModel):
    """What an action did."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"job": "4f1c2a7e9b0d4c5e8f6a1b2c3d4e5f60", "items": 12}]}
    )

    job: str
    items: int | None = Field(default=None, description="how many items changed; null: the job alone did")
