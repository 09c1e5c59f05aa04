"""Limits of queues and destinations."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from orchestrator.api.dependencies import CallerOf, FarmOf
from orchestrator.ledger.decisions import What, decided
from orchestrator.limit_words import change_limit, limit_rows

router = APIRouter(prefix="/api/v1/limits", tags=["queues and destinations"])


class LimitAnswer(BaseModel):
    """The limits of one queue or destination."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"type": "limit", "queue": "deliver", "concurrent": 4},
                {
                    "type": "limit",
                    "destination": "dicom://ARCHIVE@pacs.example:104",
                    "concurrent": 2,
                    "bytes_per_second": 20000000,
                    "window": None,
                    "away_until": None,
                },
            ]
        }
    )

    type: str = "limit"
    queue: str | None = Field(default=None, description="absent: of a destination")
    destination: str | None = None
    concurrent: int | None = Field(default=None, description="orders at a time, over all workers; null: no limit")
    bytes_per_second: int | None = Field(default=None, description="over all workers")
    window: str | None = Field(default=None, description="when it takes something; null: always")
    away_until: str | None = Field(default=None, description="it does not answer: when it is tried again")


class LimitChange(BaseModel):
    """What is to be limited, and how; what is left out stays."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"subject": "dicom://ARCHIVE@pacs.example:104", "concurrent": 2, "rate": "20MB/s"}]
        },
    )

    subject: str = Field(min_length=1, max_length=2000, description="a destination or a queue")
    concurrent: int | None = Field(default=None, ge=1, le=1_000_000)
    rate: str | None = Field(default=None, max_length=40, description="of a destination: 20MB/s, 500kB/s, 100Mbit/s")
    window: str | None = Field(default=None, max_length=500, description="of a destination (docs/limits.md)")
    lift: bool = Field(default=False, description="lift every limit that is not given here")
    reason: str = Field(default="", max_length=2000)


@router.get("", operation_id="listLimits", response_model_exclude_unset=True)
def limits(farm: FarmOf) -> list[LimitAnswer]:
    """All limits that are set."""
    with farm.reading() as session:
        return [LimitAnswer(**row) for row in limit_rows(session)]


@router.patch("", operation_id="changeLimit", response_model_exclude_unset=True)
def change(asked: LimitChange, farm: FarmOf, caller: CallerOf) -> list[LimitAnswer]:
    """Limit a destination or a queue. A running farm keeps the limit from its next look on."""
    with farm.ledger.begin() as session:
        change_limit(
            session,
            asked.subject,
            concurrent=asked.concurrent,
            rate=asked.rate,
            window=asked.window,
            lift=asked.lift,
        )
        changed = asked.model_dump(exclude={"reason"}, exclude_none=True)
        decided(session, What.LIMITED, by=caller.name, why=asked.reason, **changed)
        return [LimitAnswer(**row) for row in limit_rows(session)]
