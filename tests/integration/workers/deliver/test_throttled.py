"""A limit in bytes per second holds over all workers, on the wire and on the way to a folder."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import AE, evt
from support.server import redis_server

from common.bandwidth import BURST_SECONDS, Pace, SharedBucket
from common.destinations import DicomDestination
from common.errors import LeaseLost
from common.leases import connect
from common.settings import Settings
from common.store.folder import FolderStore
from workers.deliver.dicom import deliver_to_archive
from workers.deliver.folder import LINKED, deliver_to_folder

H264 = "1.2.840.10008.1.2.4.102"
ENDOSCOPY = "1.2.840.10008.5.1.4.1.1.77.1.1.1"
RATE = 2_000_000


@dataclass
class Sink:
    """An archive that takes everything and notes when which bytes came."""

    port: int = 0
    arrivals: list[tuple[float, int]] = field(default_factory=list)
    stored: int = 0

    def store(self, _event: evt.Event) -> int:
        self.stored += 1
        return 0x0000

    def receive(self, event: evt.Event) -> None:
        self.arrivals.append((time.monotonic(), len(event.data)))

    @property
    def rate(self) -> float:
        """Bytes per second from the first byte to the last."""
        times = [at for at, _ in self.arrivals]
        return sum(count for _, count in self.arrivals) / (max(times) - min(times))


@pytest.fixture
def sink() -> Iterator[Sink]:
    sink, entity = Sink(), AE(ae_title="PEER")
    entity.add_supported_context(ENDOSCOPY, H264)
    handlers = [(evt.EVT_C_STORE, sink.store), (evt.EVT_DATA_RECV, sink.receive)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    assert server is not None
    sink.port = int(server.server_address[1])
    yield sink
    entity.shutdown()


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    with redis_server() as url:
        yield url


@pytest.fixture
def pace(broker: str, tmp_path: Path) -> Callable[[], Pace]:
    """Each call is another worker, with a connection of its own, on the way to the same destination."""

    def make() -> Pace:
        return Pace(bytes_per_second=RATE, reserve=SharedBucket(connect(broker), str(tmp_path), sharers=2))

    return make


def revoked_after(calls: int, **limit: Any) -> Pace:
    count = itertools.count()

    def check() -> None:
        if next(count) >= calls:
            raise LeaseLost("revoked")

    return Pace(check, **limit)


def test_two_workers_together_keep_a_destinations_limit(outbox: Any, sink: Sink, pace: Callable[[], Pace]) -> None:
    order = outbox.instance(size=6_000_000)
    peer = DicomDestination("PEER", "127.0.0.1", sink.port)
    settings = Settings(state_dir=outbox.folder / "state")
    with ThreadPoolExecutor(2) as workers:
        sent = [workers.submit(deliver_to_archive, order, peer, outbox.store, settings, pace=pace()) for _ in range(2)]
        assert [each.result().proof for each in sent] == ["status 0000"] * 2
    assert 0.7 * RATE <= sink.rate <= 1.1 * RATE


def test_workers_share_the_bucket_and_nobody_gets_a_piece_twice(broker: str) -> None:
    buckets = [SharedBucket(connect(broker), "pieces") for _ in range(4)]
    waits: list[float] = []
    lock = threading.Lock()

    def reserve(bucket: SharedBucket) -> None:
        for _ in range(25):
            wait = bucket(10.0)  # long pieces: the time that the test takes does not count beside them
            with lock:
                waits.append(wait)

    with ThreadPoolExecutor(4) as workers:
        list(workers.map(reserve, buckets))
    starts = sorted(round(wait / 10) for wait in waits)
    assert starts == list(range(100))


def test_a_flushed_broker_costs_one_burst(broker: str) -> None:
    redis = connect(broker)
    bucket = SharedBucket(redis, "flushed")
    bucket(5.0)
    redis.flushall()
    assert bucket(5.0) == 0.0
    assert 5.0 - BURST_SECONDS - 1.0 < bucket(5.0) <= 5.0


def test_the_bucket_leaves_no_key_behind_for_ever(broker: str) -> None:
    redis = connect(broker)
    redis.flushall()
    SharedBucket(redis, "dicom://ARCHIVE@pacs.example:104")(1.0)
    (key,) = redis.scan_iter("rate:*", count=1000)
    assert "pacs" not in key
    assert 0 < redis.ttl(key) <= 120


class Elsewhere(FolderStore):
    """A store that is no folder of this machine, so that its objects have to be copied."""

    def local_path(self, key: str) -> Path | None:
        return None


def test_a_copy_to_a_folder_keeps_the_limit(outbox: Any, tmp_path: Path, pace: Callable[[], Pace]) -> None:
    order = outbox.instance(size=6_000_000)
    started = time.monotonic()
    done = deliver_to_folder(order, tmp_path / "out", Elsewhere(outbox.folder / "objects"), pace())
    rate = order.instance_bytes / (time.monotonic() - started)
    assert done.proof == "sha256"
    assert (tmp_path / "out" / done.location).stat().st_size == order.instance_bytes
    assert rate <= 1.1 * RATE


def test_a_hard_link_moves_no_bytes_and_waits_for_nothing(outbox: Any, tmp_path: Path) -> None:
    def never(seconds: float) -> float:
        raise AssertionError("nothing has to be reserved")

    order = outbox.instance()
    pace = Pace(bytes_per_second=1, reserve=never)
    assert deliver_to_folder(order, tmp_path / "out", outbox.store, pace).proof == LINKED


def test_a_revoked_delivery_to_an_archive_ends_before_the_object_is_stored(outbox: Any, sink: Sink) -> None:
    order = outbox.instance(size=6_000_000)
    peer = DicomDestination("PEER", "127.0.0.1", sink.port)
    with pytest.raises(LeaseLost):
        deliver_to_archive(order, peer, outbox.store, outbox.settings, pace=revoked_after(3))
    assert sink.stored == 0


def test_a_revoked_copy_to_a_folder_leaves_nothing_behind(outbox: Any, tmp_path: Path) -> None:
    order = outbox.instance(size=6_000_000)
    pace = revoked_after(3, bytes_per_second=1 << 40)
    with pytest.raises(LeaseLost):
        deliver_to_folder(order, tmp_path / "out", Elsewhere(outbox.folder / "objects"), pace)
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
