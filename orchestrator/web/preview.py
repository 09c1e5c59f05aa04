"""What a job would do, before it is submitted: its first sources described and planned, within seconds."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

from common.errors import PolicyError
from orchestrator.acceptance import Destinations
from orchestrator.accepting import known_of
from orchestrator.coercing import coercion
from orchestrator.describing import describe_all
from orchestrator.farm import Farm
from orchestrator.forecast import Prospect, Question, Totals, forecast
from orchestrator.ingest.found import Found, Scope
from orchestrator.ingest.mapping import Mapping
from orchestrator.ingest.sources import parse_source
from orchestrator.ingest.worklist import Supplier
from orchestrator.jobs import JobRequest
from orchestrator.ledger.schema import now
from orchestrator.listing import excluded

MOST = 40
"""Sources that a preview looks at; `cinefarm plan` looks at all."""

SECONDS = 8.0
"""A person waits no longer; what is planned by then is shown."""

_ONE = threading.Semaphore(1)
"""Previews at a time: they read files and start decoders, and the farm has other work."""


@dataclass(frozen=True)
class Preview:
    """The first items of a job as they would be planned, and their sums."""

    items: tuple[Prospect, ...]
    totals: Totals
    more: bool  # there are further sources, or the time was over


def preview(farm: Farm, request: JobRequest, mapping: Mapping | None) -> Preview:
    """Plan the first sources of a request. Nothing is written.

    Raises:
        PolicyError: a source cannot be found; another preview is being made.
        EnvironmentFault: an archive does not answer.
    """
    if not _ONE.acquire(timeout=SECONDS):
        raise PolicyError("another preview is being made", hint="Try again in a moment.")
    try:
        return _preview(farm, request, mapping)
    finally:
        _ONE.release()


def _preview(farm: Farm, request: JobRequest, mapping: Mapping | None) -> Preview:
    end = time.monotonic() + SECONDS
    with farm.reading() as session:
        takes = Destinations.of(request.destinations, known_of(session, request.destinations, request.accepts))
    supplier = Supplier(mapping, request.worklist, farm.settings)
    coercing = coercion(request.identifiers_key, now())
    question = Question(request.profile, takes, request.audio, mapping, coercing, supplier)
    totals, planned = Totals(), list[Prospect]()
    sources = _found(farm, request)
    patterns = request.profile.header_patterns
    stream = describe_all(islice(sources, MOST), farm.settings, quick=True, at_a_time=1, patterns=patterns)
    with closing(stream) as described, supplier:
        for item in forecast(described, question):
            totals.add(item)
            planned.append(item)
            if time.monotonic() > end:
                return Preview(tuple(planned), totals, more=True)
    return Preview(tuple(planned), totals, more=next(sources, None) is not None)


def _found(farm: Farm, request: JobRequest) -> Iterator[Found]:
    scope = Scope(farm.settings, excluded(request.destinations, farm.settings.state_dir), Counter())
    for source in request.sources:
        yield from parse_source(source).find(scope)
