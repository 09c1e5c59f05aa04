"""What must not grow with a job: the questions asked at every turn follow an index, and counting reads a dozen rows."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import delete, event, func, insert, select, update

from common.recipes import ARCHIVE
from common.stages import State
from orchestrator.jobs import JobRequest, submit
from orchestrator.ledger.database import Sessions, open_ledger
from orchestrator.ledger.schema import Item, Job, Tally
from orchestrator.status import progress

ITEMS = 2000


@pytest.fixture
def ledger(tmp_path: Path) -> Sessions:
    return open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")


@pytest.fixture
def job(ledger: Sessions, tmp_path: Path) -> str:
    job_id = submit(ledger, JobRequest((str(tmp_path),), (str(tmp_path / "out"),), ARCHIVE))
    rows = [
        {
            "id": uuid4().hex,
            "job_id": job_id,
            "number": number,
            "source": f"/s/{number}",
            "name": str(number),
            "size_bytes": 10,
            "mtime_ns": 0,
        }
        for number in range(ITEMS)
    ]
    with ledger.begin() as session:
        session.execute(insert(Item), rows)
    return job_id


def truly(ledger: Sessions, job_id: str) -> dict[State, int]:
    with ledger() as session:
        counted = select(Item.state, func.count()).where(Item.job_id == job_id).group_by(Item.state)
        return {state: count for state, count in session.execute(counted)}  # noqa: C416 rows are no pairs to mypy


def test_the_tallies_follow_single_and_bulk_changes(ledger: Sessions, job: str) -> None:
    with ledger.begin() as session:
        session.execute(update(Item).where(Item.number < 700).values(state=State.CANCELLED))
        for item in session.scalars(select(Item).where(Item.number >= 1990)):
            item.state, item.size_bytes = State.DONE, 1000
        session.execute(delete(Item).where(Item.number == 800))
    with ledger() as session:
        seen = progress(session, job)
    assert seen.counts == truly(ledger, job) == {State.CANCELLED: 700, State.DONE: 10, State.FOUND: 1289}
    assert seen.bytes_total == 7000 + 10_000 + 12_890
    assert seen.bytes_done == 7000 + 10_000


def test_what_is_rolled_back_is_not_counted(ledger: Sessions, job: str) -> None:
    session = ledger()
    session.execute(update(Item).values(state=State.DONE))
    session.rollback()
    session.close()
    with ledger() as reading:
        assert progress(reading, job).counts == {State.FOUND: ITEMS}


def test_the_tallies_of_a_deleted_job_go_with_it(ledger: Sessions, job: str) -> None:
    with ledger.begin() as session:
        session.execute(delete(Job).where(Job.id == job))
    with ledger() as session:
        assert session.scalar(select(func.count()).select_from(Tally)) == 0


def test_watching_a_job_reads_no_item_that_does_not_run(ledger: Sessions, job: str) -> None:
    asked: list[tuple[str, object]] = []
    engine = ledger.kw["bind"]
    event.listen(engine, "before_cursor_execute", lambda _c, _cur, text, values, *_: asked.append((text, values)))
    with ledger() as session:
        progress(session, job)
        questions = [(text, values) for text, values in asked if text.startswith("SELECT")]
        plans = [
            str(row[-1])
            for text, values in questions
            for row in session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values)
        ]
    assert questions
    assert not [line for line in plans if line.startswith("SCAN")], plans
