"""The workers: what they can do, what they do, and a button that lets one take nothing new."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from common.leases import NodeState
from orchestrator.api.dependencies import FarmOf
from orchestrator.ledger.decisions import What, decided
from orchestrator.web.forms import Person, back
from orchestrator.web.overview import live_workers
from orchestrator.web.queries.jobs import AtWork, at_work
from orchestrator.web.render import page

router = APIRouter()

SHOWN_ORDERS = 500


@router.get("/workers")
def workers(request: Request, farm: FarmOf) -> Response:
    """All of them."""
    return _page(request, farm, "workers.html.j2")


@router.get("/workers/live")
def live(request: Request, farm: FarmOf) -> Response:
    """The part that changes by itself."""
    return _page(request, farm, "workers_live.html.j2")


def _page(request: Request, farm: FarmOf, template: str) -> Response:
    found, answers = live_workers(farm)
    held: dict[str, list[AtWork]] = {}
    with farm.reading() as session:
        for order in at_work(session, limit=SHOWN_ORDERS):
            held.setdefault(order.worker, []).append(order)
    return page(request, template, workers=found, held=held, broker_answers=answers, ready=NodeState.READY)


@router.post("/workers/drain")
def drain(
    farm: FarmOf, person: Person, name: Annotated[str, Form(max_length=128)], why: Annotated[str, Form()] = ""
) -> Response:
    """Take nothing new; what runs is finished."""
    with farm.ledger.begin() as session:
        decided(session, What.DRAINED, by=person.name, why=why, worker=name, held=True)
    farm.broker.hold(name, held=True)
    return back("/workers", "draining")


@router.post("/workers/recall")
def recall(farm: FarmOf, person: Person, name: Annotated[str, Form(max_length=128)]) -> Response:
    """Take orders again."""
    with farm.ledger.begin() as session:
        decided(session, What.DRAINED, by=person.name, worker=name, held=False)
    farm.broker.hold(name, held=False)
    return back("/workers", "recalled")
