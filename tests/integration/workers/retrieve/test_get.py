"""C-GET: an instance comes to the store whole and as it was stored, or nothing is left behind and the reason is told."""

from __future__ import annotations

import io
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pynetdicom import AE, evt
from support import dcmqrscp, orthanc, studies
from support.s3 import free_ports

from common.bandwidth import Pace
from common.errors import (
    CinefarmError,
    DestinationRefused,
    DestinationUnavailable,
    LeaseLost,
    RetrievalFailed,
    StoreFault,
    UnreadableSource,
)
from common.orders import Retrieval
from common.settings import Settings
from common.store.folder import FolderStore
from workers.retrieve.bring import bring
from workers.retrieve.get import MODELS, fetch_by_get

ULTRASOUND = "1.2.840.10008.5.1.4.1.1.3.1"
ENDOSCOPY = "1.2.840.10008.5.1.4.1.1.77.1.1.1"
H264 = "1.2.840.10008.1.2.4.102"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"
KEY = "sources/1"


def wanted(port: int, study: int = 1, *, aet: str = "ORTHANC", **changes: str) -> Retrieval:
    uid = studies.study_uid(study)
    one = Retrieval(
        place=f"dicom://{aet}@127.0.0.1:{port}",
        study_uid=uid,
        series_uid=f"{uid}.1",
        sop_instance_uid=f"{uid}.1.1",
        sop_class_uid=ULTRASOUND,
    )
    return one.model_copy(update=changes)


def video(study: int, size: int = 3_000_001) -> bytes:
    """A DICOM file with made bytes in place of a stream: nobody on the way looks at it."""
    made = studies.instance(study, SOPClassUID=ENDOSCOPY, Modality="ES", PhotometricInterpretation="YBR_PARTIAL_420")
    made.PixelData = encapsulate([os.urandom(size)], has_bot=False)
    made["PixelData"].is_undefined_length = True
    return studies.as_file(made, H264)


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "objects")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    options = {"DicomAlwaysAllowFind": True, "DicomAlwaysAllowGet": True}
    with orthanc.serve(tmp_path_factory.mktemp("orthanc"), *free_ports(2), **options) as made:
        made.put(studies.loop(1))
        yield made.dicom_port


def leftovers(store: FolderStore, folder: Path) -> list[Path]:
    return [path for path in (folder / "objects").rglob("*") if path.is_file()] + [Path(key) for key in store.keys("")]


@pytest.mark.peer("Orthanc")
def test_an_instance_comes_as_it_was_stored(archive: int, store: FolderStore) -> None:
    bring(wanted(archive), KEY, store, Settings(), Pace())
    with store.open(KEY) as got:
        assert dcmread(got) == dcmread(io.BytesIO(studies.loop(1)))


@pytest.mark.peer("Orthanc")
def test_what_is_there_is_not_fetched_again(store: FolderStore) -> None:
    store.put(KEY, b"here")
    bring(wanted(1), KEY, store, Settings(), Pace())
    assert store.get(KEY) == b"here"


@pytest.mark.peer("Orthanc")
def test_the_same_instance_makes_the_same_file(archive: int, store: FolderStore) -> None:
    bring(wanted(archive), KEY, store, Settings(), Pace())
    first = store.get(KEY)
    store.delete(KEY)
    bring(wanted(archive), KEY, store, Settings(), Pace())
    assert store.get(KEY) == first


@pytest.mark.peer("Orthanc")
def test_other_bytes_than_were_described_are_refused(archive: int, store: FolderStore, tmp_path: Path) -> None:
    with pytest.raises(UnreadableSource, match="other bytes now"):
        bring(wanted(archive), KEY, store, Settings(), Pace(), digest="0" * 64)
    assert not leftovers(store, tmp_path)


@pytest.mark.peer("Orthanc")
def test_an_instance_that_is_gone_is_told_so(archive: int, store: FolderStore, tmp_path: Path) -> None:
    with pytest.raises(UnreadableSource, match="no longer has this instance"):
        bring(wanted(archive, sop_instance_uid="1.2.3"), KEY, store, Settings(), Pace())
    assert not leftovers(store, tmp_path)


@pytest.mark.peer("dcmqrscp", "dcmqridx")
def test_an_archive_that_names_no_class_is_asked_with_those_that_it_may_be(store: FolderStore, tmp_path: Path) -> None:
    with dcmqrscp.serve(tmp_path / "dcmtk", [studies.loop(1)]) as port:
        bring(wanted(port, aet=dcmqrscp.AET, sop_class_uid=""), KEY, store, Settings(), Pace())
    with store.open(KEY) as got:
        assert dcmread(got).PixelData == dcmread(io.BytesIO(studies.loop(1))).PixelData


def test_an_archive_that_is_away_is_tried_again(store: FolderStore) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(DestinationUnavailable, match="cannot be reached"):
            bring(wanted(unused.getsockname()[1]), KEY, store, Settings(), Pace())


Answers = Iterator[int | tuple[int, Dataset | None]]


