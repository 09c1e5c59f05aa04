"""From arrivals to jobs: a study that nothing was added to for a while is complete, and its objects become the items of a job."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby
from uuid import uuid4

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from common.logs import logger
from common.stages import State
from orchestrator.jobs import JobRequest, enter
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import Arrival, Item, Job, now
from orchestrator.listener.custody import HELD, TAKEN, UNMATCHED
from orchestrator.listener.rules import Rule, Rules
from orchestrator.work import arrival_source

log = logger(__name__)

STUDIES = 100
"""Studies looked at in one turn."""


def start_complete(
    ledger: Sessions,
    rules: Rules,
    *,
    receives: Callable[[str], bool] = lambda _: False,
    clock: Callable[[], datetime] = now,
) -> int:
    """Turn the arrivals of complete studies into items of jobs; what no rule takes is marked so. Returns how many items.

    ``receives``: whether an instance of a study is on its way at this moment.
    """
    started = 0
    for study_uid in _held_studies(ledger):
        if not receives(study_uid):
            with ledger.begin() as session:
                started += _start(session, study_uid, rules, clock())
    return started


def _held_studies(ledger: Sessions) -> Sequence[str]:
    """Those that wait longest first: the others are looked at again at the next turn."""
    statement = select(Arrival.study_uid).where(Arrival.state == HELD).group_by(Arrival.study_uid)
    with ledger() as session:
        return session.scalars(statement.order_by(func.max(Arrival.received_at)).limit(STUDIES)).all()


def _start(session: Session, study_uid: str, rules: Rules, moment: datetime) -> int:
    held = select(Arrival).where(Arrival.study_uid == study_uid, Arrival.state == HELD).order_by(Arrival.id)
    started = 0
    for rule, group in _by_rule(session.scalars(held.with_for_update(skip_locked=True)).all(), rules):
        if rule is None:
            for arrival in group:
                arrival.state = UNMATCHED
            log.warning("arrivals_unmatched", count=len(group), calling=group[0].calling_aet)
        elif moment - max(arrival.received_at for arrival in group) >= timedelta(seconds=rule.hold_seconds):
            _add_items(session, rule, group, moment)
            started += len(group)
    return started


def _by_rule(arrivals: Sequence[Arrival], rules: Rules) -> Iterator[tuple[Rule | None, list[Arrival]]]:
    def order(pair: tuple[Rule | None, Arrival]) -> str:
        return pair[0].name if pair[0] else ""

    pairs = sorted(((rules.rule_for(arrival), arrival) for arrival in arrivals), key=order)
    for _, group in groupby(pairs, key=order):
        some = list(group)
        yield some[0][0], [arrival for _, arrival in some]


def _add_items(session: Session, rule: Rule, arrivals: Sequence[Arrival], moment: datetime) -> None:
    job = enter(session, _request(rule, arrivals[0], moment), by="a rule of the listener")
    job.listing = "listed"  # nobody needs to look for them
    session.flush()
    number = session.scalar(select(func.max(Item.number)).where(Item.job_id == job.id)) or 0
    for arrival in arrivals:
        number += 1
        item = _item(job, number, arrival)
        session.add(item)
        arrival.state, arrival.job_id, arrival.item_id = TAKEN, job.id, item.id
    log.info("job_started", job=job.id, rule=rule.name, items=len(arrivals))


def _item(job: Job, number: int, arrival: Arrival) -> Item:
    return Item(
        id=uuid4().hex,
        job_id=job.id,
        number=number,
        source=arrival_source(arrival.key),
        name=f"{arrival.sop_instance_uid}.dcm",
        size_bytes=arrival.size_bytes,
        mtime_ns=int(arrival.received_at.timestamp() * 1e9),
        state=State.FOUND,
    )


def _request(rule: Rule, first: Arrival, moment: datetime) -> JobRequest:
    """The rule's job. Its source, which is part of its key, names the study's first arrival, or the day; no patient data."""
    occasion = f"{moment:%Y-%m-%d}" if rule.job == "day" else first.id
    name = f"{rule.name} {first.received_at:%Y-%m-%d %H:%M}" if rule.job == "study" else f"{rule.name} {occasion}"
    return replace(rule.request, sources=(f"arrivals://{rule.name}/{occasion}",), name=name[:200])
