"""What an archive that does not commit holds: found by C-FIND, or read back and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from support.orthanc import Orthanc, serve

from common.errors import DestinationUnavailable
from common.orders import Awaited, DeliverOrder, VerifyDone, VerifyOrder
from workers.prove import verify
from workers.prove.compare import compare

pytestmark = pytest.mark.peer("Orthanc")


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory, new_port: Callable[[], int]) -> Iterator[Orthanc]:
    """One server for the module; it lets anybody C-GET."""
    anybody = {"DicomAlwaysAllowGet": True, "DicomAlwaysAllowFind": True}
    with serve(tmp_path_factory.mktemp("orthanc"), new_port(), new_port(), **anybody) as archive:
        yield archive


def ask(outbox: Any, archive: Orthanc, kind: str, order: DeliverOrder, uid: str | None = None) -> VerifyDone:
    instance = Awaited(
        delivery=1,
        study_uid=order.study_uid,
        series_uid=order.series_uid,
        sop_instance_uid=uid or order.sop_instance_uid,
        sop_class_uid=order.sop_class_uid,
        instance_key=order.instance_key,
    )
    asked = VerifyOrder.model_validate(
        {
            "kind": kind,
            "order_id": "o",
            "item_id": "i",
            "attempt": 1,
            "destination": f"dicom://ORTHANC@127.0.0.1:{archive.dicom_port}",
            "instances": (instance,),
        }
    )
    return verify(asked, outbox.store, outbox.settings, outbox.folder / "scratch")


def test_what_is_there_is_found_and_what_is_not_is_missing(outbox: Any, orthanc: Orthanc) -> None:
    order = outbox.instance()
    outbox.send(order, orthanc.dicom_port, aet="ORTHANC")
    assert ask(outbox, orthanc, "count", order).found == (order.sop_instance_uid,)
    assert ask(outbox, orthanc, "count", order, uid="2.25.404").missing == ("2.25.404",)


def test_an_instance_comes_back_as_it_was_sent(outbox: Any, orthanc: Orthanc) -> None:
    order = outbox.instance(size=3_000_001)
    outbox.send(order, orthanc.dicom_port, aet="ORTHANC")
    done = ask(outbox, orthanc, "read", order)
    assert (done.found, done.different) == ((order.sop_instance_uid,), ())
    assert not list((outbox.folder / "scratch").rglob("*.dcm"))


def test_one_byte_that_differs_is_noticed(outbox: Any, orthanc: Orthanc) -> None:
    order = outbox.instance(size=3_000_001)
    outbox.send(order, orthanc.dicom_port, aet="ORTHANC")
    ours = outbox.store.local_path(order.instance_key)
    content = bytearray(ours.read_bytes())
    content[-1000] ^= 1
    ours.chmod(0o644)
    ours.write_bytes(content)
    done = ask(outbox, orthanc, "read", order)
    assert done.found == ()
    assert done.different[0].words == "the bytes of Pixel Data"


def test_an_archive_that_is_away_is_asked_later(outbox: Any, new_port: Callable[[], int]) -> None:
    with pytest.raises(DestinationUnavailable):
        ask(outbox, Orthanc(new_port(), 0), "count", outbox.instance())


def changed(outbox: Any, tmp_path: Path, change: Callable[[Any], None]) -> Any:
    """Our instance, and a copy of it that an archive changed."""
    ours = outbox.store.local_path(outbox.instance(size=1000).instance_key)
    copy = dcmread(ours)
    change(copy)
    copy.save_as(tmp_path / "back.dcm")
    return compare(ours, tmp_path / "back.dcm")


def test_what_archives_coerce_is_named_and_no_difference(outbox: Any, tmp_path: Path) -> None:
    def coerce(header: Any) -> None:
        header.PatientID = "OTHER"
        header.RetrieveAETitle = "ARCHIVE"

    seen = changed(outbox, tmp_path, coerce)
    assert (seen.differences, seen.coerced) == ((), ("PatientID",))


@pytest.mark.parametrize("keyword", ["Rows", "StudyInstanceUID", "NumberOfFrames"])
def test_any_other_element_that_is_lost_is_a_difference(outbox: Any, tmp_path: Path, keyword: str) -> None:
    assert changed(outbox, tmp_path, lambda header: delattr(header, keyword)).differences == (keyword,)
