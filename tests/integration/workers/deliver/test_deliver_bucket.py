"""Delivering to a bucket of a real S3 server: what is proven, what is never overwritten, what is never left behind."""

from __future__ import annotations

import hashlib
import os
from io import BytesIO
from pathlib import Path

import pytest
from support.s3 import S3Server

from common.bandwidth import Pace
from common.destinations import S3Destination
from common.errors import DestinationRefused, DestinationUnavailable, LeaseLost, StoreFault
from common.orders import DeliverDone, DeliverOrder
from common.store import ObjectStore
from common.store.folder import FolderStore
from common.store.s3_bucket import Bucket
from workers.deliver.bucket import ALREADY, DESTINATION, READ_BACK, deliver_to_bucket

MIB = 1 << 20
NAME = "in/1.2.3/1.2.3.4/2.25.30.dcm"


class Counting(Pace):
    """Counts the bytes that are sent from here."""

    sent = 0

    def __call__(self, count: int) -> None:
        self.sent += count


class Outgoing:
    """An instance in a store, its evidence, and a bucket to bring it to."""

    def __init__(self, s3: S3Server, store: ObjectStore, size: int = 11 * MIB) -> None:
        self.s3, self.store, self.bucket = s3, store, s3.bucket()
        self.data = os.urandom(size)
        stored = store.put("results/a/instance.dcm", self.data)
        store.put("results/a/evidence.json", b"{}")
        self.order = DeliverOrder(
            order_id="o-1",
            item_id="i-1",
            attempt=1,
            destination=f"s3://{self.bucket}/in",
            instance_key=stored.key,
            instance_digest=stored.digest,
            instance_bytes=stored.size_bytes,
            evidence_keys=("results/a/evidence.json",),
            study_uid="1.2.3",
            series_uid="1.2.3.4",
            sop_instance_uid="2.25.30",
            sop_class_uid="1.2.3.4.5",
            transfer_syntax_uid="1.2.840.10008.1.2.4.102",
        )

    def deliver(self, *, pace: Pace | None = None, **settings: object) -> DeliverDone:
        return deliver_to_bucket(
            self.order,
            S3Destination(self.bucket, "in"),
            self.store,
            self.s3.settings(s3_part_bytes=5 * MIB, **settings),
            pace or Pace(),
        )

    def there(self) -> dict[str, int]:
        found = self.s3.client().list_objects(self.bucket, recursive=True)
        return {str(each.object_name): int(each.size or 0) for each in found}

    def put(self, name: str, data: bytes, **metadata: str) -> None:
        self.s3.client().put_object(self.bucket, name, BytesIO(data), len(data), metadata=dict(metadata))

    def uploads(self) -> list[object]:
        return list(Bucket(self.bucket, self.s3.settings(), DESTINATION).uploads(""))


@pytest.fixture
def outgoing(s3: S3Server, tmp_path: Path) -> Outgoing:
    return Outgoing(s3, FolderStore(tmp_path / "objects"))


def test_instance_and_evidence_lie_as_in_a_folder_and_the_instance_carries_its_digest(outgoing: Outgoing) -> None:
    done = outgoing.deliver()
    assert (done.location, done.proof) == (NAME.removeprefix("in/"), READ_BACK)
    assert outgoing.there() == {NAME: len(outgoing.data), "in/1.2.3/1.2.3.4/2.25.30.evidence.json": 2}
    status = outgoing.s3.client().stat_object(outgoing.bucket, NAME)
    assert status.metadata["x-amz-meta-sha256"] == outgoing.order.instance_digest
    assert outgoing.deliver().proof == ALREADY


def test_a_store_on_the_same_server_is_copied_there_without_a_byte_through_this_machine(s3: S3Server) -> None:
    outgoing = Outgoing(s3, s3.store())
    pace = Counting()
    assert outgoing.deliver(pace=pace).proof == READ_BACK
    copy = s3.client().get_object(outgoing.bucket, NAME).data
    assert hashlib.sha256(copy).hexdigest() == outgoing.order.instance_digest
    assert (
        s3.client().stat_object(outgoing.bucket, NAME).metadata["x-amz-meta-sha256"] == outgoing.order.instance_digest
    )
    assert len(outgoing.there()) == 2
    assert pace.sent == 0


@pytest.mark.parametrize("metadata", [{}, {"sha256": "0" * 64}])
def test_other_bytes_are_never_overwritten(outgoing: Outgoing, metadata: dict[str, str]) -> None:
    theirs = os.urandom(len(outgoing.data))
    outgoing.put(NAME, theirs, **metadata)
    with pytest.raises(DestinationRefused) as refused:
        outgoing.deliver()
    assert outgoing.s3.client().get_object(outgoing.bucket, NAME).data == theirs
    assert "2.25" not in refused.value.message


def test_the_same_bytes_that_somebody_else_put_there_are_a_success(outgoing: Outgoing) -> None:
    outgoing.put(NAME, outgoing.data)
    assert outgoing.deliver().proof == ALREADY
    assert len(outgoing.there()) == 2  # the evidence was missing


def test_a_revoked_delivery_leaves_no_instance_and_no_parts(outgoing: Outgoing) -> None:
    asked = 0

    def revoked() -> None:
        nonlocal asked
        asked += 1
        if asked > 9:
            raise LeaseLost("revoked")

    with pytest.raises(LeaseLost):
        outgoing.deliver(pace=Pace(check=revoked))
    assert NAME not in outgoing.there()
    assert outgoing.uploads() == []


def test_what_a_killed_delivery_left_half_written_is_gone_after_the_next(outgoing: Outgoing) -> None:
    outgoing.s3.client()._create_multipart_upload(outgoing.bucket, NAME, {})
    outgoing.s3.client()._create_multipart_upload(outgoing.bucket, "in/somebody/else", {})
    outgoing.deliver()
    assert [upload.name for upload in outgoing.uploads()] == ["in/somebody/else"]


def test_a_copy_that_rotted_in_our_store_is_not_delivered(outgoing: Outgoing) -> None:
    outgoing.store.put(outgoing.order.instance_key, os.urandom(len(outgoing.data)))
    with pytest.raises(StoreFault):
        outgoing.deliver()
    assert NAME not in outgoing.there()


@pytest.mark.parametrize(
    ("bucket", "settings", "word"),
    [("no-such-bucket", {}, "bucket"), (None, {"s3_secret_key": "wrong"}, "access key")],
)
def test_a_bucket_that_cannot_be_used_is_said_with_what_to_do(
    outgoing: Outgoing, bucket: str | None, settings: dict[str, object], word: str
) -> None:
    outgoing.bucket = bucket or outgoing.bucket
    with pytest.raises(DestinationUnavailable) as away:
        outgoing.deliver(**settings)
    assert word in away.value.message + away.value.hint
    assert "2.25" not in away.value.message + away.value.hint
    assert "wrong" not in away.value.message + away.value.hint


def test_a_limit_of_bandwidth_is_kept(outgoing: Outgoing) -> None:
    naps: list[float] = []
    outgoing.deliver(pace=Pace(bytes_per_second=5 * MIB, sleep=naps.append))
    assert sum(naps) > 1.5  # 11 MiB at 5 MiB/s
