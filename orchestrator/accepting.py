"""What destinations take, in the ledger: stated with a job, kept for later ones, asked by the recorder when it plans."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.network.probe import Probed
from orchestrator.acceptance import Acceptance, Destinations
from orchestrator.ledger.schema import Destination, Job
from orchestrator.limits import destination_row

_READ = "destinations"  # in the session's own memory: a batch of results asks once a job


def state_acceptance(session: Session, acceptance: Acceptance) -> None:
    """Keep what a destination takes, in place of what was stated before."""
    destination_row(session, acceptance.destination).accepts = acceptance.model_dump(mode="json")


def keep_probe(session: Session, probed: Probed) -> None:
    """Keep what an archive took, in place of what an earlier probe told."""
    destination_row(session, probed.destination).probed = probed.model_dump(mode="json")


def destinations_of(session: Session, job: Job) -> Destinations:
    """What the destinations of a job take: as stated, else as learned by a probe, else as assumed (docs/plan.md).

    Raises:
        PolicyError: a destination's URI is not understood.
    """
    known: dict[str, Destinations] = session.info.setdefault(_READ, {})
    if job.id not in known:
        known[job.id] = Destinations.of(job.destinations, known_of(session, job.destinations))
    return known[job.id]


def known_of(session: Session, uris: Sequence[str], stated: Iterable[Acceptance] = ()) -> list[Acceptance]:
    """What was ever stated of these destinations or learned by a probe; ``stated`` takes the place of what is kept.

    Raises:
        PolicyError: a destination's URI is not understood.
    """
    now = {acceptance.destination: acceptance for acceptance in stated}
    known = []
    for row in session.scalars(select(Destination).where(Destination.uri.in_(uris))):
        acceptance = now.pop(row.uri, None) or (Acceptance.model_validate(row.accepts) if row.accepts else None)
        if row.probed:
            acceptance = (acceptance or Acceptance.of(row.uri)).learned(Probed.model_validate(row.probed))
        if acceptance is not None:
            known.append(acceptance)
    return [*known, *now.values()]