@contextmanager
def scripted(get: Callable[[evt.Event], Answers], *handlers: tuple[object, ...]) -> Iterator[int]:
    """An archive of our own that answers C-GET as told, and knows every instance that it is asked for by C-FIND."""

    def there(event: evt.Event) -> Iterator[tuple[int, Dataset]]:
        yield 0xFF00, event.identifier

    entity = AE("ORTHANC")
    entity.add_supported_context(MODELS[0])
    entity.add_supported_context(FIND)
    for syntax in (H264, studies.NATIVE):
        for uid in (ENDOSCOPY, ULTRASOUND):
            entity.add_supported_context(uid, syntax, scu_role=True, scp_role=True)
    bound = [(evt.EVT_C_GET, get), (evt.EVT_C_FIND, there), *handlers]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=bound)
    try:
        yield server.socket.getsockname()[1]
    finally:
        server.shutdown()


def sends(*instances: bytes) -> Callable[[evt.Event], Answers]:
    def answer(_event: evt.Event) -> Answers:
        yield len(instances)
        for one in instances:
            yield 0xFF00, dcmread(io.BytesIO(one))

    return answer


def test_a_video_syntax_crosses_untouched(store: FolderStore) -> None:
    stored = video(1)
    with scripted(sends(stored)) as port:
        bring(wanted(port, sop_class_uid=ENDOSCOPY), KEY, store, Settings(), Pace())
    with store.open(KEY) as opened:
        got, sent = dcmread(opened), dcmread(io.BytesIO(stored))
    assert got.file_meta.TransferSyntaxUID == H264
    assert got.PixelData == sent.PixelData


def test_another_instance_than_was_asked_for_is_an_error(store: FolderStore, tmp_path: Path) -> None:
    with scripted(sends(studies.loop(2))) as port, pytest.raises(DestinationRefused, match="another instance"):
        bring(wanted(port), KEY, store, Settings(), Pace())
    assert not leftovers(store, tmp_path)


def test_an_instance_among_others_is_taken_alone(store: FolderStore) -> None:
    with scripted(sends(studies.loop(2), studies.loop(1), studies.loop(3))) as port:
        bring(wanted(port), KEY, store, Settings(), Pace())
    with store.open(KEY) as opened:
        assert dcmread(opened).SOPInstanceUID == wanted(port).sop_instance_uid


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (0xA701, DestinationUnavailable, "out of resources"),
        (0xA900, DestinationRefused, "refuses to send"),
        (0xC001, RetrievalFailed, "unable to send"),
    ],
)
def test_failures_are_told_in_words(
    store: FolderStore, tmp_path: Path, status: int, kind: type[CinefarmError], words: str
) -> None:
    def fail(_event: evt.Event) -> Answers:
        yield 1
        yield status, None

    with scripted(fail) as port, pytest.raises(kind, match=words):
        bring(wanted(port), KEY, store, Settings(), Pace())
    assert not leftovers(store, tmp_path)


def test_an_archive_that_hangs_up_in_mid_transfer_leaves_nothing_behind(store: FolderStore, tmp_path: Path) -> None:
    sent = 0

    def hang_up(event: evt.Event) -> None:
        nonlocal sent
        sent += 1
        if sent == 20:
            event.assoc.dul.socket.close()

    def answer(_event: evt.Event) -> Answers:
        yield 1
        yield 0xFF00, dcmread(io.BytesIO(video(1)))

    with (
        scripted(answer, (evt.EVT_PDU_SENT, hang_up)) as port,
        pytest.raises(DestinationUnavailable, match="ended the"),
    ):
        bring(wanted(port, sop_class_uid=ENDOSCOPY), KEY, store, Settings(), Pace())
    assert not leftovers(store, tmp_path)


def test_an_archive_that_falls_silent_is_given_up() -> None:
    def silent(event: evt.Event) -> Answers:
        while event.assoc.is_established:
            event.assoc.network_timeout_event = None
        yield 0

    with scripted(silent) as port, pytest.raises(DestinationUnavailable, match="fell silent"):
        fetch_by_get(wanted(port), len, Settings(), Pace(), silence=0.5)


def test_a_revoked_attempt_stops_and_leaves_nothing_behind(store: FolderStore, tmp_path: Path) -> None:
    asked = 0

    def check() -> None:
        nonlocal asked
        asked += 1
        if asked > 5:
            raise LeaseLost("revoked")

    with scripted(sends(video(1))) as port, pytest.raises(LeaseLost):
        bring(wanted(port, sop_class_uid=ENDOSCOPY), KEY, store, Settings(), Pace(check))
    assert not leftovers(store, tmp_path)


def test_a_store_that_fails_is_named_as_such() -> None:
    def full(data: bytes) -> int:
        raise StoreFault("full")

    with scripted(sends(video(1))) as port, pytest.raises(StoreFault):
        fetch_by_get(wanted(port, sop_class_uid=ENDOSCOPY), full, Settings(), Pace())


def test_a_limit_is_kept() -> None:
    naps: list[float] = []
    pace = Pace(bytes_per_second=1_000_000, sleep=naps.append)
    with scripted(sends(video(1, 2_000_000))) as port:
        fetch_by_get(wanted(port, sop_class_uid=ENDOSCOPY), len, Settings(), pace)
    assert sum(naps) > 1
