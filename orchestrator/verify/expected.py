"""What the ledger says should be where: a job's items grouped by study, a study at a time in memory."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice

from sqlalchemy import func, select
from sqlalchemy.orm import load_only

from common.media import DicomFacts
from common.orders import Path, Retrieval, TranscodeDone
from common.stages import State
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import Delivery, Item
from orchestrator.verify.values import Expected

BATCH = 500
"""Items read at a time; as many of those that have no study are judged together."""


@dataclass(frozen=True)
class Source:
    """Where an item came from, and what was there."""

    item: int
    path: str
    size_bytes: int
    digest: str | None
    retrieval: Retrieval | None
    frames: int | None  # as its header says


@dataclass(frozen=True)
class Study:
    """The items of one study."""

    study_uid: str  # empty: items that never came so far that it is known
    expected: dict[str, list[Expected]]  # by destination
    sources: list[Source]
    skipped: int  # copies of others, and what is no video: nothing is expected of them


def studies(ledger: Sessions, job_id: str, destinations: Sequence[str]) -> Iterator[Study]:
    """All studies of a job, in the order of their UIDs. No transaction is held between two."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as order:  # ids only: a line of 120 bytes an item
        study = func.coalesce(
            Item.result["study_uid"].as_string(), Item.description[("dicom", "study_uid")].as_string(), ""
        )
        statement = select(Item.id, study).where(Item.job_id == job_id).order_by(study, Item.number)
        with ledger() as session:
            for item_id, uid in session.execute(statement.execution_options(yield_per=BATCH)):
                order.write(json.dumps([item_id, uid]) + "\n")
        order.seek(0)
        for uid, lines in groupby(map(json.loads, order), key=lambda line: line[1]):
            ids = (line[0] for line in lines)
            if uid:
                yield _study(ledger, uid, list(ids), destinations)
            else:
                for some in _batches(ids):
                    yield _study(ledger, uid, list(some), destinations)


def _study(ledger: Sessions, uid: str, ids: list[str], destinations: Sequence[str]) -> Study:
    made = Study(uid, {destination: [] for destination in destinations}, [], 0)
    skipped = 0
    for some in _batches(ids):
        with ledger() as session:
            columns = (Item.number, Item.state, Item.reason, Item.result, Item.source, Item.size_bytes, Item.digest)
            wanted = load_only(*columns, Item.retrieval, Item.description, Item.failure, Item.plan)
            items = session.scalars(select(Item).where(Item.id.in_(some)).options(wanted).order_by(Item.number)).all()
            deliveries: dict[str, dict[str, Delivery]] = {}
            for row in session.scalars(select(Delivery).where(Delivery.item_id.in_(some))):
                deliveries.setdefault(row.item_id, {})[row.destination] = row
        for item in items:
            if item.state is State.SKIPPED:
                skipped += 1
                continue
            made.sources.append(_source(item))
            for destination in destinations:
                made.expected[destination] += _expected(item, deliveries.get(item.id, {}).get(destination))
    return Study(uid, made.expected, made.sources, skipped)


def _expected(item: Item, delivery: Delivery | None) -> list[Expected]:
    done = TranscodeDone.model_validate(item.result) if item.result else TranscodeDone()
    undelivered = (
        "" if delivery is not None and delivery.state in ("delivered", "committed") else _why_not(item, delivery)
    )
    if not done.instances:
        return [Expected(item.number, "", "", 0, "", 0, "", undelivered=undelivered)]
    copied = _copied_stream(item)
    lines = delivery.location.split("\n") if delivery is not None else []
    return [
        Expected(
            item.number,
            one.sop_instance_uid,
            done.series_uid,
            one.frames,
            one.instance_digest,
            one.instance_bytes,
            lines[number] if number < len(lines) else "",
            pixel_digest=one.pixel_digest,
            stream_digest=copied if len(done.instances) == 1 else "",
            sop_class_uid=done.sop_class_uid,
            undelivered=undelivered,
        )
        for number, one in enumerate(done.instances)
    ]


def _copied_stream(item: Item) -> str:
    """The digest of a stream that was taken over as it was; empty: it was not, or has none."""
    plan, description = item.plan or {}, item.description or {}
    if plan.get("path") not in (Path.KEEP, Path.REWRAP, Path.REAUDIO):
        return ""
    return str(description.get("video", {}).get("stream_digest") or "")


def _why_not(item: Item, delivery: Delivery | None) -> str:
    """State and reason, for people: reasons hold no patient data."""
    if delivery is not None and delivery.failure is not None:
        return f"{item.state.value}: {delivery.failure['message']}"
    state = item.state.value if delivery is None or item.state.is_end else f"{item.state.value}, {delivery.state}"
    failure = item.failure["message"] if item.failure else item.reason
    told = failure if item.state in (State.FAILED, State.QUARANTINED, State.CANCELLED) else ""
    return f"{state}: {told}" if told else state


def _source(item: Item) -> Source:
    dicom = (item.description or {}).get("dicom")
    return Source(
        item.number,
        item.source,
        item.size_bytes,
        item.digest,
        Retrieval.model_validate(item.retrieval) if item.retrieval else None,
        DicomFacts.model_validate(dicom).number_of_frames if dicom else None,
    )


def _batches(ids: Iterable[str]) -> Iterator[list[str]]:
    stream = iter(ids)
    while some := list(islice(stream, BATCH)):
        yield some
