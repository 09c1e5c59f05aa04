"""Between delivered and committed, on both ledgers: what archives are asked, what their answers do, also late and twice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from support.core import Farm, MemoryBroker, made

from common.errors import DestinationUnavailable, NotAnswered
from common.leases import Lease
from common.orders import (
    CommitDone,
    CommitReport,
    DeliverDone,
    Different,
    Done,
    Failure,
    InstancePart,
    TranscodeDone,
    Uncommitted,
    VerifyDone,
)
from common.stages import State
from common.store.folder import FolderStore
from orchestrator.acceptance import Acceptance
from orchestrator.accepting import state_acceptance
from orchestrator.commitment import ask_again, record_report
from orchestrator.dispatcher import dispatch
from orchestrator.ledger.audit import gaps
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import Commitment, Delivery, Item, Job, StateChange, now
from orchestrator.proof import Patience
from orchestrator.reconciler import delete_orphans, recover_attempts
from orchestrator.recorder import Recorder

PACS = "dicom://PACS@archive:104"
HOUR = timedelta(hours=1)


class Archive:
    """A farm whose items are produced and go to one archive, and a clock that can be put forward."""

    def __init__(self, farm: Farm, patience: Patience) -> None:
        self.farm, self.patience, self.later = farm, patience, timedelta()
        farm.recorder = Recorder(farm.ledger, farm.store, max_attempts=3, patience=patience)

    def orders(self) -> list[Any]:
        """What goes out now."""
        before = len(self.farm.broker.sent)
        dispatch(
            self.farm.ledger,
            self.farm.broker,
            self.farm.store,
            patience=self.patience,
            clock=lambda: now() + self.later,
        )
        return list(self.farm.broker.sent[before:])

    def order(self) -> Any:
        (only,) = self.orders()
        return only

    def deliver(self, proof: str = "status 0000") -> Any:
        """Deliver all, and return the question that follows."""
        for order in self.orders():
            assert order.kind == "deliver"
            self.farm.answer(order, DeliverDone(location=order.sop_instance_uid, proof=proof))
        return self.order()

    def answer(self, order: Any, done: Done | None = None, failure: Failure | None = None) -> None:
        self.farm.answer(order, done, failure)

    def state(self, item: str) -> State:
        return self.farm.item(item).state

    def delivery(self) -> Delivery:
        with self.farm.ledger() as session:
            return session.scalars(select(Delivery).order_by(Delivery.id)).first() or pytest.fail("no delivery")

    def report(self, order: Any, *failed: tuple[str, int]) -> bool:
        """The archive reports on an association of its own."""
        lost = {uid for uid, _ in failed}
        committed = [one.sop_instance_uid for one in order.instances if one.sop_instance_uid not in lost]
        return record_report(self.farm.ledger, order.transaction_uid, committed, failed, self.farm.store)


def reported(order: Any, *failed: tuple[str, int]) -> CommitDone:
    lost = {uid for uid, _ in failed}
    return CommitDone(
        report=CommitReport(
            transaction_uid=order.transaction_uid,
            committed=tuple(one.sop_instance_uid for one in order.instances if one.sop_instance_uid not in lost),
            failed=tuple(Uncommitted(sop_instance_uid=uid, reason=reason) for uid, reason in failed),
        )
    )


@pytest.fixture
def produced(
    farm: Farm, ledger: Sessions, store: FolderStore, add_item: Callable[..., str], job: str
) -> Callable[..., str]:
    """An item whose instance, or two parts, lie in the store, with its delivery to the archive pending."""
    with ledger.begin() as session:
        session.get_one(Job, job).destinations = [PACS]

    def produce(parts: int = 1) -> str:
        item = add_item(state=State.PRODUCED, digest="ab" * 32)
        keys = [f"results/ab/{'ab' * 32}/{item}/instance-{number}.dcm" for number in range(1, parts + 1)]
        each = tuple(
            InstancePart(
                instance_key=key, instance_digest="d", instance_bytes=1, sop_instance_uid=f"2.25.{item[4:]}{number}"
            )
            for number, key in enumerate(keys)
        )
        for key in keys:
            store.put(key, b"x")
        result: TranscodeDone = made().model_copy(
            update={
                "instance_key": keys[0],
                "instance_bytes": parts,
                "sop_instance_uid": each[0].sop_instance_uid,
                "parts": each if parts > 1 else (),
            }
        )
        with ledger.begin() as session:
            session.get_one(Item, item).result = result.model_dump(mode="json")
            session.add(Delivery(item_id=item, job_id=job, destination=PACS, state="pending"))
            session.add(StateChange(job_id=job, item_id=item, before="found", after="produced"))
        return item

    return produce


@pytest.fixture
def archive(farm: Farm) -> Archive:
    return Archive(farm, Patience())


def accept(ledger: Sessions, **fields: Any) -> None:
    with ledger.begin() as session:
        state_acceptance(session, Acceptance.of(PACS).model_copy(update=fields))


def test_a_delivered_item_is_done_when_its_archive_has_committed_and_not_before(
    archive: Archive, produced: Callable[..., str], store: FolderStore
) -> None:
    item = produced()
    asked = archive.deliver()
    assert asked.kind == "commit"
    assert archive.state(item) is State.DELIVERED
    assert delete_orphans(archive.farm.ledger, store) == 0  # an archive may say that it lost it
    archive.answer(asked, reported(asked))
    assert archive.state(item) is State.DONE
    assert "committed" in archive.delivery().proof
    assert asked.transaction_uid in archive.delivery().proof
    assert not list(store.keys("results/"))


def test_that_the_archive_took_the_request_is_no_commitment(archive: Archive, produced: Callable[..., str]) -> None:
    item = produced()
    archive.answer(archive.deliver(), CommitDone())
    assert archive.state(item) is State.DELIVERED
    assert archive.orders() == []


def test_one_request_covers_all_that_wait(archive: Archive, produced: Callable[..., str]) -> None:
    items = [produced() for _ in range(4)]
    asked = archive.deliver()
    assert len(asked.instances) == len(items)
    archive.answer(asked, reported(asked))
    assert {archive.state(item) for item in items} == {State.DONE}


def test_a_report_on_a_later_association_commits_and_comes_again_without_harm(
    archive: Archive, produced: Callable[..., str], store: FolderStore
) -> None:
    item = produced()
    asked = archive.deliver()
    archive.answer(asked, CommitDone())
    assert archive.report(asked)
    assert archive.state(item) is State.DONE
    assert not list(store.keys("results/"))
    assert archive.report(asked)
    assert list(gaps(archive.farm.ledger, "job")) == []


def test_a_report_that_overtakes_the_answer_to_its_request_counts(
    archive: Archive, produced: Callable[..., str]
) -> None:
    item = produced()
    asked = archive.deliver()
    assert archive.report(asked)
    archive.answer(asked, CommitDone())
    assert archive.state(item) is State.DONE


def test_a_report_that_nobody_asked_for_is_said_to_be_unknown(ledger: Sessions) -> None:
    assert not record_report(ledger, "1.2.3", ["1.4"], [])


def test_a_report_that_comes_after_a_restart_commits(archive: Archive, produced: Callable[..., str]) -> None:
    item = produced()
    asked = archive.deliver()  # the farm dies before the worker has answered
    recover_attempts(archive.farm.ledger)
    archive.answer(asked, CommitDone())  # of an attempt that is over: dropped
    again = archive.order()
    assert again.transaction_uid != asked.transaction_uid
    assert archive.report(asked)
    assert archive.state(item) is State.DONE
    assert archive.report(again)
    assert list(gaps(archive.farm.ledger, "job")) == []


def test_what_the_archive_lacks_is_sent_again_once_and_the_rest_is_not(
    archive: Archive, produced: Callable[..., str]
) -> None:
    first, second = produced(), produced()
    asked = archive.deliver()
    lost = asked.instances[1].sop_instance_uid
    archive.answer(asked, reported(asked, (lost, 0x0112)))
    assert (archive.state(first), archive.state(second)) == (State.DONE, State.PRODUCED)
    resent = archive.order()
    assert (resent.kind, resent.sop_instance_uid) == ("deliver", lost)
    archive.answer(resent, DeliverDone(location=lost, proof="status 0000"))
    assert archive.report(asked, (lost, 0x0112))  # the archive says it again: of the bytes before
    again = archive.order()
    assert [one.sop_instance_uid for one in again.instances] == [lost]
    archive.answer(again, reported(again))
    assert archive.state(second) is State.DONE
    assert list(gaps(archive.farm.ledger, "job")) == []


def test_of_a_split_item_only_the_lost_part_is_sent_again(archive: Archive, produced: Callable[..., str]) -> None:
    item = produced(parts=3)
    asked = archive.deliver()
    lost = asked.instances[1]
    archive.answer(asked, reported(asked, (lost.sop_instance_uid, 0x0112)))
    resent = archive.order()
    assert [one.instance_key for one in resent.each] == [lost.instance_key]
    archive.answer(resent, DeliverDone(location=lost.sop_instance_uid, proof="status 0000"))
    again = archive.order()
    assert len(again.instances) == 3
    archive.answer(again, reported(again))
    assert archive.state(item) is State.DONE


def test_an_archive_that_loses_it_every_time_fails_the_item(archive: Archive, produced: Callable[..., str]) -> None:
    item = produced()
    for _ in range(4):
        asked = archive.deliver()
        archive.answer(asked, reported(asked, (asked.instances[0].sop_instance_uid, 0x0112)))
    assert archive.state(item) is State.FAILED
    assert "no such object instance (0112)" in archive.farm.item(item).reason


@pytest.mark.parametrize("reason", [0x0110, 0x0213, 0x0131])
def test_a_failure_that_may_pass_is_asked_about_later_as_a_new_transaction(
    archive: Archive, produced: Callable[..., str], reason: int
) -> None:
    item = produced()
    asked = archive.deliver()
    archive.answer(asked, reported(asked, (asked.instances[0].sop_instance_uid, reason)))
    assert archive.orders() == []
    archive.later = timedelta(minutes=1)
    again = archive.order()
    assert again.transaction_uid != asked.transaction_uid
    archive.answer(again, reported(again))
    assert archive.state(item) is State.DONE


def test_another_class_under_this_uid_fails_the_item(archive: Archive, produced: Callable[..., str]) -> None:
    item = produced()
    asked = archive.deliver()
    archive.answer(asked, reported(asked, (asked.instances[0].sop_instance_uid, 0x0119)))
    assert archive.state(item) is State.FAILED
    assert archive.farm.item(item).failure["code"] == "NotProven"  # type: ignore[index]


def test_no_answer_for_hours_is_asked_again_as_a_new_transaction_and_given_up_after_two_days(
    archive: Archive, produced: Callable[..., str], ledger: Sessions
) -> None:
    item = produced()
    asked = archive.deliver()
    archive.answer(asked, CommitDone())
    archive.later = 5 * HOUR
    assert archive.orders() == []
    archive.later = 7 * HOUR
    again = archive.order()
    assert again.transaction_uid != asked.transaction_uid
    archive.answer(again, CommitDone())
    archive.later = 49 * HOUR
    assert archive.orders() == []
    assert archive.state(item) is State.FAILED
    assert "48 h ago" in archive.farm.item(item).reason
    with ledger() as session:
        assert [one.state for one in session.scalars(select(Commitment))] == ["accepted", "accepted"]


def test_a_new_run_asks_at_once_and_does_not_wait_for_hours(archive: Archive, produced: Callable[..., str]) -> None:
    produced()
    asked = archive.deliver()
    archive.answer(asked, CommitDone())
    ask_again(archive.farm.ledger, "job")
    assert archive.order().transaction_uid != asked.transaction_uid


def test_an_archive_that_must_commit_and_refuses_fails_the_item(
    archive: Archive, produced: Callable[..., str], ledger: Sessions
) -> None:
    item = produced()
    accept(ledger, commitment="yes")
    archive.answer(archive.deliver(), CommitDone(refused="it does not offer storage commitment"))
    assert archive.state(item) is State.FAILED


def test_an_archive_that_refuses_commitment_is_counted_and_not_asked_for_it_again(
    archive: Archive, produced: Callable[..., str]
) -> None:
    first = produced()
    archive.answer(archive.deliver(), CommitDone(refused="it does not offer storage commitment"))
    asked = archive.order()
    assert asked.kind == "count"
    archive.answer(asked, VerifyDone(found=(asked.instances[0].sop_instance_uid,), proof="found by C-FIND"))
    assert archive.state(first) is State.DONE
    assert archive.delivery().proof.endswith("found by C-FIND")
    produced()
    assert archive.deliver().kind == "count"


def test_an_archive_that_is_asked_for_nothing_is_believed(
    archive: Archive, produced: Callable[..., str], ledger: Sessions
) -> None:
    item = produced()
    accept(ledger, commitment="no", verify="none")
    archive.answer(archive.order(), DeliverDone(location="1", proof="status 0000"))
    assert archive.orders() == []
    assert archive.state(item) is State.DONE


@pytest.mark.parametrize(("verify", "state"), [("unknown", State.DONE), ("count", State.FAILED)])
def test_an_archive_that_answers_no_queries_is_believed_only_where_nobody_stated_that_it_must(
    archive: Archive, produced: Callable[..., str], ledger: Sessions, verify: str, state: State
) -> None:
    item = produced()
    accept(ledger, commitment="no", verify=verify)
    archive.answer(archive.deliver(), VerifyDone(unable="it answers no queries"))
    assert archive.state(item) is state
    if state is State.DONE:
        assert "not verified: it answers no queries" in archive.delivery().proof


def test_what_the_archive_does_not_find_is_looked_for_again_and_then_sent_again(
    archive: Archive, produced: Callable[..., str], ledger: Sessions
) -> None:
    produced()
    accept(ledger, commitment="no", verify="count")
    asked = archive.deliver()
    for minutes in (1, 3, 10):
        archive.answer(asked, VerifyDone(missing=(asked.instances[0].sop_instance_uid,)))
        archive.later = timedelta()
        assert archive.orders() == []
        archive.later = timedelta(minutes=minutes)
        asked = archive.order()
        assert asked.kind == "count"
    archive.answer(asked, VerifyDone(missing=(asked.instances[0].sop_instance_uid,)))
    assert archive.order().kind == "deliver"


def test_bytes_that_come_back_different_fail_the_item_and_ours_are_kept(
    archive: Archive, produced: Callable[..., str], ledger: Sessions, store: FolderStore
) -> None:
    item = produced()
    accept(ledger, commitment="no", verify="all")
    asked = archive.deliver()
    assert asked.kind == "read"
    uid = asked.instances[0].sop_instance_uid
    archive.answer(
        asked, VerifyDone(different=(Different(sop_instance_uid=uid, words="the bytes of Pixel Data"),), read=True)
    )
    assert archive.state(item) is State.FAILED
    assert "the bytes of Pixel Data" in archive.farm.item(item).reason
    assert list(store.keys("results/"))


def test_an_instance_stored_with_a_warning_is_read_back_before_it_is_committed(
    archive: Archive, produced: Callable[..., str]
) -> None:
    item = produced()
    asked = archive.deliver(proof="status B000 (coercion of data elements)")
    assert asked.kind == "read"
    archive.answer(asked, VerifyDone(found=(asked.instances[0].sop_instance_uid,), read=True, proof="read back"))
    commit = archive.order()
    assert commit.kind == "commit"
    archive.answer(commit, reported(commit))
    assert archive.state(item) is State.DONE


def test_where_no_report_can_reach_us_an_archive_that_gave_none_at_once_is_counted(
    farm: Farm, produced: Callable[..., str]
) -> None:
    produced()
    archive = Archive(farm, Patience(listens=False))
    archive.answer(archive.deliver(), CommitDone())
    assert archive.order().kind == "count"


def test_a_request_whose_worker_died_is_made_again_at_once(archive: Archive, produced: Callable[..., str]) -> None:
    item = produced()
    asked = archive.deliver()
    broker: MemoryBroker = archive.farm.broker
    broker.leases[asked.order_id] = Lease(worker="w", fraction=None)
    archive.farm.watcher.sweep()
    del broker.leases[asked.order_id]
    archive.farm.age(asked.order_id, 60)
    archive.farm.watcher.sweep()
    again = archive.order()
    assert again.transaction_uid != asked.transaction_uid
    archive.answer(again, reported(again))
    assert archive.state(item) is State.DONE


def test_an_archive_that_is_away_when_it_is_asked_is_asked_later(
    archive: Archive, produced: Callable[..., str]
) -> None:
    item = produced()
    asked = archive.deliver()
    for minutes in (1, 2, 4, 8, 16, 16):
        archive.answer(asked, failure=Failure.of(DestinationUnavailable("no connection")))
        archive.later = timedelta()
        assert archive.orders() == []
        archive.later = timedelta(minutes=minutes)
        asked = archive.order()
    archive.answer(asked, reported(asked))
    assert archive.state(item) is State.DONE


def test_an_archive_that_breaks_off_at_every_request_is_verified_in_another_way(
    archive: Archive, produced: Callable[..., str]
) -> None:
    produced()
    asked = archive.deliver()
    for minutes in (1, 2, 4):
        archive.answer(asked, failure=Failure.of(NotAnswered("the archive ended the connection")))
        archive.later = timedelta(minutes=minutes)
        asked = archive.order()
    archive.answer(asked, failure=Failure.of(NotAnswered("the archive ended the connection")))
    assert archive.order().kind == "count"


def test_one_archive_commits_while_another_is_still_away(
    archive: Archive, produced: Callable[..., str], ledger: Sessions, tmp_path: Path
) -> None:
    item = produced()
    with ledger.begin() as session:
        session.get_one(Job, "job").destinations = [PACS, str(tmp_path / "out")]
        session.add(Delivery(item_id=item, job_id="job", destination=str(tmp_path / "out"), state="pending"))
    to_archive, to_folder = sorted(archive.orders(), key=lambda order: not order.destination.startswith("dicom"))
    archive.answer(to_archive, DeliverDone(location="1", proof="status 0000"))
    asked = archive.order()
    archive.answer(asked, reported(asked))
    assert archive.state(item) is State.PRODUCED
    archive.answer(to_folder, DeliverDone(location="a", proof="sha256"))
    assert archive.state(item) is State.DONE
