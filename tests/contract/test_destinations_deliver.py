"""What delivering promises, whatever the destination. A new kind of destination joins by a fixture in PLACES."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.dsutils import split_dataset
from support.s3 import S3Server
from support.web_archive import WebArchive, web_archive

from common.dicom.encapsulation import write_instance
from common.errors import StoreFault
from common.orders import DeliverOrder, InstancePart
from common.settings import Settings
from common.store.folder import FolderStore
from workers.deliver import deliver

H264, ENDOSCOPY, UID = "1.2.840.10008.1.2.4.102", "1.2.840.10008.5.1.4.1.1.77.1.1.1", "2.25.30"


class Place(Protocol):
    """A destination that can be looked into."""

    @property
    def uri(self) -> str: ...

    def data_sets(self) -> list[bytes]:
        """Every instance there, without its file meta."""
        ...


@dataclass
class FolderPlace:
    path: Path

    @property
    def uri(self) -> str:
        return str(self.path)

    def data_sets(self) -> list[bytes]:
        return [path.read_bytes()[split_dataset(path)[1] :] for path in self.path.rglob("*.dcm")]


@dataclass
class ArchivePlace:
    port: int = 0
    kept: dict[str, bytes] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)

    @property
    def uri(self) -> str:
        return f"dicom://PEER@127.0.0.1:{self.port}"

    def keep(self, event: evt.Event) -> int:
        self.sent.append(str(event.request.AffectedSOPInstanceUID))
        self.kept[event.request.AffectedSOPInstanceUID] = event.request.DataSet.getvalue()
        return 0x0000

    def data_sets(self) -> list[bytes]:
        return list(self.kept.values())


@dataclass
class BucketPlace:
    server: S3Server
    bucket: str
    folder: Path

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/to here"

    def data_sets(self) -> list[bytes]:
        client = self.server.client()
        found = client.list_objects(self.bucket, prefix="to here/", recursive=True)
        copies = FolderPlace(self.folder)
        for number, each in enumerate(found):
            client.fget_object(self.bucket, each.object_name, str(self.folder / f"{number}.dcm"))
        return copies.data_sets()


@dataclass
class WebPlace:
    server: WebArchive
    folder: Path

    @property
    def uri(self) -> str:
        return self.server.uri

    def data_sets(self) -> list[bytes]:
        self.folder.mkdir(exist_ok=True)
        for uid, data in self.server.stored.items():
            (self.folder / f"{uid}.dcm").write_bytes(data)
        return FolderPlace(self.folder).data_sets()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebPlace]:
    with web_archive() as server:
        yield WebPlace(server, tmp_path / "copies")


@pytest.fixture
def bucket(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BucketPlace:
    for name, value in s3.environment().items():
        monkeypatch.setenv(name, value)
    return BucketPlace(s3, s3.bucket(), tmp_path / "copies")


@pytest.fixture
def folder(tmp_path: Path) -> FolderPlace:
    return FolderPlace(tmp_path / "destination")


@pytest.fixture
def archive() -> Iterator[ArchivePlace]:
    place = ArchivePlace()
    entity = AE(ae_title="PEER")
    entity.add_supported_context(ENDOSCOPY, H264)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, place.keep)])
    assert server is not None
    place.port = int(server.server_address[1])
    yield place
    entity.shutdown()


PLACES = ("folder", "bucket", "archive", "web")


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> Place:
    chosen: Place = request.getfixturevalue(request.param)
    return chosen


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "objects")


@pytest.fixture
def order(store: FolderStore, place: Place) -> DeliverOrder:
    header = Dataset()
    header.SOPClassUID, header.SOPInstanceUID = ENDOSCOPY, UID
    header.StudyInstanceUID, header.SeriesInstanceUID = "1.2.3", "1.2.3.4"
    with store.writer("results/a/instance.dcm") as writer:
        write_instance(writer, header, H264, [os.urandom(100_001)], 100_001)
    return DeliverOrder(
        order_id="o-1",
        item_id="i-1",
        attempt=1,
        destination=place.uri,
        instance_key="results/a/instance.dcm",
        instance_digest=writer.stored.digest,
        instance_bytes=writer.stored.size_bytes,
        study_uid="1.2.3",
        series_uid="1.2.3.4",
        sop_instance_uid=UID,
        sop_class_uid=ENDOSCOPY,
        transfer_syntax_uid=H264,
    )


def produced(store: FolderStore, order: DeliverOrder) -> bytes:
    path = store.local_path(order.instance_key)
    assert path is not None
    return path.read_bytes()[split_dataset(path)[1] :]


def test_the_data_set_arrives_byte_for_byte(order: DeliverOrder, store: FolderStore, place: Place) -> None:
    deliver(order, store, Settings())
    assert place.data_sets() == [produced(store, order)]


def test_a_delivery_says_where_and_how_it_was_proven(order: DeliverOrder, store: FolderStore) -> None:
    done = deliver(order, store, Settings())
    assert UID in done.location
    assert done.proof


def test_delivering_again_is_no_error_and_leaves_one_instance(
    order: DeliverOrder, store: FolderStore, place: Place
) -> None:
    deliver(order, store, Settings())
    deliver(order.model_copy(update={"order_id": "o-2", "attempt": 2}), store, Settings())
    assert place.data_sets() == [produced(store, order)]


def test_the_stored_instance_is_left_as_it_is(order: DeliverOrder, store: FolderStore) -> None:
    deliver(order, store, Settings())
    assert hashlib.sha256(store.get(order.instance_key)).hexdigest() == order.instance_digest


def test_an_instance_that_is_not_in_the_store_is_our_fault(
    order: DeliverOrder, store: FolderStore, place: Place
) -> None:
    store.delete(order.instance_key)
    with pytest.raises(StoreFault):
        deliver(order, store, Settings())
    assert place.data_sets() == []


def test_an_instance_that_was_cut_short_is_not_delivered(order: DeliverOrder, store: FolderStore, place: Place) -> None:
    store.put(order.instance_key, store.get(order.instance_key)[:-2])
    with pytest.raises(StoreFault):
        deliver(order, store, Settings())
    assert place.data_sets() == []


def test_no_error_names_the_store_or_the_patient(order: DeliverOrder, store: FolderStore, tmp_path: Path) -> None:
    store.delete(order.instance_key)
    with pytest.raises(StoreFault) as caught:
        deliver(order, store, Settings())
    assert str(tmp_path) not in caught.value.message + caught.value.hint


@pytest.fixture
def parts(store: FolderStore, order: DeliverOrder) -> DeliverOrder:
    """The order of a split item: three parts."""
    each = []
    for number in (1, 2, 3):
        header = Dataset()
        header.SOPClassUID, header.SOPInstanceUID = ENDOSCOPY, f"{UID}.{number}"
        header.StudyInstanceUID, header.SeriesInstanceUID = "1.2.3", "1.2.3.4"
        with store.writer(f"results/a/instance-{number}.dcm") as writer:
            write_instance(writer, header, H264, [os.urandom(50_001)], 50_001)
        each.append(
            InstancePart(
                instance_key=writer.stored.key,
                instance_digest=writer.stored.digest,
                instance_bytes=writer.stored.size_bytes,
                sop_instance_uid=f"{UID}.{number}",
            )
        )
    return order.model_copy(update={"parts": tuple(each)})


def test_all_parts_arrive_each_with_its_proof(parts: DeliverOrder, store: FolderStore, place: Place) -> None:
    done = deliver(parts, store, Settings())
    assert sorted(place.data_sets()) == sorted(produced(store, part) for part in parts.each)
    assert [f"{UID}.{number}" in line for number, line in enumerate(done.location.split("\n"), 1)] == [True] * 3
    assert done.proof


def test_a_half_delivered_item_goes_on_where_it_stopped(parts: DeliverOrder, store: FolderStore, place: Place) -> None:
    lost = store.get("results/a/instance-2.dcm")
    store.delete("results/a/instance-2.dcm")
    with pytest.raises(StoreFault):
        deliver(parts, store, Settings())
    assert place.data_sets() == [produced(store, parts.each[0])]
    sent = list(place.sent) if isinstance(place, ArchivePlace) else []
    store.put("results/a/instance-2.dcm", lost)
    deliver(parts, store, Settings())
    assert len(place.data_sets()) == 3
    if isinstance(place, ArchivePlace):
        assert [*sent, f"{UID}.2", f"{UID}.3"] == place.sent
    assert not [key for key in store.keys("results/") if key.endswith(".arrived")]
