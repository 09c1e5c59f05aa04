"""The page of one item: why it was planned so, what the evidence shows, what happened when, and the result itself to play."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response
from sqlalchemy.orm import Session

from orchestrator import deciding
from orchestrator.api.byte_ranges import respond, stored
from orchestrator.api.dependencies import FarmOf
from orchestrator.ledger.schema import Item
from orchestrator.web.charts_of import ItemCharts, item_charts
from orchestrator.web.jobs import profile_names
from orchestrator.web.pictures import Frame, picture_name, worst_frames
from orchestrator.web.playing import playing
from orchestrator.web.queries.item import ItemView, evidence_of, read, scores_of
from orchestrator.web.queries.items import job_names
from orchestrator.web.render import page
from orchestrator.web.timeline import timeline

router = APIRouter(prefix="/items/{item_id}")


@dataclass(frozen=True)
class Evidence:
    """What lies beside the result."""

    document: dict[str, Any]
    charts: ItemCharts | None
    frames: tuple[Frame, ...]


def _evidence(farm: FarmOf, view: ItemView) -> Evidence:
    found = evidence_of(farm.store, view.made)
    scores = scores_of(farm.store, view.made)
    drawn = None
    if view.description is not None and view.plan is not None:
        drawn = item_charts(found, scores, view.description, view.plan, view.item.made_bytes)
    return Evidence(found, drawn, worst_frames(view.item.id, found, scores))


@router.get("")
def item(request: Request, farm: FarmOf, item_id: str) -> Response:
    """The whole page."""
    with farm.reading() as session:
        view = read(session, _item(session, item_id))
        name = job_names(session, {view.item.job_id})[view.item.job_id]
    return page(
        request,
        "item.html.j2",
        view=view,
        job_name=name,
        evidence=_evidence(farm, view),
        events=timeline(view),
        video=playing(farm.store, view),
        undecided=view.item.state in deciding.SET_ASIDE,
        why_not=deciding.not_acceptable(view.item),
        profiles=profile_names(),
    )


@router.head("/withheld.mp4")
@router.get("/withheld.mp4")
def withheld(request: Request, farm: FarmOf, item_id: str) -> Response:
    """The stream of a result that missed its gate, to be looked at."""
    with farm.reading() as session:
        made = read(session, _item(session, item_id)).made
    if made is None or not made.withheld_key:
        raise HTTPException(404, "Nothing is kept of this item.")
    return respond(request, stored(farm.store, made.withheld_key, "video/mp4"))


@router.get("/worst/{number}.jpg")
def picture(request: Request, farm: FarmOf, item_id: str, number: int) -> Response:
    """One of the worst frames: source, result and difference in one picture."""
    with farm.reading() as session:
        made = read(session, _item(session, item_id)).made
    name = picture_name(evidence_of(farm.store, made), number)
    key = next((key for key in made.evidence_keys if key.endswith("/evidence.json")), "") if made else ""
    if not name or not key:
        raise HTTPException(404, "There is no such picture.")
    return respond(request, stored(farm.store, key.removesuffix("evidence.json") + name, "image/jpeg"))


def _item(session: Session, item_id: str) -> Item:
    found = session.get(Item, item_id)
    if found is None:
        raise HTTPException(404, "There is no such item.")
    return found
