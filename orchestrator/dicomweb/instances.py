"""The instances that a path names, and what is known of each."""

from __future__ import annotations

import hashlib
from typing import Annotated

from fastapi import HTTPException, Path

from common.dicom.companion import Companion
from orchestrator.dicomweb import directory
from orchestrator.farm import Farm
from orchestrator.ledger.schema import StoredInstance

Uid = Annotated[str, Path(pattern=r"^[0-9.]{1,64}$", description="a UID")]
ROOT = "/dicomweb"
"""Every router of this package names it itself: the record of accesses goes by the path of a route."""

INSTANCE = "/studies/{study}/series/{series}/instances/{instance}"
GONE = "There is no such instance in the store, or it has been delivered and is no longer kept here."


def named(farm: Farm, study: str, series: str | None = None, instance: str | None = None) -> list[StoredInstance]:
    """The instances of a study or a series, or one; those whose bytes have gone meanwhile are left out.

    Raises:
        HTTPException: 404, there are none.
        StoreFault: the store is away.
    """
    with farm.reading() as session:
        rows = directory.instances(session, study, series, instance)
    there = [row for row in rows if farm.store.size(row.key) == row.size_bytes]
    if not there:
        raise HTTPException(404, GONE)
    return there


def one(farm: Farm, study: str, series: str, instance: str) -> StoredInstance:
    """The one instance. Raises: HTTPException: 404."""
    return named(farm, study, series, instance)[0]


def companion(farm: Farm, row: StoredInstance) -> Companion:
    """Where its pixels lie.

    Raises:
        HTTPException: 404, nothing was noted of it when it was written.
    """
    found = directory.companion_of(farm.store, row.key)
    if found is None:
        raise HTTPException(404, "Of this instance nothing but the whole can be had: its header could not be read.")
    return found


def etag(row: StoredInstance, *form: str) -> str:
    """Names the very bytes of one form of an instance: a result that is made anew gets another one."""
    text = "|".join((row.key, str(row.size_bytes), row.stored_at.isoformat(), *form))
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def url(base: str, row: StoredInstance) -> str:
    """Where an instance is, below ``base``."""
    return f"{base}/studies/{row.study_uid}/series/{row.series_uid}/instances/{row.sop_instance_uid}"
