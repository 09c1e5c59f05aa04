"""Both ledgers: items whose source lies in an archive are listed once, fetched within its limits, and known by their size later."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import select
from support.core import Farm

from common.errors import DestinationUnavailable, UnreadableSource
from common.media import Description
from common.orders import DescribeDone, Failure, Retrieval
from common.stages import State
from orchestrator import jobs
from orchestrator.breaker import AWAY_IN_A_ROW
from orchestrator.control import retry
from orchestrator.ingest.found import Found, Scope
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import Destination, Item, Job
from orchestrator.limits import DestinationLimit, limit_destination

PACS = "dicom://PACS@archive:104"
AWAY = Failure.of(DestinationUnavailable("away"))


def retrieval(number: int) -> Retrieval:
    return Retrieval(place=PACS, study_uid="1.2", series_uid="1.3", sop_instance_uid=f"1.4.{number}")


def found(number: int, problem: UnreadableSource | None = None) -> Found:
    name = f"1.2/1.3/1.4.{number}" if problem is None else "1.2/1.9/"
    return Found(name, 0, 0, name, problem, uri=f"{PACS}/{name}", retrieval=None if problem else retrieval(number))  # type: ignore[arg-type]


@dataclass
class Query:
    """A source that answers with ``rows``."""

    rows: list[Found] = field(default_factory=list)

    def find(self, _scope: Scope) -> Iterator[Found]:
        yield from self.rows


@pytest.fixture
def query(monkeypatch: pytest.MonkeyPatch) -> Query:
    source = Query()
    monkeypatch.setattr(jobs, "parse_source", lambda _text: source)
    return source


@pytest.fixture
def fetched(farm: Farm, add_item: Callable[..., str], broker: Any) -> Callable[[int], list[str]]:
    """Makes items of a job whose only source is the archive."""
    broker.offered = {"describe": 10, "cpu": 10, "deliver": 10}
    with farm.ledger.begin() as session:
        session.get_one(Job, "job").sources = [f"{PACS}?StudyDate=20190101"]

    def add(count: int) -> list[str]:
        return [add_item(size_bytes=0, retrieval=retrieval(n).model_dump(mode="json")) for n in range(count)]

    return add


def listed(farm: Farm, query: Query, *rows: Found) -> list[tuple[str, State]]:
    query.rows = list(rows)
    jobs.ingest(farm.ledger, farm.store, "job", ["the archive"], None, ())
    with farm.ledger() as session:
        return [(item.name, item.state) for item in session.scalars(select(Item).order_by(Item.number))]


def limit(ledger: Sessions, **values: Any) -> None:
    with ledger.begin() as session:
        limit_destination(session, PACS, DestinationLimit(**values))


def test_listing_again_adds_nothing_and_starts_nothing_again(farm: Farm, job: str, query: Query) -> None:
    listed(farm, query, found(1), found(2))
    with farm.ledger.begin() as session:
        for item in session.scalars(select(Item)):
            item.state, item.size_bytes = State.DONE, 1000
    again = listed(farm, query, found(1), found(2), found(3))
    assert [state for _, state in again] == [State.DONE, State.DONE, State.FOUND]


def test_a_series_that_could_not_be_listed_is_forgotten_once_it_can(farm: Farm, job: str, query: Query) -> None:
    broken = listed(farm, query, found(1), found(9, UnreadableSource("too many")))
    assert ("1.2/1.9/", State.FAILED) in broken
    assert listed(farm, query, found(1)) == [("1.2/1.3/1.4.1", State.FOUND)]


def test_a_fetch_says_where_from_and_no_path(farm: Farm, fetched: Callable[[int], list[str]], broker: Any) -> None:
    fetched(1)
    farm.dispatch()
    (order,) = broker.sent
    assert (order.retrieval.place, order.retrieval.sop_instance_uid, order.name_hint) == (PACS, "1.4.0", "")


def test_an_archive_is_asked_for_no_more_at_a_time_than_it_bears(
    farm: Farm, fetched: Callable[[int], list[str]], broker: Any, description: Description
) -> None:
    limit(farm.ledger, concurrent=2, bytes_per_second=1_000_000)
    fetched(5)
    farm.dispatch()
    farm.dispatch()
    assert len(broker.sent) == 2
    assert {(order.retrieval.bytes_per_second, order.retrieval.sharers) for order in broker.sent} == {(1_000_000, 2)}
    farm.answer(broker.sent[0], DescribeDone(description=description))
    farm.dispatch()
    assert len([order for order in broker.sent if order.kind == "describe"]) == 3


def test_a_full_archive_does_not_hold_up_a_folder(
    farm: Farm, fetched: Callable[[int], list[str]], add_item: Callable[..., str], broker: Any
) -> None:
    limit(farm.ledger, concurrent=1)
    fetched(4)
    with farm.ledger.begin() as session:
        session.get_one(Job, "job").sources = [f"{PACS}?StudyDate=20190101", "/folder"]
    add_item()
    farm.dispatch()
    farm.dispatch()
    assert sorted(order.retrieval is None for order in broker.sent) == [False, True]


def test_an_archive_that_is_away_is_left_alone_for_a_while(
    farm: Farm, fetched: Callable[[int], list[str]], broker: Any
) -> None:
    with farm.ledger.begin() as session:
        session.get_one(Job, "job").patience_seconds = 3600.0
    fetched(AWAY_IN_A_ROW + 3)
    farm.dispatch()
    for order in list(broker.sent)[:AWAY_IN_A_ROW]:
        farm.answer(order, failure=AWAY)
    with farm.ledger() as session:
        assert session.get_one(Destination, PACS).paused_until is not None


def test_the_size_is_known_when_the_source_has_come(
    farm: Farm, fetched: Callable[[int], list[str]], broker: Any, description: Description
) -> None:
    (item,) = fetched(1)
    farm.dispatch()
    farm.answer(broker.sent[0], DescribeDone(description=description))
    assert farm.item(item).size_bytes == description.size_bytes


def test_a_retry_fetches_again(farm: Farm, fetched: Callable[[int], list[str]], broker: Any) -> None:
    (item,) = fetched(1)
    farm.dispatch()
    farm.answer(broker.sent[0], failure=Failure.of(UnreadableSource("gone")))
    assert farm.item(item).state is State.FAILED
    retry(farm.ledger, "job")
    farm.dispatch()
    assert [order.retrieval.sop_instance_uid for order in broker.sent] == ["1.4.0", "1.4.0"]
