"""The rows of viewable instances, completed from the store when somebody first searches, and searched by pages."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select, tuple_, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from common.dicom.companion import Companion, companion_key
from common.errors import StoreFault
from common.logs import logger
from common.store import ObjectStore
from orchestrator.dicomweb.attributes import (
    ACCESSION,
    KEPT,
    MODALITIES,
    MODALITY,
    PATIENT_ID,
    PATIENT_NAME,
    SERIES_UID,
    SOP_CLASS,
    SOP_UID,
    STUDY_DATE,
    STUDY_UID,
    Level,
    Match,
    values_of,
)
from orchestrator.dicomweb.query import Query
from orchestrator.farm import Farm
from orchestrator.ledger.schema import StoredInstance

log = logger(__name__)

COMPLETE_SECONDS = 5.0
"""How long one search may read attributes of new results from the store; the next search goes on."""

SEARCH_SECONDS = 3.0
"""How long one search may compare values that no index knows; a client is told when that was too short."""

PAGE = 500

_UIDS: dict[str, InstrumentedAttribute[str]] = {
    STUDY_UID: StoredInstance.study_uid,
    SERIES_UID: StoredInstance.series_uid,
    SOP_UID: StoredInstance.sop_instance_uid,
    SOP_CLASS: StoredInstance.sop_class_uid,
}
_TEXTS: dict[str, InstrumentedAttribute[str]] = {
    PATIENT_ID: StoredInstance.patient_id,
    PATIENT_NAME: StoredInstance.patient_name,
    ACCESSION: StoredInstance.accession,
    STUDY_DATE: StoredInstance.study_date,
    MODALITY: StoredInstance.modality,
    MODALITIES: StoredInstance.modality,
}
_KEYS = (StoredInstance.study_uid, StoredInstance.series_uid, StoredInstance.sop_instance_uid)


@dataclass(frozen=True)
class Found:
    """What a search finds: one instance stands for each study, series or instance. ``more``: there are others behind these."""

    rows: tuple[StoredInstance, ...]
    more: bool
    complete: bool  # every result of the farm was looked at


def find(farm: Farm, query: Query) -> Found:
    """One page of a search.

    Raises:
        StoreFault: the store is away while attributes are read from it.
    """
    asks_values = any(match.tag not in _UIDS for match in query.matches)
    whole = complete(farm) if asks_values else True
    with farm.reading() as session:
        rows, in_time = _page(session, query, query.limit + 1)
    shown = rows[: query.limit]
    if not asks_values and shown:
        whole = complete(farm, {row.study_uid for row in shown})
        with farm.reading() as session:
            by_key = {row.key: row for row in session.scalars(_of_keys(row.key for row in shown))}
        shown = [by_key.get(row.key, row) for row in shown]
    return Found(tuple(shown), len(rows) > query.limit, whole and in_time)


def complete(farm: Farm, studies: Collection[str] | None = None) -> bool:
    """Read the attributes of new results (None: of all studies) from the store into the ledger; False: time was over before.

    Raises:
        StoreFault: the store is away.
    """
    end = time.monotonic() + COMPLETE_SECONDS
    wanted = select(StoredInstance.key).where(StoredInstance.attributes.is_(None)).limit(PAGE)
    if studies is not None:
        wanted = wanted.where(StoredInstance.study_uid.in_(studies))
    while time.monotonic() < end:
        with farm.reading() as session:
            page = list(session.scalars(wanted))
        if not page:
            return True
        read = [(key, _attributes(farm.store, key)) for key in page]
        with farm.ledger.begin() as session:
            for key, attributes in read:
                columns = {"attributes": attributes, **_columns(attributes)}
                session.execute(update(StoredInstance).where(StoredInstance.key == key).values(**columns))
    return False


def companion_of(store: ObjectStore, key: str) -> Companion | None:
    """What was noted of an instance when it was written; None: nothing, or it is gone.

    Raises:
        StoreFault: the store is away.
    """
    name = companion_key(key)
    if store.size(name) is None:
        return None
    try:
        return Companion.model_validate_json(store.get(name))
    except ValueError:
        log.warning("companion_unreadable", key=name)
        return None


def instances(
    session: Session, study: str, series: str | None = None, instance: str | None = None
) -> list[StoredInstance]:
    """The instances of a study, a series, or one: in the order of their UIDs; of several objects with one UID the newest."""
    wanted = select(StoredInstance).where(StoredInstance.study_uid == study)
    if series is not None:
        wanted = wanted.where(StoredInstance.series_uid == series)
    if instance is not None:
        wanted = wanted.where(StoredInstance.sop_instance_uid == instance)
    rows = session.scalars(wanted.order_by(*_KEYS, StoredInstance.stored_at))
    return list({(row.series_uid, row.sop_instance_uid): row for row in rows}.values())


@dataclass(frozen=True)
class Contents:
    """What a study or a series holds."""

    series: int
    instances: int
    modalities: tuple[str, ...]
    classes: tuple[str, ...]


def contents(session: Session, level: Level, rows: Sequence[StoredInstance]) -> dict[tuple[str, ...], Contents]:
    """What the studies or series of these rows hold, by their UIDs; counted over all viewable instances."""
    if level is Level.INSTANCE or not rows:
        return {}
    keys = _KEYS[: level + 1]
    where = [column.in_({getattr(row, column.key) for row in rows}) for column in keys]
    counts = select(
        *keys, func.count(StoredInstance.series_uid.distinct()), func.count(StoredInstance.sop_instance_uid.distinct())
    )
    counted = dict[tuple[str, ...], tuple[int, int]]()
    for *key, series, total in session.execute(counts.where(*where).group_by(*keys)):
        counted[tuple(key)] = series, total
    kinds = select(*keys, StoredInstance.modality, StoredInstance.sop_class_uid).where(*where).distinct()
    modalities, classes = defaultdict[tuple[str, ...], set[str]](set), defaultdict[tuple[str, ...], set[str]](set)
    for *key, modality, sop_class in session.execute(kinds):
        modalities[tuple(key)].add(modality)
        classes[tuple(key)].add(sop_class)
    return {
        key: Contents(series, total, _named(modalities[key]), _named(classes[key]))
        for key, (series, total) in counted.items()
    }


def _named(values: set[str]) -> tuple[str, ...]:
    return tuple(sorted(values - {""}))


def _page(session: Session, query: Query, most: int) -> tuple[list[StoredInstance], bool]:
    """Rows of one page, and whether time sufficed: where SQL cannot compare the values, all rows are gone through."""
    keys = _KEYS[: query.level + 1]
    groups = select(*keys, func.min(StoredInstance.key)).where(*(_condition(match) for match in query.matches))
    groups = groups.group_by(*keys).order_by(*keys)
    if all(match.tag in _UIDS for match in query.matches):
        return list(_rows(session, [row[-1] for row in session.execute(groups.limit(most).offset(query.offset))])), True
    found, end = list[StoredInstance](), time.monotonic() + SEARCH_SECONDS
    page = groups.limit(PAGE)
    while chosen := session.execute(page).all():
        found += (row for row in _rows(session, [each[-1] for each in chosen]) if _matches(query, row))
        if len(found) >= query.offset + most:
            break
        if time.monotonic() > end:
            return found[query.offset :], False
        page = groups.where(tuple_(*keys) > tuple_(*chosen[-1][:-1])).limit(PAGE)
    return found[query.offset : query.offset + most], True


def _rows(session: Session, chosen: Sequence[str]) -> Iterator[StoredInstance]:
    """The rows of these keys, in this order."""
    by_key = {row.key: row for row in session.scalars(_of_keys(chosen))}
    return (by_key[key] for key in chosen if key in by_key)


def _matches(query: Query, row: StoredInstance) -> bool:
    return all(fits(match, row) for match in query.matches)


def fits(match: Match, row: StoredInstance) -> bool:
    """Whether a row matches; of its UIDs the ledger knows without the store."""
    if match.tag in _UIDS:
        return getattr(row, _UIDS[match.tag].key) in match.alternatives
    if match.tag == MODALITIES:
        return Match(MODALITY, match.wanted).fits(row.attributes or {})
    return match.fits(row.attributes or {})


def _condition(match: Match) -> ColumnElement[bool]:
    """What SQL can say of a match: never less than fits, often more."""
    if match.tag in _UIDS:
        return _UIDS[match.tag].in_(match.alternatives)
    column = _TEXTS.get(match.tag)
    if column is None:
        return StoredInstance.attributes.is_not(None)
    if (span := match.span) is not None:
        first, last = span
        return (column >= first) if not last else (column >= first) & (column <= f"{last}~")
    wanted = match.wanted.upper() if match.tag == PATIENT_NAME else match.wanted
    if match.tag != PATIENT_NAME and not set(wanted) & set("*?"):
        return column == wanted
    if match.tag == PATIENT_NAME:
        wanted = f"*{wanted}*"  # any group of components, in the middle of the text
    text = "".join({"*": "%", "?": "_"}.get(sign, f"\\{sign}" if sign in "%_\\" else sign) for sign in wanted)
    return column.like(text, escape="\\")


def _of_keys(keys: Iterable[str]) -> Select[StoredInstance]:
    return select(StoredInstance).where(StoredInstance.key.in_(list(keys)))


def _attributes(store: ObjectStore, key: str) -> dict[str, Any]:
    """Those that searches look at; of an instance without a companion, or that has just gone, none."""
    try:
        companion = companion_of(store, key)
    except StoreFault:
        if store.size(companion_key(key)) is None:
            return {}
        raise
    dataset = companion.dataset if companion else {}
    kept = {tag: value for tag, value in dataset.items() if tag in KEPT}
    json_text = json.dumps(kept).replace("\\u0000", "")  # PostgreSQL's JSON takes no NUL
    cleaned: dict[str, Any] = json.loads(json_text)
    return cleaned


def _columns(attributes: dict[str, Any]) -> dict[str, str]:
    def first(tag: str, most: int) -> str:
        return next(iter(values_of(attributes, tag)), "")[:most]

    return {
        "patient_id": first(PATIENT_ID, 64),
        "patient_name": "=".join(values_of(attributes, PATIENT_NAME)).upper(),
        "accession": first(ACCESSION, 64),
        "study_date": first(STUDY_DATE, 16),
        "modality": first(MODALITY, 16),
    }
