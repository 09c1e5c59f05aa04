"""The page of one item: why it was planned so, what the evidence shows, what happened when, and the result itself to play."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response
from sqlalchemy.orm import Session

from common.orders import Path
from common.store import ObjectStore
from orchestrator import deciding
from orchestrator.api.dependencies import FarmOf
from orchestrator.ledger.schema import Item
from orchestrator.web.charts_of import ItemCharts, item_charts
from orchestrator.web.jobs import profile_names
from orchestrator.web.pictures import Frame, picture_name, worst_frames
from orchestrator.web.playing import stream_of
from orchestrator.web.queries.item import ItemView, evidence_of, read, scores_of
from orchestrator.web.queries.items import job_names
from orchestrator.web.ranges import ranged, stored_bytes
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
        video=_video(farm.store, view),
        undecided=view.item.state in deciding.SET_ASIDE,
        why_not=deciding.not_acceptable(view.item),
        profiles=profile_names(),
    )


@router.get("/withheld.mp4")
def withheld(request: Request, farm: FarmOf, item_id: str) -> Response:
    """The stream of a result that missed its gate, to be looked at."""
    with farm.reading() as session:
        made = read(session, _item(session, item_id)).made
    if made is None or not made.withheld_key:
        raise HTTPException(404, "Nothing is kept of this item.")
    return stored_bytes(farm.store, made.withheld_key, "video/mp4", request.headers.get("range", ""))


@router.get("/result.mp4")
def result(request: Request, farm: FarmOf, item_id: str) -> Response:
    """The video inside the first stored instance of a result."""
    with farm.reading() as session:
        made = read(session, _item(session, item_id)).made
    if made is None or not made.instances:
        raise HTTPException(404, "Nothing is stored of this item.")
    stream = stream_of(farm.store, made.instances[0].instance_key)
    asked = request.headers.get("range", "")
    return ranged(stream.length, lambda first, last: stream.read(farm.store, first, last), "video/mp4", asked)


@router.get("/worst/{number}.jpg")
def picture(farm: FarmOf, item_id: str, number: int) -> Response:
    """One of the worst frames: source, result and difference in one picture."""
    with farm.reading() as session:
        made = read(session, _item(session, item_id)).made
    name = picture_name(evidence_of(farm.store, made), number)
    key = next((key for key in made.evidence_keys if key.endswith("/evidence.json")), "") if made else ""
    if not name or not key:
        raise HTTPException(404, "There is no such picture.")
    return stored_bytes(farm.store, key.removesuffix("evidence.json") + name, "image/jpeg", "")


def _item(session: Session, item_id: str) -> Item:
    found = session.get(Item, item_id)
    if found is None:
        raise HTTPException(404, "There is no such item.")
    return found


def _video(store: ObjectStore, view: ItemView) -> str:
    """Where a browser finds the video; empty: there is none to play."""
    made = view.made
    if made is None or (view.plan and view.plan.path is Path.FRAMES):
        return ""
    if made.withheld_key and not made.instance_key:
        return f"/items/{view.item.id}/withheld.mp4"
    if not made.instances or store.size(made.instances[0].instance_key) is None:
        return ""  # delivered, and no longer kept here
    return f"/items/{view.item.id}/result.mp4"
