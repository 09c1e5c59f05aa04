"""List the sources of jobs that came through the ledger. What a dead orchestrator began, the next leader goes on with."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy import select, update

from common.destinations import FolderDestination, S3Destination, parse_destination
from common.errors import CinefarmError, EnvironmentFault
from common.logs import logger
from common.settings import Settings
from common.store import ObjectStore
from orchestrator.control import cancel_items
from orchestrator.ingest.mapping import Mapping
from orchestrator.ingest.worklist import WorklistRequest
from orchestrator.jobs import ingest
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import Job
from orchestrator.reconciler import reopen_vanished

log = logger(__name__)


def unlisted_jobs(ledger: Sessions) -> list[str]:
    """Ids of jobs whose sources are still to be listed, the most urgent first."""
    statement = select(Job.id).where(Job.listing == "listing", Job.cancelled.is_(False))
    with ledger() as session:
        return list(session.scalars(statement.order_by(Job.priority.desc(), Job.created_at)))


def list_job(
    ledger: Sessions, store: ObjectStore, job_id: str, settings: Settings, *, stopped: Callable[[], bool]
) -> None:
    """List one job's sources into the ledger and note the end: ``listed``, or ``failed`` with its problem.

    ``stopped`` leaves it ``listing``: somebody goes on with it.

    Raises:
        EnvironmentFault: the store or an archive is away; the job stays ``listing``.
    """
    with ledger() as session:
        job = session.get_one(Job, job_id)

    def given_up() -> bool:
        return stopped() or not _wanted(ledger, job_id)

    log.info("listing_began", job=job_id)
    try:
        worklist = WorklistRequest.model_validate(job.worklist) if job.worklist else None
        mapping = stored_mapping(store, job.mapping_key, worklist=worklist is not None)
        reopen_vanished(ledger, store, job_id, mounted_only=True)
        exclude = excluded(job.destinations, settings.state_dir)
        listing = ingest(
            ledger,
            store,
            job_id,
            job.sources,
            mapping,
            exclude,
            stopped=given_up,
            again=False,
            settings=settings,
            worklist=worklist,
        )
    except CinefarmError as error:
        if isinstance(error, EnvironmentFault) and error.retryable:
            raise
        log.warning("listing_failed", job=job_id, code=error.code)
        note_listing(ledger, job_id, "failed", f"{error.message}. {error.hint}".strip())
        return
    if not _wanted(ledger, job_id):
        cancel_items(ledger, job_id)  # those that the last batch brought after the job was cancelled
    elif not stopped():
        note_listing(ledger, job_id, "listed")
        log.info("listing_ended", job=job_id, found=listing.found, new=listing.new)


def note_listing(ledger: Sessions, job_id: str, state: str, problem: str = "") -> None:
    """Write how the listing ended."""
    with ledger.begin() as session:
        session.execute(update(Job).where(Job.id == job_id).values(listing=state, problem=problem))


def excluded(destinations: Sequence[str], state_dir: Path) -> tuple[Path | S3Destination, ...]:
    """Folders and prefixes that are never sources: a job's own output and our state."""
    places = list(map(parse_destination, destinations))
    folders = (place.path for place in places if isinstance(place, FolderDestination))
    return (*folders, *(place for place in places if isinstance(place, S3Destination)), state_dir)


def _wanted(ledger: Sessions, job_id: str) -> bool:
    with ledger() as session:
        return not session.get_one(Job, job_id).cancelled


def stored_mapping(store: ObjectStore, key: str | None, *, worklist: bool) -> Mapping | None:
    """The mapping CSV that lies in the store under ``key``.

    Raises:
        BadMapping: it has errors.
        StoreFault: it cannot be read.
    """
    if key is None:
        return None
    with tempfile.TemporaryDirectory(prefix="cinefarm-map-") as folder:  # patient data: for our eyes only (mode 700)
        path = Path(folder, "map.csv")
        store.export(key, path)
        return Mapping.load(path, worklist=worklist)
