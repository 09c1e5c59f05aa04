"""Submit a job: what a person asked for becomes a row, what its sources hold becomes items. Submitting again goes on."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import Any, Literal, cast
from uuid import uuid4

from sqlalchemy import Table, delete, func, insert, select
from sqlalchemy.orm import Session

from common.destinations import S3Destination, parse_destination
from common.errors import CinefarmError
from common.logs import logger
from common.orders import Failure
from common.recipes import Audio, Profile
from common.settings import Settings
from common.stages import State, check_transition
from common.store import ObjectStore
from orchestrator.acceptance import Acceptance
from orchestrator.accepting import state_acceptance
from orchestrator.ingest.found import Found, Scope
from orchestrator.ingest.mapping import Mapping, header_json
from orchestrator.ingest.sources import parse_source
from orchestrator.ingest.worklist import Supplier, Supply, WorklistRequest
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.decisions import What, decided
from orchestrator.ledger.locks import lock_transaction
from orchestrator.ledger.schema import Item, Job, now
from orchestrator.limits import DestinationLimit, limit_destination

log = logger(__name__)

ITEMS = cast(Table, Item.__table__)

BATCH = 500
"""Items per transaction: a million files need two thousand commits, and a crash costs at most one batch of listing."""


@dataclass(frozen=True)
class JobRequest:
    """One migration as a person asked for it."""

    sources: tuple[str, ...]
    destinations: tuple[str, ...]
    profile: Profile
    audio: Audio = Audio.STRIP
    name: str = ""
    priority: int = 0
    mapping_key: str | None = None  # the mapping CSV in the object store, for a service that lists the sources itself
    worklist: WorklistRequest | None = None  # who else knows whose plain video is
    identifiers_key: str | None = None  # the rules for identifiers in the object store
    window: str | None = None  # orchestrator.windows
    window_policy: Literal["finish", "stop"] = "finish"
    patience_seconds: float = 0.0
    limits: tuple[tuple[str, DestinationLimit], ...] = ()  # by destination; a destination keeps them for later jobs
    accepts: tuple[Acceptance, ...] = ()  # of destinations, which keep it too
    site: str = ""  # whose job it is (orchestrator.ledger.sites)

    @property
    def key(self) -> str:
        """The same request has the same key, and so goes on with the same job: SHA-256, hexadecimal.

        The mapping is left out on purpose: giving it later mends the items that failed for want of it. Rules for identifiers
        shape every result: with others it is another job.
        """
        parts = [sorted(self.sources), sorted(self.destinations), self.profile.digest, self.audio]
        if self.identifiers_key is not None:
            parts.append(self.identifiers_key)
        if self.site:
            parts.append(["site", self.site])
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclass
class Listing:
    """What ingest saw."""

    found: int = 0
    new: int = 0
    ignored: Counter[str] = field(default_factory=Counter)


def normalised(sources: Sequence[str], destinations: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Sources and destinations in one spelling, so that the same place always reads the same: absolute paths, canonical URIs."""
    return (
        tuple(parse_source(text).uri for text in sources),
        tuple(dict.fromkeys(parse_destination(text).uri for text in destinations)),
    )


def submit(ledger: Sessions, request: JobRequest, *, by: str | None = None) -> str:
    """The id of the job for this request: the one that exists, else a new one. ``by``: see ``enter``."""
    with ledger.begin() as session:
        return enter(session, request, by=by).id


def enter(session: Session, request: JobRequest, *, by: str | None = None) -> Job:
    """The job for this request, in a transaction: the one that exists, else a new one; its sources are to be listed.

    ``by``: who asked, for the record of decisions; None: the user of the operating system.
    """
    lock_transaction(session, f"submit:{request.key}")
    again = True
    job = session.scalars(select(Job).where(Job.key == request.key).with_for_update(key_share=True)).first()
    if job is None:
        job = Job(
            id=uuid4().hex,
            key=request.key,
            sources=list(request.sources),
            destinations=list(request.destinations),
            profile=request.profile.model_dump(mode="json"),
            audio=request.audio,
            identifiers_key=request.identifiers_key,
            site=request.site,
        )
        session.add(job)
        again = False
        log.info("job_submitted", job=job.id)
    decided(session, What.SUBMITTED, by=by, job_id=job.id, again=again)
    job.name, job.priority = request.name or job.name or "", request.priority
    job.window, job.window_policy = request.window, request.window_policy
    job.patience_seconds = request.patience_seconds
    for uri, limit in request.limits:
        limit_destination(session, uri, limit)
    for acceptance in request.accepts:
        state_acceptance(session, acceptance)
    job.mapping_key = request.mapping_key or job.mapping_key
    if request.worklist is not None:
        job.worklist = request.worklist.model_dump(mode="json")
    job.listing, job.problem, job.cancelled = "listing", "", False
    return job


