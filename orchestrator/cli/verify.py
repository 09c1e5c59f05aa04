"""``cinefarm verify``: what a job says that it delivered against what its destinations hold (docs/verify.md)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from orchestrator.verify.values import Difference, StudyResult, Totals

JobName = Annotated[str, typer.Argument(metavar="JOB", help="id, the beginning of an id, or a job's name")]
Read = Annotated[
    Literal["none", "sample", "all"],
    typer.Option(
        "--read", help="read instances back and compare them; a sample is one in twenty, one a study at least"
    ),
]
AtDest = Annotated[
    list[str] | None, typer.Option("--to", metavar="DEST", help="only this destination of the job; may be repeated")
]
Sources = Annotated[bool, typer.Option("--source", help="look at the sources too: still there, still the same")]
State = Annotated[Path | None, typer.Option("--state", metavar="DIR", help="state directory of the job")]
Json = Annotated[bool, typer.Option("--json", help="one JSON object a line on stdout (docs/json.md)")]

SHOWN = 20
"""Differences of one study that a person is shown; ``--json`` has all."""


def verify(
    job: JobName,
    to: AtDest = None,
    read: Read = "none",
    source: Sources = False,
    state: State = None,
    json: Json = False,
) -> int:
    """Compare a job with its destinations, study by study. Exit codes: 0 all agree, 1 differences, 2 the command was wrong."""
    from orchestrator.build import build_ledger
    from orchestrator.cli.client import settings_of
    from orchestrator.control import find_job
    from orchestrator.verify.run import Verification

    settings = settings_of(state)
    ledger = build_ledger(settings)
    with ledger() as session:
        found = find_job(session, job)
        job_id, destinations = found.id, found.destinations
    verification = Verification(ledger, job_id, _chosen(destinations, to or ()), settings, read=read, sources=source)
    lines = _json_lines if json else _text_lines
    for result in verification.results():
        for line in lines(result):
            print(line)  # noqa: T201 the answer
    for line in _json_summary(job_id, verification.totals) if json else _text_summary(verification.totals):
        print(line)  # noqa: T201 the answer
    return int(bool(verification.totals.causes))


def _chosen(destinations: list[str], wanted: list[str] | tuple[()]) -> list[str]:
    """Raises: PolicyError: a wanted one is none of the job's."""
    from common.destinations import parse_destination
    from common.errors import PolicyError

    uris = [parse_destination(text).uri for text in wanted]
    for uri in uris:
        if uri not in destinations:
            raise PolicyError(
                f"{uri} is no destination of this job", hint=f"Its destinations: {', '.join(destinations)}."
            )
    return uris or destinations


def _json_lines(result: StudyResult) -> Iterator[str]:
    from orchestrator.reports.jsonlines import line

    yield line(
        {
            "type": "study",
            "destination": result.destination,
            "study_uid": result.study_uid or None,
            "agrees": result.agrees,
            "items": result.items,
            "instances": result.instances,
            "found": result.found,
            "frames": result.frames,
            "frames_found": result.frames_found,
            "frames_unknown": result.frames_unknown,
            "digests_same": result.same,
            "digests_not_comparable": result.not_comparable,
            "others": result.others,
            "differences": [_difference(each) for each in result.differences],
        }
    )


def _difference(each: Difference) -> dict[str, Any]:
    return {
        "cause": each.cause.name.lower(),
        "item": each.item,
        "sop_instance_uid": each.sop_instance_uid or None,
        "words": f"{each.cause}: {each.words}" if each.words else each.cause.value,
    }


def _json_summary(job_id: str, totals: Totals) -> Iterator[str]:
    from orchestrator.reports.jsonlines import line

    yield line(
        {
            "type": "summary",
            "job": job_id,
            "agrees": not totals.causes,
            "studies": totals.studies,
            "items": totals.items,
            "skipped": totals.skipped,
            "instances": totals.instances,
            "found": totals.found,
            "digests_same": totals.same,
            "digests_not_comparable": totals.not_comparable,
            "others": totals.others,
            "differences": {cause.name.lower(): count for cause, count in totals.causes.items()},
        }
    )


def _text_lines(result: StudyResult) -> Iterator[str]:
    from orchestrator.cli.plain import plain

    what = result.study_uid or "items without a study"
    counts = [f"{result.found} of {result.instances} instances"]
    if result.found > result.frames_unknown:
        counts.append(f"{result.frames_found} of {result.frames} frames")
    counts += [f"{result.same} digests agree"] * bool(result.same)
    counts += [f"{result.not_comparable} digests not comparable"] * bool(result.not_comparable)
    counts += [f"{result.others} not of this job"] * bool(result.others)
    verdict = "agrees " if result.agrees else "DIFFERS"
    told = "" if result.destination == "source" else f"  {', '.join(counts)}"
    yield plain(f"{verdict}  {what}  {result.destination}{told}")
    for each in result.differences[:SHOWN]:
        item = f"item {each.item} " if each.item is not None else ""
        words = f" ({each.words})" if each.words else ""
        yield plain(f"         {item}{each.sop_instance_uid}: {each.cause}{words}".replace(" : ", ": "))
    if len(result.differences) > SHOWN:
        yield f"         … and {len(result.differences) - SHOWN} more: --json has all"


def _text_summary(totals: Totals) -> Iterator[str]:
    skipped = f", {totals.skipped} skipped" if totals.skipped else ""
    yield (
        f"{totals.studies} studies, {totals.items} items{skipped}; {totals.found} of {totals.instances} instances found, "
        f"{totals.same} digests agree, {totals.not_comparable} not comparable, {totals.others} instances of others"
    )
    if not totals.causes:
        yield "source and destination agree"
    for cause, count in sorted(totals.causes.items()):
        yield f"{count} {cause}"
