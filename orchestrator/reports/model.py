"""Read the ledger for reports; the items of a job come in batches, never all at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, cast, func, select
from sqlalchemy.orm import Session, defer

from common.orders import Failure, Path, Plan, TranscodeDone
from common.stages import State
from orchestrator.ingest.sources import shown
from orchestrator.ledger.schema import Attempt, Delivery, Item, Job, now
from orchestrator.reports.values import DeliveryReport, ItemReport, JobReport, PathTotal
from orchestrator.reports.words import uid_name

__all__ = ["ItemReport", "JobReport", "items", "job_report"]

BATCH = 500
"""Items read at a time: a few megabytes, and two small extra queries for each batch."""


def job_report(session: Session, job_id: str) -> JobReport:
    """The totals of a job.

    Raises:
        sqlalchemy.exc.NoResultFound: there is no such job.
    """
    job = session.get_one(Job, job_id)
    groups = _groups(session, job_id)
    done = [group for group in groups if group.state is State.DONE]
    return JobReport(
        job_id=job.id,
        created_at=job.created_at,
        changed_at=max((group.changed for group in groups), default=job.created_at),
        reported_at=now(),
        sources=tuple(map(shown, job.sources)),
        destinations=tuple(job.destinations),
        profile=str(job.profile["name"]),
        counts={s: n for s in State if (n := sum(group.items for group in groups if group.state is s))},
        paths={p: _path_total([group for group in done if group.path == p]) for p in _paths(done)},
        bytes_total=sum(group.before for group in groups),
        bytes_before=sum(group.before for group in done),
        bytes_after=sum(group.after for group in done),
        work_seconds=sum(group.seconds for group in groups),
        estimated_seconds=sum(group.estimated_seconds for group in groups),
        estimated_bytes=sum(group.estimated_bytes for group in groups),
    )


@dataclass(frozen=True)
class _Group:
    """The items of one state and one path."""

    state: State
    path: str | None
    items: int
    changed: datetime
    before: int
    after: int
    seconds: float
    estimated_seconds: float
    estimated_bytes: int


def _groups(session: Session, job_id: str) -> list[_Group]:
    # the inner query names the JSON members once: PostgreSQL groups by names, not by expressions with parameters
    facts = (
        select(
            Item.state.label("state"),
            Item.plan["path"].as_string().label("path"),
            Item.updated_at.label("changed"),
            Item.size_bytes.label("before"),
            _big(Item.result["instance_bytes"]).label("after"),
            Item.work_seconds.label("seconds"),
            Item.plan["estimated_seconds"].as_float().label("estimated_seconds"),
            _big(Item.plan["estimated_bytes"]).label("estimated_bytes"),
        )
        .where(Item.job_id == job_id)
        .subquery()
    ).c
    sums = (facts.before, facts.after, facts.seconds, facts.estimated_seconds, facts.estimated_bytes)
    rows = session.execute(
        select(facts.state, facts.path, func.count(), func.max(facts.changed), *map(func.sum, sums)).group_by(
            facts.state, facts.path
        )
    )
    return [_group(*row) for row in rows]


def _group(state: State, path: str | None, count: int, changed: datetime, *sums: float | None) -> _Group:
    before, after, seconds, estimated_seconds, estimated_bytes = (value or 0 for value in sums)
    return _Group(
        state,
        path,
        count,
        changed,
        int(before),
        int(after),
        float(seconds),
        float(estimated_seconds),
        int(estimated_bytes),
    )


def _big(member: Any) -> ColumnElement[int]:
    """A JSON number of up to 64 bits; ``as_integer`` is 32 bits wide on PostgreSQL."""
    return cast(member.as_string(), BigInteger)


def _paths(done: Sequence[_Group]) -> list[Path]:
    return [path for path in Path if any(group.path == path for group in done)]


def _path_total(groups: Sequence[_Group]) -> PathTotal:
    return PathTotal(
        items=sum(group.items for group in groups),
        bytes_before=sum(group.before for group in groups),
        bytes_after=sum(group.after for group in groups),
    )


def items(
    session: Session,
    job_id: str,
    states: Collection[State] | None = None,
    *,
    numbers: Collection[int] | None = None,
    most: int | None = None,
) -> Iterator[ItemReport]:
    """The items of a job in the order of finding, or only those in ``states``, of these ``numbers``, or so many at ``most``.

    Memory is that of one batch.
    """
    unread = (defer(Item.description), defer(Item.split), defer(Item.retrieval))  # half of a row, and not shown
    statement = select(Item).options(*unread).where(Item.job_id == job_id).order_by(Item.number, Item.id)
    if states is not None:
        statement = statement.where(Item.state.in_(states))
    if numbers is not None:
        statement = statement.where(Item.number.in_(numbers))
    if most is not None:
        statement = statement.limit(most)
    for batch in session.scalars(statement.execution_options(yield_per=BATCH)).partitions():
        ids = [item.id for item in batch]
        deliveries = _deliveries(session, ids)
        attempts = _attempts(session, ids)
        for item in batch:
            yield _item_report(item, deliveries.get(item.id, ()), attempts.get(item.id, 0))


def item_report(session: Session, item: Item) -> ItemReport:
    """One item as reports show it."""
    return _item_report(
        item, _deliveries(session, [item.id]).get(item.id, ()), _attempts(session, [item.id]).get(item.id, 0)
    )


def _deliveries(session: Session, ids: list[str]) -> dict[str, tuple[DeliveryReport, ...]]:
    found: dict[str, tuple[DeliveryReport, ...]] = {}
    for row in session.scalars(select(Delivery).where(Delivery.item_id.in_(ids)).order_by(Delivery.id)):
        report = DeliveryReport(row.destination, row.state, row.location, row.proof, _failure(row.failure))
        found[row.item_id] = (*found.get(row.item_id, ()), report)
    return found


def _attempts(session: Session, ids: list[str]) -> dict[str, int]:
    statement = select(Attempt.item_id, func.count()).where(Attempt.item_id.in_(ids)).group_by(Attempt.item_id)
    return {item_id: count for item_id, count in session.execute(statement)}  # noqa: C416 rows are no pairs to mypy


def _item_report(item: Item, deliveries: tuple[DeliveryReport, ...], attempts: int) -> ItemReport:
    plan = Plan.model_validate(item.plan) if item.plan else None
    made = TranscodeDone.model_validate(item.result) if item.result else None
    sop_class_uid = (made and made.sop_class_uid) or (plan.sop_class_uid if plan else "")
    syntax_uid = (made and made.transfer_syntax_uid) or (plan.transfer_syntax_uid if plan else "")
    return ItemReport(
        number=item.number,
        name=item.name,
        state=item.state,
        reason=item.reason,
        plan=plan,
        sop_class_uid=sop_class_uid,
        sop_class=uid_name(sop_class_uid),
        transfer_syntax_uid=syntax_uid,
        transfer_syntax=uid_name(syntax_uid),
        bytes_before=item.size_bytes,
        bytes_after=(made.instance_bytes or None) if made else None,
        scores=made.scores if made else {},
        passed=_passed(made) if made else None,
        misses=made.verdict.misses if made else (),
        remarks=made.remarks if made else (),
        findings=made.findings if made else (),
        sop_instance_uid=made.sop_instance_uid if made else "",
        instance_digest=made.instance_digest if made else "",
        evidence_keys=made.evidence_keys if made else (),
        attempts=attempts,
        seconds=item.work_seconds,
        deliveries=deliveries,
        failure=_failure(item.failure),
        instances=made.instances if made else (),
        coerced=made.coerced if made else False,
        item_id=item.id,
        source_digest=item.digest or "",
        study_uid=item.study_uid or "",
        quality_number=_quality(plan, made),
        updated_at=item.updated_at,
    )


def _quality(plan: Plan | None, made: TranscodeDone | None) -> int | None:
    if made is None or plan is None or plan.path is not Path.ENCODE or plan.recipe is None:
        return None
    return plan.recipe.crf if made.quality_number is None else made.quality_number


def _passed(made: TranscodeDone) -> bool | None:
    if made.verdict.passed and not made.scores:
        return None  # nothing was decoded, so nothing was measured
    return made.verdict.passed


def _failure(stored: dict[str, object] | None) -> Failure | None:
    return Failure.model_validate(stored) if stored else None
