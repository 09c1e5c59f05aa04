"""One item with all that is on record of it: plan, evidence, attempts, deliveries, changes, decisions."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session, defer

from common.errors import CinefarmError
from common.media import Description
from common.orders import Failure, Plan, TranscodeDone
from common.store import ObjectStore
from orchestrator.ledger.audit import history
from orchestrator.ledger.decisions import decisions_on_item
from orchestrator.ledger.schema import Attempt, Decision, Delivery, Item, Job, StateChange

MOST = 200
"""Attempts, changes and decisions of one item that are shown, the latest: a thousandth try tells no more."""

LARGEST_EVIDENCE = 64 << 20
"""Bytes of evidence or scores that a page reads; more belong to a film of many hours, and stand in its report."""


@dataclass(frozen=True)
class Event:
    """One line of the timeline."""

    at: datetime
    title: str
    detail: str = ""
    tone: str = "calm"


@dataclass(frozen=True)
class ItemView:
    """One item as its page shows it."""

    item: Item
    job: Job
    plan: Plan | None
    description: Description | None
    made: TranscodeDone | None
    failure: Failure | None
    attempts: tuple[Attempt, ...]
    deliveries: tuple[Delivery, ...]
    changes: tuple[StateChange, ...]
    decisions: tuple[Decision, ...]


def read(session: Session, item: Item) -> ItemView:
    """All that the ledger knows of an item."""
    tries = select(Attempt).where(Attempt.item_id == item.id).options(defer(Attempt.order))
    return ItemView(
        item=item,
        job=session.get_one(Job, item.job_id),
        plan=Plan.model_validate(item.plan) if item.plan else None,
        description=Description.model_validate(item.description) if item.description else None,
        made=TranscodeDone.model_validate(item.result) if item.result else None,
        failure=Failure.model_validate(item.failure) if item.failure else None,
        attempts=tuple(session.scalars(tries.order_by(Attempt.sent_at.desc()).limit(MOST)))[::-1],
        deliveries=tuple(session.scalars(select(Delivery).where(Delivery.item_id == item.id).order_by(Delivery.id))),
        changes=tuple(history(session, [item.id])[-MOST:]),
        decisions=tuple(decisions_on_item(session, item.job_id, item.id))[-MOST:],
    )


def evidence_of(store: ObjectStore, made: TranscodeDone | None) -> dict[str, Any]:
    """The evidence beside a result; empty: there is none, or the store is away."""
    data = _read(store, made, "evidence.json")
    found: dict[str, Any] = json.loads(data) if data else {}
    return found


def scores_of(store: ObjectStore, made: TranscodeDone | None) -> dict[str, Any]:
    """Metric → score of each frame."""
    data = _read(store, made, "scores.npz")
    if not data:
        return {}
    with np.load(io.BytesIO(data), allow_pickle=False) as columns:
        return {name: columns[name] for name in columns.files}


def _read(store: ObjectStore, made: TranscodeDone | None, name: str) -> bytes:
    key = next((key for key in made.evidence_keys if key.endswith(f"/{name}")), "") if made else ""
    try:
        size = store.size(key) if key else None
        return store.get(key) if size is not None and size <= LARGEST_EVIDENCE else b""
    except (CinefarmError, OSError):
        return b""
