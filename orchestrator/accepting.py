"""What destinations take, in the ledger: stated with a job, kept for later ones, asked by the recorder when it plans."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from orchestrator.acceptance import Acceptance, Destinations
from orchestrator.ledger.schema import Destination, Job

_READ = "destinations"  # in the session's own memory: a batch of results asks once a job


def state_acceptance(session: Session, acceptance: Acceptance) -> None:
    """Keep what a destination takes, in place of what was stated before."""
    row = session.get(Destination, acceptance.destination)
    if row is None:
        row = Destination(uri=acceptance.destination, away_in_a_row=0)
        session.add(row)
    row.accepts = acceptance.model_dump(mode="json")


def destinations_of(session: Session, job: Job) -> Destinations:
    """What the destinations of a job take: as stated, else as assumed (docs/plan.md).

    Raises:
        PolicyError: a destination's URI is not understood.
    """
    known: dict[str, Destinations] = session.info.setdefault(_READ, {})
    if job.id not in known:
        wanted = select(Destination.accepts).where(
            Destination.uri.in_(job.destinations), Destination.accepts.is_not(None)
        )
        stated = [Acceptance.model_validate(row) for row in session.scalars(wanted) if row]
        known[job.id] = Destinations.of(job.destinations, stated)
    return known[job.id]
