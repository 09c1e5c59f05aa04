"""A plan as an errand: list, describe and plan what a job would take, without a job; the lines are those of ``cinefarm plan --json``."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from typing import Any

from common.dicom.identifiers import Identifiers
from common.recipes import Audio
from common.settings import Settings, default_cpu_slots
from common.store import ObjectStore
from orchestrator.acceptance import Destinations
from orchestrator.accepting import known_of
from orchestrator.coercing import coercion
from orchestrator.describing import describe_all
from orchestrator.errands import Run
from orchestrator.forecast import Question, Totals, forecast
from orchestrator.ingest.found import Found, Scope
from orchestrator.ingest.sources import parse_source
from orchestrator.ingest.worklist import Supplier
from orchestrator.jobs import JobRequest
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import now
from orchestrator.listing import excluded, stored_mapping
from orchestrator.reports import planlines

PAGE = 200
PAGE_SECONDS = 1.0
"""A page of lines is kept when it is full, or so old: people watch it grow."""


def plan_errand(
    run: Run, request: JobRequest, most: int, settings: Settings, ledger: Sessions, store: ObjectStore
) -> dict[str, Any]:
    """Plan at most ``most`` sources; returns the summary of docs/json.md.

    Raises:
        PolicyError, EnvironmentFault: a source cannot be listed.
    """
    with ledger() as session:
        destinations = Destinations.of(request.destinations, known_of(session, request.destinations, request.accepts))
    mapping = stored_mapping(store, request.mapping_key, worklist=request.worklist is not None)
    key = request.identifiers_key
    rules = Identifiers.model_validate_json(store.get(key)) if key else None
    supplier = Supplier(mapping, request.worklist, settings)
    question = Question(request.profile, destinations, Audio(request.audio), mapping, coercion(key, now()), supplier)
    scope = Scope(settings, excluded(request.destinations, settings.state_dir), Counter(), run.unwanted.is_set)
    totals, lines, kept_at = Totals(), list[str](), time.monotonic()
    readers = len(os.sched_getaffinity(0))
    stream = describe_all(
        islice(_found(request, scope), most),
        settings,
        quick=True,
        at_a_time=readers,
        rules=rules,
        patterns=request.profile.header_patterns,
    )
    with closing(stream) as described, supplier:
        for item in forecast(described, question):
            if run.unwanted.is_set():
                return {}
            totals.add(item)
            lines.append(planlines.item_line(item))
            if len(lines) >= PAGE or time.monotonic() - kept_at > PAGE_SECONDS:
                run.add(lines)
                lines, kept_at = [], time.monotonic()
    run.add(lines)
    estimate = planlines.Estimate(totals, settings.cpu_slots or default_cpu_slots())
    summary: dict[str, Any] = json.loads(planlines.summary_line(estimate, request))
    return summary


def _found(request: JobRequest, scope: Scope) -> Iterator[Found]:
    for source in request.sources:
        yield from parse_source(source).find(scope)
