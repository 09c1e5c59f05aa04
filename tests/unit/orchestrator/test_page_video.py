"""What a browser's player gets: the video inside an instance, and just the bytes that it asks for."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi import HTTPException
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import MPEG4HP41F

from common.errors import UnreadableSource
from common.store.folder import FolderStore
from orchestrator.web.playing import stream_of
from orchestrator.web.ranges import span

VIDEO = bytes(range(256)) * 40 + b"\x07"


def instance(path: Path, **elements: object) -> None:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = MPEG4HP41F
    made.SOPClassUID, made.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.77.1.1.1", "1.2.3"
    for name, value in elements.items():
        setattr(made, name, value)
    made.save_as(path, enforce_file_format=True)


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    store = FolderStore(tmp_path / "objects")
    for name, fragments in (("one", 1), ("many", 3)):
        path = tmp_path / f"{name}.dcm"
        pixels = encapsulate([VIDEO], fragments_per_frame=fragments, has_bot=False)
        instance(path, EncapsulatedPixelDataValueTotalLength=len(VIDEO), PixelData=pixels)
        store.put(f"results/{name}.dcm", path.read_bytes())
    return store


@pytest.mark.parametrize("name", ["one", "many"])
@pytest.mark.parametrize(("first", "last"), [(0, len(VIDEO)), (0, 1), (3000, 9000), (len(VIDEO) - 1, len(VIDEO))])
def test_a_range_of_the_video_is_what_was_packaged(store: FolderStore, name: str, first: int, last: int) -> None:
    stream = stream_of(store, f"results/{name}.dcm")
    assert stream.length == len(VIDEO)
    assert b"".join(stream.read(store, first, last)) == VIDEO[first:last]


def test_an_instance_without_pixels_is_refused(store: FolderStore, tmp_path: Path) -> None:
    instance(tmp_path / "none.dcm")
    store.put("results/none.dcm", (tmp_path / "none.dcm").read_bytes())
    with pytest.raises(UnreadableSource):
        stream_of(store, "results/none.dcm")


@pytest.mark.parametrize(
    ("asked", "size", "given"),
    [
        ("", 10, (0, 10)),
        ("bytes=0-", 10, (0, 10)),
        ("bytes=2-4", 10, (2, 5)),
        ("bytes=-3", 10, (7, 10)),
        ("bytes=8-99", 10, (8, 10)),
    ],
)
def test_ranges_are_understood(asked: str, size: int, given: tuple[int, int]) -> None:
    assert span(asked, size) == given


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=-", "lines=1-2", "bytes=5-2", "bytes=0-1,4-5"])
def test_what_cannot_be_given_is_refused(asked: str) -> None:
    with pytest.raises(HTTPException) as refused:
        span(asked, 10)
    assert refused.value.status_code == 416
