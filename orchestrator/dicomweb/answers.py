"""Answers of a search in DICOM JSON (PS3.18 Annex F and 10.6.3.3). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from orchestrator.dicomweb.attributes import (
    AVAILABILITY,
    KEPT,
    MODALITIES,
    OF_LEVEL,
    RETRIEVE_URL,
    SERIES_INSTANCES,
    SERIES_UID,
    SOP_CLASS,
    SOP_CLASSES,
    SOP_UID,
    STUDY_INSTANCES,
    STUDY_SERIES,
    STUDY_UID,
    Level,
)
from orchestrator.dicomweb.directory import Contents
from orchestrator.dicomweb.query import Query
from orchestrator.ledger.schema import StoredInstance

AVAILABLE_SYNTAX = "00083002"

Dataset = dict[str, Any]


def answer(
    row: StoredInstance, query: Query, found: Contents | None, base: str, more: Mapping[str, Any] | None = None
) -> Dataset:
    """One match: what belongs to its level and to those above that the search left open, and what it asked for.

    ``base``: URL of the service; ``more``: all attributes of the instance, where some were asked for that the ledger lacks.
    """
    known: dict[str, Any] = {**(more or {}), **(row.attributes or {})}
    fixed = {match.tag for match in query.matches if "," not in match.wanted and "\\" not in match.wanted}
    first = Level.SERIES if STUDY_UID in fixed and query.level > Level.STUDY else Level.STUDY
    first = Level.INSTANCE if SERIES_UID in fixed and query.level is Level.INSTANCE else first
    wanted = {tag for level in Level if first <= level <= query.level for tag in OF_LEVEL[level]}
    wanted |= query.fields | {match.tag for match in query.matches}
    if query.everything:
        wanted |= KEPT & {tag for level in Level if level <= query.level for tag in OF_LEVEL[level]}
    made = {tag: known.get(tag, {"vr": vr_of(tag)}) for tag in wanted if tag in known or tag in KEPT}
    return dict(sorted((made | _identity(row, query.level, base) | _contents(found, query.level)).items()))


def _identity(row: StoredInstance, level: Level, base: str) -> Dataset:
    made = {STUDY_UID: value("UI", row.study_uid), AVAILABILITY: value("CS", "ONLINE")}
    url = f"{base}/studies/{row.study_uid}"
    if level >= Level.SERIES:
        made[SERIES_UID] = value("UI", row.series_uid)
        url += f"/series/{row.series_uid}"
    if level is Level.INSTANCE:
        made[SOP_UID], made[SOP_CLASS] = value("UI", row.sop_instance_uid), value("UI", row.sop_class_uid)
        made[AVAILABLE_SYNTAX] = value("UI", row.transfer_syntax_uid)
        url += f"/instances/{row.sop_instance_uid}"
    return made | {RETRIEVE_URL: value("UR", url)}


def _contents(found: Contents | None, level: Level) -> Dataset:
    if found is None:
        return {}
    if level is Level.SERIES:
        return {SERIES_INSTANCES: value("IS", found.instances)}
    return {
        STUDY_SERIES: value("IS", found.series),
        STUDY_INSTANCES: value("IS", found.instances),
        MODALITIES: value("CS", *found.modalities),
        SOP_CLASSES: value("UI", *found.classes),
    }


def value(vr: str, *values: str | int) -> dict[str, Any]:
    """An attribute of DICOM JSON; without a value it has none (F.2.5)."""
    given = [each for each in values if each != ""]
    return {"vr": vr, "Value": given} if given else {"vr": vr}


def lacking(query: Query, rows: Iterable[StoredInstance]) -> bool:
    """Whether the search asks for attributes that the ledger does not keep."""
    return bool(query.fields - KEPT - {MODALITIES, SOP_CLASSES}) and any(True for _ in rows)


@cache
def vr_of(tag: str) -> str:
    """The VR of an attribute by the standard's dictionary; of one that it lacks UN."""
    from pydicom.datadict import dictionary_VR

    try:
        return dictionary_VR(int(tag, 16)).partition(" ")[0]
    except KeyError:
        return "UN"
