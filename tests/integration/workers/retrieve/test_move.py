"""C-MOVE: the archive sends to our own listener, and the worker takes from the store what arrived there."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from pydicom import dcmread
from support import dcmqrscp, studies
from support.modality import listening

from common.bandwidth import Pace
from common.errors import DestinationRefused, DestinationUnavailable, UnreadableSource
from common.network.arrivals import arrival_key, is_expected, new_arrival_id
from common.orders import Retrieval
from common.settings import Settings
from common.store.folder import FolderStore
from workers.retrieve.bring import bring
from workers.retrieve.move import fetch_by_move

pytestmark = pytest.mark.peer("dcmqrscp", "dcmqridx")
KEY = "sources/1"


def wanted(port: int, **changes: str) -> Retrieval:
    uid = studies.study_uid(1)
    place = f"dicom://{dcmqrscp.AET}@127.0.0.1:{port}"
    one = Retrieval(
        place=place,
        study_uid=uid,
        series_uid=f"{uid}.1",
        sop_instance_uid=f"{uid}.1.1",
        sop_class_uid="",
        method="move",
    )
    return one.model_copy(update=changes)


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "objects")


def test_what_the_archive_sends_to_our_listener_becomes_the_source(store: FolderStore, tmp_path: Path) -> None:
    with (
        listening(store) as server,
        dcmqrscp.serve(tmp_path / "dcmtk", [studies.loop(1)], moves_to=("CINEFARM", server.port)) as port,
    ):
        bring(wanted(port), KEY, store, Settings(), Pace())
    with store.open(KEY) as got:
        assert dcmread(got).PixelData == dcmread(io.BytesIO(studies.loop(1))).PixelData
    assert not is_expected(store, wanted(port).sop_instance_uid)


def test_an_archive_that_does_not_know_our_listener_is_told_of(store: FolderStore, tmp_path: Path) -> None:
    with (
        dcmqrscp.serve(tmp_path / "dcmtk", [studies.loop(1)]) as port,
        pytest.raises(DestinationRefused, match="does not know where to send to") as error,
    ):
        bring(wanted(port), KEY, store, Settings(), Pace())
    assert "CINEFARM_DICOM_AE_TITLE" in error.value.hint
    assert not list(store.keys(""))


def test_an_instance_that_is_gone_is_told_so(store: FolderStore, tmp_path: Path) -> None:
    with (
        listening(store) as server,
        dcmqrscp.serve(tmp_path / "dcmtk", [studies.loop(1)], moves_to=("CINEFARM", server.port)) as port,
        pytest.raises(UnreadableSource, match="no longer has this instance"),
    ):
        bring(wanted(port, sop_instance_uid="1.2.3"), KEY, store, Settings(), Pace())


def test_what_is_sent_elsewhere_is_not_waited_for_for_ever(store: FolderStore, tmp_path: Path) -> None:
    with (
        listening(FolderStore(tmp_path / "elsewhere")) as server,
        dcmqrscp.serve(tmp_path / "dcmtk", [studies.loop(1)], moves_to=("CINEFARM", server.port)) as port,
        pytest.raises(DestinationUnavailable, match="nothing arrived in our store"),
    ):
        fetch_by_move(wanted(port), KEY, store, Settings(), Pace(), arrival_seconds=0.3)


def test_what_arrived_before_is_not_asked_for(store: FolderStore) -> None:
    one = wanted(1)
    store.put(arrival_key(one.sop_instance_uid, new_arrival_id()), b"here")
    bring(one, KEY, store, Settings(), Pace())
    assert store.get(KEY) == b"here"
