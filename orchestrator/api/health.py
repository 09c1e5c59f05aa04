"""Liveness and readiness: for load balancers and Kubernetes. They need no token and tell nothing but yes or no."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict
from redis.exceptions import RedisError
from sqlalchemy import text

from common.errors import CinefarmError
from orchestrator.api.dependencies import FarmOf
from orchestrator.farm import Farm
from orchestrator.ledger.database import LedgerAway

router = APIRouter(prefix="/api/v1/health", tags=["health"])


class Alive(BaseModel):
    """This process answers."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"alive": True}]})

    alive: bool = True


class Ready(BaseModel):
    """Whether each part answers now."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"ledger": True, "store": True, "broker": True}]})

    ledger: bool
    store: bool
    broker: bool


@router.get("/live", operation_id="live")
async def live() -> Alive:
    """This process answers; nothing else is asked."""
    return Alive()


@router.get("/ready", operation_id="ready", responses={503: {"model": Ready, "description": "a part does not answer"}})
def ready(farm: FarmOf, response: Response) -> Ready:
    """Whether ledger, store and broker answer."""
    said = Ready(
        ledger=_answers(lambda: _ask_ledger(farm)),
        store=_answers(lambda: farm.store.size("readiness")),
        broker=_answers(farm.broker.workers),
    )
    if not (said.ledger and said.store and said.broker):
        response.status_code = 503
    return said


def _ask_ledger(farm: Farm) -> None:
    with farm.reading() as session:
        session.execute(text("SELECT 1"))


def _answers(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except (*LedgerAway, RedisError, CinefarmError, OSError):
        return False
    return True
