"""Items: listed by state, cause and study; one with its evidence."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import StreamingResponse
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from common.errors import UnknownName
from common.stages import State
from orchestrator.api.dependencies import FarmOf, ItemId, JobName
from orchestrator.api.item_answers import AttemptAnswer, ChangeAnswer, ItemAnswer, ItemDetail
from orchestrator.api.paging import Cursor, Limit, Page, as_json, key_of, page
from orchestrator.control import find_job
from orchestrator.ledger.audit import history
from orchestrator.ledger.schema import Attempt, Item
from orchestrator.reports.jsonlines import item_object
from orchestrator.reports.model import item_report
from orchestrator.trail_lines import change_object

router = APIRouter(prefix="/api/v1", tags=["items"])

CHUNK = 1 << 18

_SHOWN = (
    Item.id,
    Item.job_id,
    Item.number,
    Item.name,
    Item.state,
    Item.reason,
    Item.cause,
    Item.study_uid,
    Item.queue,
    Item.size_bytes,
    Item.made_bytes,
    Item.estimated_seconds,
    Item.work_seconds,
    Item.updated_at,
)
"""Columns of a list: the documents of an item are kilobytes."""


@router.get("/jobs/{job}/items", operation_id="listItems", response_model=Page[ItemAnswer])
def items(
    job: JobName,
    farm: FarmOf,
    state: Annotated[State | None, Query(description="only items in this state")] = None,
    cause: Annotated[str, Query(max_length=64, description="only items set aside for this")] = "",
    study: Annotated[str, Query(max_length=64, description="only items of this Study Instance UID")] = "",
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """The items of a job in the order of finding."""
    with farm.reading() as session:
        wanted: list[ColumnElement[bool]] = [Item.job_id == find_job(session, job).id]
        wanted += [Item.state == state] if state else []
        wanted += [Item.cause == cause] if cause else []
        wanted += [Item.study_uid == study] if study else []
        # of a study the few rows are sorted: in the order of an index SQLite would look for them through the whole job
        number = Item.number + 0 if study else Item.number
        wanted += [number > key_of(cursor, int)[0]] if cursor else []
        statement = select(*_SHOWN).where(*wanted).order_by(number).limit(limit + 1)
        found = [ItemAnswer.of(row) for row in session.execute(statement)]
    return as_json(page(found, limit, [(each.number,) for each in found]))


@router.get("/items/{item}", operation_id="getItem")
def item(item: ItemId, farm: FarmOf) -> ItemDetail:
    """One item: its plan with the reason, scores, deliveries, attempts and every change of its state."""
    with farm.reading() as session:
        found = _item(session, item)
        attempts = session.scalars(select(Attempt).where(Attempt.item_id == item).order_by(Attempt.sent_at))
        return ItemDetail(
            **ItemAnswer.of(found).model_dump(),
            report=item_object(item_report(session, found)),
            files=[_file_name(key) for key in _evidence(found)],
            attempts=[AttemptAnswer.of(row) for row in attempts],
            changes=[ChangeAnswer(**change_object(row)) for row in history(session, [item])],
        )


@router.get(
    "/items/{item}/evidence/{name}",
    operation_id="getEvidence",
    response_class=StreamingResponse,
    responses={200: {"description": "the file as it was written", "content": {"application/octet-stream": {}}}},
)
def evidence(
    item: ItemId, name: Annotated[str, Path(max_length=200, description="one of the item's `files`")], farm: FarmOf
) -> StreamingResponse:
    """One file of an item's evidence, e.g. ``evidence.json``, streamed from the store."""
    with farm.reading() as session:
        key = next((key for key in _evidence(_item(session, item)) if _file_name(key) == name), None)
    size = farm.store.size(key) if key else None
    if key is None or size is None:
        raise UnknownName("the item has no such file", hint="Its `files` are named in GET /api/v1/items/{item}.")
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    headers = {"Content-Length": str(size), "X-Content-Type-Options": "nosniff"}
    return StreamingResponse(_parts(farm.store.open(key)), media_type=kind, headers=headers)


def _item(session: Session, item_id: str) -> Item:
    found = session.get(Item, item_id)
    if found is None:
        raise UnknownName("there is no such item", hint="GET /api/v1/jobs/{job}/items lists the items with their ids.")
    return found


def _evidence(item: Item) -> list[str]:
    made: dict[str, Any] = item.result or {}
    return list(made.get("evidence_keys", ()))


def _file_name(key: str) -> str:
    return key.rpartition("/")[2]


def _parts(stream: BinaryIO) -> Iterator[bytes]:
    with stream:
        while part := stream.read(CHUNK):
            yield part
