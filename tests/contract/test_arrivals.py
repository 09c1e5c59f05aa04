"""Both ledgers: what was received is in custody until it is done, and a study becomes a job once, when it is complete."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError
from support.core import Farm
from support.modality import H264, data_set, instance

from common.errors import EnvironmentFault, PolicyError, UnreadableSource
from common.network.arrivals import arrival_key, expect, new_arrival_id, newest, settle
from common.network.reception import Arrived, StoreRequest, receive
from common.orders import Failure
from common.recipes import ARCHIVE
from common.stages import State
from common.store.folder import FolderStore
from orchestrator.jobs import JobRequest
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import Arrival, Item, Job, now
from orchestrator.listener.custody import Custody
from orchestrator.listener.rules import Rule, Rules
from orchestrator.listener.studies import start_complete

ENDOSCOPY = "1.2.840.10008.5.1.4.1.1.77.1.1.1"
RULE = Rule("endo", JobRequest((), ("/out",), ARCHIVE), hold_seconds=60, calling=("ENDO*",))
RULES = Rules((RULE,))


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "objects")


@pytest.fixture
def custody(ledger: Sessions, store: FolderStore) -> Custody:
    return Custody(ledger, store, "CINEFARM")


class Modality:
    """Sends made instances past the network."""

    def __init__(self, custody: Custody, folder: Path) -> None:
        self.custody, self.folder = custody, folder

    def made(self, uid: str = "1.2.3.4", *, study: str = "1.2.3", size: int = 2000) -> bytes:
        return data_set(instance(self.folder / "made.dcm", size, study=study, SOPInstanceUID=uid))

    def received(self, data: bytes, uid: str = "1.2.3.4", *, calling: str = "ENDO1", moved_for: str = "") -> Arrived:
        request = StoreRequest(ENDOSCOPY, uid, H264, calling, "CINEFARM", moved_for)
        return receive(request, iter([memoryview(data)]), self.custody.store)

    def send(
        self, uid: str = "1.2.3.4", *, study: str = "1.2.3", calling: str = "ENDO1", moved_for: str = ""
    ) -> Arrived:
        arrived = self.received(self.made(uid, study=study), uid, calling=calling, moved_for=moved_for)
        self.custody.keep(arrived)
        return arrived

    @property
    def rows(self) -> list[Arrival]:
        with self.custody.ledger() as session:
            return list(session.scalars(select(Arrival).order_by(Arrival.id)))

    @property
    def objects(self) -> list[str]:
        return list(self.custody.store.keys("arrivals/"))


@pytest.fixture
def modality(custody: Custody, tmp_path: Path) -> Modality:
    return Modality(custody, tmp_path)


def later(seconds: float) -> object:
    return lambda: now() + timedelta(seconds=seconds)


def start(custody: Custody, seconds: float = 61, rules: Rules = RULES, **how: object) -> int:
    return start_complete(custody.ledger, rules, clock=later(seconds), **how)  # type: ignore[arg-type]


def test_what_is_kept_has_a_row_with_all_that_rules_look_at(modality: Modality) -> None:
    arrived = modality.send()
    (row,) = modality.rows
    assert (row.id, row.key, row.digest, row.size_bytes) == (
        arrived.id,
        arrived.key,
        arrived.digest,
        arrived.size_bytes,
    )
    assert (row.state, row.calling_aet, row.called_aet, row.modality) == ("held", "ENDO1", "CINEFARM", "ES")
    assert (row.study_uid, row.sop_instance_uid, row.sop_class_uid) == ("1.2.3", "1.2.3.4", ENDOSCOPY)


def test_the_same_bytes_are_kept_once_whoever_sends_them(modality: Modality) -> None:
    data = modality.made()
    modality.custody.keep(modality.received(data))
    modality.custody.keep(modality.received(data, calling="ENDO2"))
    assert len(modality.rows) == len(modality.objects) == 1


def test_other_bytes_under_the_same_uid_lie_beside_the_first(modality: Modality) -> None:
    first, second = modality.send(), modality.send()
    assert [row.id for row in modality.rows] == [first.id, second.id]
    assert modality.objects == [first.key, second.key]
    assert newest(modality.custody.store, "1.2.3.4") == second.key


def test_bytes_that_somebody_deleted_are_taken_again(modality: Modality) -> None:
    data = modality.made()
    first = modality.received(data)
    modality.custody.keep(first)
    modality.custody.store.delete(first.key)
    second = modality.received(data)
    modality.custody.keep(second)
    assert [row.key for row in modality.rows] == modality.objects == [second.key]


def test_when_the_ledger_fails_the_bytes_stay_and_are_entered_later(
    modality: Modality, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived = modality.received(modality.made())

    def away(*_: object) -> None:
        raise OperationalError("insert", {}, Exception("away"))

    with monkeypatch.context() as patch:
        patch.setattr("orchestrator.listener.custody.in_transaction", away)
        with pytest.raises(EnvironmentFault, match="ledger"):
            modality.custody.keep(arrived)
    assert modality.custody.recover(before=new_arrival_id()) == 1
    (row,) = modality.rows
    assert (row.key, row.digest, row.study_uid, row.transfer_syntax_uid) == (arrived.key, arrived.digest, "1.2.3", H264)


def test_what_is_entered_later_learns_its_sender_when_it_is_sent_again(modality: Modality) -> None:
    data = modality.made()
    modality.received(data)  # and the listener was killed
    modality.custody.recover(before=new_arrival_id())
    start(modality.custody)
    assert [(row.calling_aet, row.state) for row in modality.rows] == [("", "unmatched")]
    modality.custody.keep(modality.received(data))
    assert [(row.calling_aet, row.state) for row in modality.rows] == [("ENDO1", "held")]
    assert len(modality.objects) == 1


def test_an_arrival_that_is_just_being_kept_is_not_taken_for_a_lost_one(modality: Modality) -> None:
    arrived = modality.received(modality.made())
    modality.custody.recover(before=new_arrival_id())
    modality.custody.keep(arrived)
    assert [(row.id, row.calling_aet) for row in modality.rows] == [(arrived.id, "ENDO1")]
    assert modality.objects == [arrived.key]


def test_a_study_becomes_a_job_when_nothing_came_for_a_while(modality: Modality, farm: Farm) -> None:
    modality.send("1.2.3.4")
    modality.send("1.2.3.5")
    modality.send("1.2.9", study="1.2.8")
    assert start(modality.custody, 59) == 0
    assert start(modality.custody, 61, receives=lambda study: study == "1.2.3") == 1
    assert start(modality.custody) == 2
    assert start(modality.custody) == 0
    with modality.custody.ledger() as session:
        jobs = {job.id: job for job in session.scalars(select(Job))}
        items = list(session.scalars(select(Item)))
    assert len(jobs) == 2
    assert all(job.listing == "listed" and job.name.startswith("endo ") for job in jobs.values())
    assert {row.item_id for row in modality.rows} == {item.id for item in items}
    assert all(row.state == "taken" and row.job_id in jobs for row in modality.rows)


def test_a_job_a_day_takes_many_studies(modality: Modality) -> None:
    rules = Rules((replace(RULE, job="day", hold_seconds=0),))
    for study in ("1.2.3", "1.2.8"):
        modality.send(f"{study}.1", study=study)
        assert start(modality.custody, 1, rules) == 1
    with modality.custody.ledger() as session:
        (job,) = session.scalars(select(Job))
        assert sorted(session.scalars(select(Item.number).where(Item.job_id == job.id))) == [1, 2]


def test_what_no_rule_takes_is_kept_until_one_does(modality: Modality) -> None:
    modality.send(calling="XRAY")
    assert start(modality.custody) == 0
    assert [row.state for row in modality.rows] == ["unmatched"]
    modality.custody.reconsider()
    assert start(modality.custody, rules=Rules((replace(RULE, calling=("*",)),))) == 1


@pytest.mark.parametrize("told", ["by the archive", "by the worker"])
def test_what_a_worker_let_an_archive_send_starts_no_job(modality: Modality, told: str) -> None:
    store = modality.custody.store
    if told == "by the worker":
        expect(store, "1.2.3.4")
    modality.send(moved_for="CINEFARM" if told == "by the archive" else "")
    assert start(modality.custody) == 0
    assert [row.state for row in modality.rows] == ["expected"]
    modality.custody.release(0)
    assert newest(store, "1.2.3.4") is not None
    settle(store, "1.2.3.4")
    _age(modality, timedelta(hours=2))
    assert modality.custody.release(0) == 1
    assert newest(store, "1.2.3.4") is None


def test_what_was_sent_for_a_worker_and_then_left_to_us_is_ours(modality: Modality) -> None:
    data = modality.made()
    modality.custody.keep(modality.received(data, moved_for="CINEFARM"))
    modality.custody.keep(modality.received(data))
    assert [row.state for row in modality.rows] == ["held"]


@pytest.mark.parametrize(
    "state", [State.DONE, State.FAILED, State.SKIPPED, State.QUARANTINED, State.CANCELLED, State.FOUND]
)
def test_bytes_are_deleted_only_when_the_item_has_been_done_for_days(modality: Modality, state: State) -> None:
    modality.send()
    start(modality.custody)
    with modality.custody.ledger.begin() as session:
        session.execute(update(Item).values(state=state, updated_at=now() - timedelta(days=8)))
    assert modality.custody.release(9) == 0
    assert modality.custody.release(7) == int(state is State.DONE)
    assert len(modality.objects) == int(state is not State.DONE)
    assert [row.state for row in modality.rows] == ["released" if state is State.DONE else "taken"]


def test_what_was_released_and_is_sent_again_is_received_again(modality: Modality) -> None:
    data = modality.made()
    modality.custody.keep(modality.received(data))
    start(modality.custody)
    with modality.custody.ledger.begin() as session:
        session.execute(update(Item).values(state=State.DONE, updated_at=now() - timedelta(days=8)))
    modality.custody.release(7)
    modality.custody.keep(modality.received(data))
    assert [row.state for row in modality.rows] == ["released", "held"]


def test_a_person_may_forget_what_no_job_works_on(modality: Modality) -> None:
    first = modality.send()
    start(modality.custody)
    with pytest.raises(PolicyError, match="works on"):
        modality.custody.forget(first.id)
    with modality.custody.ledger.begin() as session:
        session.execute(update(Item).values(state=State.FAILED))
    modality.custody.forget(first.id)
    assert not modality.objects
    with pytest.raises(PolicyError, match="no such"):
        modality.custody.forget("0" * 32)


def test_workers_read_the_arrival_where_it_lies_and_its_end_does_not_delete_it(
    modality: Modality, farm: Farm, ledger: Sessions
) -> None:
    arrived = modality.send()
    start(modality.custody)
    farm.dispatch()
    (order,) = farm.broker.sent
    assert order.source_key == arrived.key
    farm.answer(order, failure=Failure.of(UnreadableSource("broken")))
    with ledger() as session:
        assert session.scalars(select(Item.state)).one() is State.FAILED
    assert modality.objects == [arrived.key]


def test_what_was_released_is_not_waited_for(modality: Modality, farm: Farm, ledger: Sessions) -> None:
    arrived = modality.send()
    start(modality.custody)
    modality.custody.store.delete(arrived.key)
    farm.dispatch()
    with ledger() as session:
        item = session.scalars(select(Item)).one()
    assert (item.state, not farm.broker.sent) == (State.FAILED, True)
    assert "sent again" in item.failure["hint"] if item.failure else False


def test_arrival_ids_sort_by_time_and_their_keys_by_instance() -> None:
    first, second = new_arrival_id(), f"{0xFFFFFFFFFFFF:012x}{'0' * 20}"
    assert first < second
    assert arrival_key("1.2.3", first).rpartition("/")[0] == arrival_key("1.2.3", second).rpartition("/")[0]


def _age(modality: Modality, by: timedelta) -> None:
    with modality.custody.ledger.begin() as session:
        session.execute(update(Arrival).values(received_at=now() - by))
