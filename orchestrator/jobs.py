"""Submit a job: what a person asked for becomes a row, what its sources hold becomes items. Submitting again goes on."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from uuid import uuid4

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from common.destinations import parse_destination
from common.logs import logger
from common.orders import Failure
from common.recipes import Audio, Profile
from common.stages import State, check_transition
from common.store import ObjectStore
from orchestrator.ingest.folder import Found, find, parse_source
from orchestrator.ingest.mapping import Mapping, header_json
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import Item, Job, now

log = logger(__name__)

BATCH = 500
"""Items per transaction: a million files need two thousand commits, and a crash costs at most one batch of listing."""


@dataclass(frozen=True)
class JobRequest:
    """One migration as a person asked for it."""

    sources: tuple[str, ...]
    destinations: tuple[str, ...]
    profile: Profile
    audio: Audio = Audio.STRIP

    @property
    def key(self) -> str:
        """The same request has the same key, and so goes on with the same job: SHA-256, hexadecimal.

        The mapping is left out on purpose: giving it later mends the items that failed for want of it.
        """
        parts = [sorted(self.sources), sorted(self.destinations), self.profile.digest, self.audio]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclass
class Listing:
    """What ingest saw."""

    found: int = 0
    new: int = 0
    ignored: Counter[str] = field(default_factory=Counter)


def normalised(sources: Sequence[str], destinations: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Sources as absolute paths and destinations as canonical URIs, so that the same place always reads the same."""
    return (
        tuple(str(parse_source(text).path.absolute()) for text in sources),
        tuple(dict.fromkeys(parse_destination(text).uri for text in destinations)),
    )


def submit(ledger: Sessions, request: JobRequest) -> str:
    """The id of the job for this request: the one that exists, else a new one."""
    with ledger.begin() as session:
        job = session.scalars(select(Job).where(Job.key == request.key)).first()
        if job is None:
            job = Job(
                id=uuid4().hex,
                key=request.key,
                sources=list(request.sources),
                destinations=list(request.destinations),
                profile=request.profile.model_dump(mode="json"),
                audio=request.audio,
            )
            session.add(job)
            log.info("job_submitted", job=job.id)
        return job.id


def ingest(
    ledger: Sessions,
    store: ObjectStore,
    job_id: str,
    sources: Sequence[str],
    mapping: Mapping | None,
    exclude: Sequence[Path],
    *,
    stopped: Callable[[], bool] = lambda: False,
) -> Listing:
    """List the sources into the ledger, in batches. Known items that failed, or whose file has changed, start again.

    ``stopped`` is asked between batches; what is listed by then stays listed.

    Raises:
        PolicyError: a source cannot be found.
        BadMapping: two rows name one file.
    """
    listing = Listing()
    for source in sources:
        stream = find(parse_source(source).path, exclude=exclude, ignored=listing.ignored)
        while not stopped() and (batch := list(islice(stream, BATCH))):
            with ledger.begin() as session:
                _add(session, store, job_id, batch, mapping, listing)
    return listing


def _add(
    session: Session, store: ObjectStore, job_id: str, batch: list[Found], mapping: Mapping | None, listing: Listing
) -> None:
    paths = [str(found.path) for found in batch]
    statement = select(Item).where(Item.job_id == job_id, Item.source.in_(paths))
    known = {item.source: item for item in session.scalars(statement)}
    number = session.scalar(select(func.count()).select_from(Item).where(Item.job_id == job_id)) or 0
    for found in batch:
        item = known.get(str(found.path))
        if item is None:
            number += 1
            item = Item(id=uuid4().hex, job_id=job_id, number=number, source=str(found.path), name=found.relative)
            item.state, item.attempts, item.reason = State.FOUND, 0, ""
            item.size_bytes, item.mtime_ns, item.work_seconds, item.not_before = (
                found.size_bytes,
                found.mtime_ns,
                0.0,
                now(),
            )
            session.add(item)
            listing.new += 1
        elif _starts_again(item, found):
            _reset(item, found)
        if item.state is State.FOUND:
            _supply(store, item, found, mapping)
        listing.found += 1


def _starts_again(item: Item, found: Found) -> bool:
    if item.state in (State.FAILED, State.CANCELLED):
        return True
    changed = (item.size_bytes, item.mtime_ns) != (found.size_bytes, found.mtime_ns)
    return changed and item.state.is_end


def _reset(item: Item, found: Found) -> None:
    item.state = check_transition(item.state, State.FOUND)
    item.size_bytes, item.mtime_ns = found.size_bytes, found.mtime_ns
    item.attempts, item.not_before, item.reason = 0, now(), ""
    item.failure = item.digest = item.description = item.plan = item.result = None


def _supply(store: ObjectStore, item: Item, found: Found, mapping: Mapping | None) -> None:
    """Attach the mapping row's header, or set the item aside when the file cannot even be opened."""
    if found.problem is not None:
        item.failure = Failure.of(found.problem).model_dump(mode="json")
        item.state, item.reason = State.FAILED, found.problem.message
        return
    row = mapping.row_for(found) if mapping is not None else None
    if row is None:
        return
    header = header_json(row)
    item.header_key = f"headers/{hashlib.sha256(header).hexdigest()}.json"
    if store.size(item.header_key) is None:
        store.put(item.header_key, header)
    item.supplied = {"modality": row.modality, "sop_class": row.requested_class}
