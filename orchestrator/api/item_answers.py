"""What the API says of items."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row

from common.stages import State
from orchestrator.ledger.schema import Attempt, Item

_ITEM: dict[str, Any] = {
    "item": "0c9d1e2f3a4b5c6d7e8f9a0b1c2d3e4f",
    "job": "4f1c2a7e9b0d4c5e8f6a1b2c3d4e5f60",
    "number": 17,
    "name": "case-7/a.mpg",
    "state": "quarantined",
    "reason": "gate not met: vmaf 1st percentile 71.2 < 80",
    "cause": "gate.vmaf",
    "study_uid": "2.25.1234",
    "queue": "cpu",
    "bytes_before": 1048576,
    "bytes_after": 262144,
    "estimated_seconds": 3.1,
    "seconds": 4.2,
    "updated_at": "2026-11-24T08:10:00+00:00",
}


class ItemAnswer(BaseModel):
    """One item in a list."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ITEM]})

    item: str = Field(description="its id")
    job: str
    number: int = Field(description="in the order of finding")
    name: str = Field(description="path below its source")
    state: State
    reason: str = Field(description="why it is so")
    cause: str | None = Field(description="why it was set aside: an error's code, a rule, or gate.METRIC")
    study_uid: str | None
    queue: str = Field(description="of its next order")
    bytes_before: int
    bytes_after: int = Field(description="0: nothing was made")
    estimated_seconds: float
    seconds: float = Field(description="of work so far")
    updated_at: datetime

    @classmethod
    def of(cls, item: Item | Row[*tuple[Any, ...]]) -> ItemAnswer:
        """As the ledger has it; of a row, the columns alone."""
        return cls(
            item=item.id,
            job=item.job_id,
            number=item.number,
            name=item.name,
            state=item.state,
            reason=item.reason,
            cause=item.cause,
            study_uid=item.study_uid,
            queue=item.queue,
            bytes_before=item.size_bytes,
            bytes_after=item.made_bytes,
            estimated_seconds=item.estimated_seconds,
            seconds=item.work_seconds,
            updated_at=item.updated_at,
        )


class AttemptAnswer(BaseModel):
    """One try at an order."""

    order: str
    kind: str
    queue: str
    number: int
    state: str = Field(description="queued, running, done, failed, lost, stopping, stopped")
    sent_at: datetime
    ended_at: datetime | None
    worker: str
    fraction: float | None
    seconds: float
    failure: dict[str, Any] | None = Field(description="code, actor, retryable, message, hint")

    @classmethod
    def of(cls, row: Attempt) -> AttemptAnswer:
        """As the ledger has it; a program's last words stay there."""
        failure = {name: value for name, value in (row.failure or {}).items() if name != "detail"}
        return cls(
            order=row.order_id,
            kind=row.kind,
            queue=row.queue,
            number=row.number,
            state=row.state,
            sent_at=row.sent_at,
            ended_at=row.ended_at,
            worker=row.worker,
            fraction=row.fraction,
            seconds=row.seconds,
            failure=failure or None,
        )


class ChangeAnswer(BaseModel):
    """One change of state (docs/audit.md)."""

    type: str = "change"
    at: datetime
    item: str
    delivery: int | None = Field(description="null: the item itself")
    before: str
    after: str
    order: str | None = Field(description="whose answer or loss it follows; null: a step of the farm, or a person's")


class ItemDetail(ItemAnswer):
    """One item with all that is known of it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                _ITEM | {"report": {"type": "item"}, "files": ["evidence.json"], "attempts": [], "changes": []}
            ]
        }
    )

    report: dict[str, Any] = Field(
        description="the item object of docs/json.md: plan with reasons, scores, deliveries, failure"
    )
    files: list[str] = Field(description="evidence that can be downloaded")
    attempts: list[AttemptAnswer]
    changes: list[ChangeAnswer]
