"""Storage commitment over the network, with an archive that answers as the test says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom.dsutils import encode
from support.commitment import CommittingArchive, report_listener, serve

from common.errors import DestinationUnavailable
from common.network.commitment import answer_message
from common.orders import Awaited, CommitDone, CommitOrder, CommitReport
from common.settings import Settings
from workers.prove import commit

CLASS = "1.2.840.10008.5.1.4.1.1.77.1.1.1"


def ask(archive: CommittingArchive, tmp_path: Path, *uids: str, seconds: float = 5.0) -> CommitDone:
    instances = tuple(
        Awaited(delivery=1, study_uid="1.2", series_uid="1.3", sop_instance_uid=uid, sop_class_uid=CLASS)
        for uid in uids
    )
    order = CommitOrder(
        order_id="o",
        item_id="i",
        attempt=1,
        destination=f"dicom://ARCHIVE@127.0.0.1:{archive.port}",
        transaction_uid="2.25.7",
        instances=instances,
    )
    return commit(order, Settings(state_dir=tmp_path, commit_report_seconds=seconds))


def test_a_report_on_the_same_association_is_taken_and_answered(tmp_path: Path) -> None:
    with serve(CommittingArchive()) as archive:
        done = ask(archive, tmp_path, "1.4", "1.5")
        assert archive.reported.wait(10)
    assert archive.requests == {"2.25.7": [(CLASS, "1.4"), (CLASS, "1.5")]}
    assert done.report is not None
    assert done.report.committed == ("1.4", "1.5")
    assert archive.statuses == [0x0000]


def test_what_is_not_committed_comes_with_its_reason(tmp_path: Path) -> None:
    with serve(CommittingArchive(lacks=lambda uid: 0x0112 if uid == "1.5" else 0)) as archive:
        done = ask(archive, tmp_path, "1.4", "1.5")
    assert done.report is not None
    assert done.report.committed == ("1.4",)
    assert [(one.sop_instance_uid, one.reason) for one in done.report.failed] == [("1.5", 0x0112)]


def test_a_request_that_is_taken_and_not_answered_is_no_commitment(tmp_path: Path) -> None:
    with serve(CommittingArchive(answers_at_once=False)) as archive:
        assert ask(archive, tmp_path, "1.4", seconds=0.2) == CommitDone()


@pytest.mark.parametrize("archive", [CommittingArchive(offers=False), CommittingArchive(action_status=0x0124)])
def test_an_archive_that_does_not_commit_says_so(tmp_path: Path, archive: CommittingArchive) -> None:
    with serve(archive):
        assert ask(archive, tmp_path, "1.4").refused


def test_an_archive_that_is_busy_is_to_be_asked_later(tmp_path: Path) -> None:
    with serve(CommittingArchive(action_status=0x0213)) as archive, pytest.raises(DestinationUnavailable, match="0213"):
        ask(archive, tmp_path, "1.4")


def test_a_report_on_an_association_of_the_archive_reaches_the_listener(tmp_path: Path) -> None:
    kept: list[CommitReport] = []

    def keep(report: CommitReport) -> bool:
        kept.append(report)
        return report.transaction_uid == "2.25.7"

    with serve(CommittingArchive(answers_at_once=False)) as archive, report_listener(keep) as port:
        ask(archive, tmp_path, "1.4", seconds=0.0)
        assert archive.report_to(port, "2.25.7") == 0x0000
        archive.requests["2.25.8"] = [(CLASS, "1.4")]
        assert archive.report_to(port, "2.25.8") == 0x0115  # nobody asked for this transaction
    assert [report.transaction_uid for report in kept] == ["2.25.7", "2.25.8"]


def encoded(event: Dataset) -> bytes:
    data = encode(event, is_implicit_vr=True, is_little_endian=True)
    assert data is not None
    return data


@pytest.mark.parametrize(
    ("kind", "data", "status"),
    [
        (1, b"", 0x0115),
        (1, b"\x08\x00\x95\x11\xff\xff\xff\x7f", 0x0115),  # an element that reaches beyond the end
        (3, b"", 0x0113),
    ],
)
def test_a_report_that_is_none_is_refused(kind: int, data: bytes, status: int) -> None:
    assert answer_message(kind, data, "1.2.840.10008.1.2", lambda _: True) == status


def test_a_report_that_cannot_be_kept_now_is_to_come_again() -> None:
    event = Dataset()
    event.TransactionUID = "2.25.7"

    def fail(_report: Any) -> bool:
        raise OSError("the ledger is away")

    assert answer_message(1, encoded(event), "1.2.840.10008.1.2", fail) == 0x0110