def ingest(
    ledger: Sessions,
    store: ObjectStore,
    job_id: str,
    sources: Sequence[str],
    mapping: Mapping | None,
    exclude: Sequence[Path | S3Destination],
    *,
    stopped: Callable[[], bool] = lambda: False,
    again: bool = True,
    settings: Settings | None = None,
    worklist: WorklistRequest | None = None,
) -> Listing:
    """List the sources into the ledger, in batches. Known items that failed, or whose file has changed, start again.

    ``stopped`` is asked between batches; what is listed by then stays listed. Without ``again`` failed items stay failed: a
    listing that goes on after a restart must not try poison again.

    Raises:
        PolicyError: a source cannot be found.
        BadMapping: two rows name one file.
        EnvironmentFault: an archive or a worklist does not answer, or refuses the query.
    """
    if again:
        _forget_places(ledger, job_id)
    listing = Listing()
    scope = Scope(settings or Settings(), tuple(exclude), listing.ignored, stopped)
    with Supplier(mapping, worklist, scope.settings) as supplier:
        for source in sources:
            stream = parse_source(source).find(scope)
            while not stopped() and (batch := list(islice(stream, BATCH))):
                supplied = supplier.all_of(_unsupplied(ledger, job_id, batch) if supplier.asks else batch)
                with ledger.begin() as session:
                    _add(session, store, job_id, batch, supplied, listing, again=again)
    return listing


def _unsupplied(ledger: Sessions, job_id: str, batch: list[Found]) -> list[Found]:
    """Files that may begin: a worklist is not asked again for each video that is done, nor within a transaction."""
    statement = select(Item.source, Item.state).where(Item.job_id == job_id)
    with ledger() as session:
        rows = session.execute(statement.where(Item.source.in_([found.place for found in batch])))
        done = {source for source, state in rows if state not in (State.FOUND, State.FAILED, State.CANCELLED)}
    return [found for found in batch if found.place not in done]


def _add(
    session: Session,
    store: ObjectStore,
    job_id: str,
    batch: list[Found],
    supplied: dict[str, Supply],
    listing: Listing,
    *,
    again: bool,
) -> None:
    places = {found.place: found for found in batch}
    statement = select(Item).where(Item.job_id == job_id, Item.source.in_(places))
    known = {item.source: item for item in session.scalars(statement)}
    number = session.scalar(select(func.max(Item.number)).where(Item.job_id == job_id)) or 0
    rows: list[dict[str, Any]] = []
    for place, found in places.items():
        item = known.get(place)
        if item is None:
            rows.append(_row(job_id, number + len(rows) + 1, found) | _supplied(store, found, supplied.get(place)))
        elif _starts_again(item, found, again=again):
            _reset(item, found)
        if item is not None and item.state is State.FOUND:
            for name, value in _supplied(store, found, supplied.get(place)).items():
                setattr(item, name, value)
    for _, alike in groupby(sorted(rows, key=sorted), key=sorted):  # rows of one statement name the same columns
        session.execute(insert(ITEMS), list(alike))  # past the unit of work, which costs more than the database
    listing.new += len(rows)
    listing.found += len(places)


def _forget_places(ledger: Sessions, job_id: str) -> None:
    """Folders, studies and series that could not be listed (their names end in '/') come again if they still cannot."""
    with ledger.begin() as session:
        failed = session.scalars(
            select(Item.id).where(Item.job_id == job_id, Item.state == State.FAILED, Item.name.endswith("/"))
        )
        session.execute(delete(Item).where(Item.id.in_(failed.all())))


def _row(job_id: str, number: int, found: Found) -> dict[str, Any]:
    """A new item."""
    return {
        "id": uuid4().hex,
        "job_id": job_id,
        "number": number,
        "source": found.place,
        "name": found.relative,
        "size_bytes": found.size_bytes,
        "mtime_ns": found.mtime_ns,
        "state": State.FOUND,
        "reason": "",
        **({} if found.retrieval is None else {"retrieval": found.retrieval.model_dump(mode="json")}),
    }


def _starts_again(item: Item, found: Found, *, again: bool) -> bool:
    if again and item.state in (State.FAILED, State.CANCELLED):
        return item.decision is None  # one that a person gave up stays given up until a person says otherwise
    if (
        found.retrieval is not None
    ):  # an instance in an archive never changes, and its size is known only when it has come
        return False
    changed = (item.size_bytes, item.mtime_ns) != (found.size_bytes, found.mtime_ns)
    return changed and item.state.is_end


def _reset(item: Item, found: Found) -> None:
    item.state = check_transition(item.state, State.FOUND)
    item.size_bytes, item.mtime_ns = found.size_bytes, found.mtime_ns
    item.attempts, item.not_before, item.reason, item.decision = 0, now(), "", None
    item.failure = item.digest = item.description = item.plan = item.split = item.result = None


def _supplied(store: ObjectStore, found: Found, given: Supply | None) -> dict[str, Any]:
    """Fields of an item: the header that mapping or worklist give, or why it is set aside when the file cannot even be opened.

    Why there is no header counts when the file turns out to be plain video: a DICOM object needs none.
    """
    if found.problem is not None:
        failure = Failure.of(found.problem).model_dump(mode="json")
        return {
            "failure": failure,
            "cause": failure["code"],
            "state": State.FAILED,
            "reason": found.problem.message,
        }
    if given is None:
        return {}
    if isinstance(given, CinefarmError):
        return {"header_key": None, "supplied": {"failure": Failure.of(given).model_dump(mode="json")}}
    header = header_json(given)
    key = f"headers/{hashlib.sha256(header).hexdigest()}.json"
    if store.size(key) is None:
        store.put(key, header)
    return {"header_key": key, "supplied": {"modality": given.modality, "sop_class": given.requested_class}}
