"""A bucket as source: what is listed, what is passed over, and how its objects come to our store."""

from __future__ import annotations

from collections import Counter
from io import BytesIO
from pathlib import Path

import pytest
from support.s3 import S3Server

from common.destinations import S3Destination
from common.errors import PolicyError, StoreFault, UnreadableSource
from common.store.folder import FolderStore
from orchestrator.describing import Describer
from orchestrator.ingest.bucket import bring, local_copy
from orchestrator.ingest.found import Found, Scope
from orchestrator.ingest.mapping import Mapping
from orchestrator.ingest.sources import parse_source
from orchestrator.sources import Sources

ODD = "Müller^Anna/Fall #1?/a b%20c.MP4"


class Shelf:
    """A bucket of the tests' server."""

    def __init__(self, s3: S3Server) -> None:
        self.s3, self.bucket, self.ignored = s3, s3.bucket(), Counter[str]()

    def put(self, *names: str, data: bytes = b"film") -> None:
        for name in names:
            self.s3.client().put_object(self.bucket, name, BytesIO(data), len(data))

    def find(self, prefix: str = "", *leave_out: S3Destination, **settings: object) -> list[Found]:
        scope = Scope(self.s3.settings(**settings), leave_out, self.ignored)
        return list(parse_source(f"s3://{self.bucket}/{prefix}").find(scope))

    def names(self, *asked: object) -> list[str]:
        return [each.relative for each in self.find(*asked)]  # type: ignore[arg-type]


@pytest.fixture
def shelf(s3: S3Server) -> Shelf:
    return Shelf(s3)


def test_objects_below_a_prefix_are_listed_by_the_name_below_it(shelf: Shelf) -> None:
    shelf.put("in/b.mpg", "in/a/clip.mp4", f"in/{ODD}", "inside.mp4", "other/c.mp4")
    found = shelf.find("in/")
    assert [each.relative for each in found] == [ODD, "a/clip.mp4", "b.mpg"]
    assert found[0].place == f"s3://{shelf.bucket}/in/{ODD}"
    assert {each.size_bytes for each in found} == {4}


def test_one_object_may_be_the_source(shelf: Shelf) -> None:
    shelf.put("in/clip.mp4", "in/clip.mp4.txt")
    assert shelf.names("in/clip.mp4") == ["clip.mp4"]


def test_hidden_names_dicomdirs_and_our_own_places_are_passed_over(shelf: Shelf) -> None:
    shelf.put("in/clip.mp4", "in/.trash/x.mp4", "in/.hidden", "in/DICOMDIR", "in/out/1.2/3.dcm", "in/farm/results/a")
    found = shelf.find("in", S3Destination(shelf.bucket, "in/out"), store_url=f"s3://{shelf.bucket}/in/farm")
    assert [each.relative for each in found] == ["clip.mp4"]
    assert shelf.ignored == {"hidden": 2, "DICOMDIR": 1, "destination or state folder": 2}


def test_a_source_below_the_destination_is_listed_and_one_that_is_the_destination_refused(shelf: Shelf) -> None:
    shelf.put("in/clip.mp4")
    assert shelf.names("in", S3Destination(shelf.bucket)) == ["clip.mp4"]
    with pytest.raises(PolicyError, match="also the destination"):
        shelf.find("in", S3Destination(shelf.bucket, "in"))


def test_a_missing_bucket_and_an_empty_prefix_are_refused(shelf: Shelf) -> None:
    with pytest.raises(PolicyError, match="nothing lies below"):
        shelf.find("typo")
    shelf.bucket = "no-such-bucket"
    with pytest.raises(PolicyError, match="does not exist"):
        shelf.find()


def test_an_object_that_was_written_again_has_another_stamp(shelf: Shelf) -> None:
    shelf.put("clip.mp4", data=b"one")
    before = shelf.find()[0].mtime_ns
    assert shelf.find()[0].mtime_ns == before
    shelf.put("clip.mp4", data=b"two")  # within the same second perhaps, and as long
    assert shelf.find()[0].mtime_ns != before


@pytest.mark.parametrize("file", ["a/clip.mp4", "s3://{bucket}/in/a/clip.mp4", "a/*.mp4", "**/clip.*"])
def test_a_mapping_names_objects_as_it_names_files(shelf: Shelf, tmp_path: Path, file: str) -> None:
    shelf.put("in/a/clip.mp4")
    csv = tmp_path / "map.csv"
    csv.write_text(f"file,PatientID\n{file.format(bucket=shelf.bucket)},P-1\n")
    assert Mapping.load(csv).row_for(shelf.find("in")[0]) is not None


@pytest.mark.parametrize("afar", [False, True])
def test_an_object_is_brought_to_our_store_once(shelf: Shelf, tmp_path: Path, *, afar: bool) -> None:
    shelf.put(ODD, data=b"whole film")
    store = shelf.s3.store() if afar else FolderStore(tmp_path / "objects")
    sources = Sources(store, shelf.s3.settings())
    place = shelf.find()[0].place
    outcomes: dict[str, object] = {}
    while not outcomes:
        outcomes = dict(sources.bring({"sources/1": place}))
    assert outcomes == {"sources/1": None}
    assert store.get("sources/1") == b"whole film"
    bring(place, "sources/1", store, shelf.s3.settings())
    sources.close()


def test_an_object_that_has_gone_fails_its_item_and_no_error_names_it(shelf: Shelf, tmp_path: Path) -> None:
    with pytest.raises(UnreadableSource) as gone:
        bring(f"s3://{shelf.bucket}/{ODD}", "sources/1", FolderStore(tmp_path), shelf.s3.settings())
    assert "Anna" not in gone.value.message + gone.value.hint


def test_a_server_that_is_away_is_asked_again(shelf: Shelf, tmp_path: Path) -> None:
    settings = shelf.s3.settings(s3_endpoint="http://127.0.0.1:9", s3_retries=0)
    with pytest.raises(StoreFault) as away:
        bring(f"s3://{shelf.bucket}/{ODD}", "sources/1", FolderStore(tmp_path), settings)
    assert away.value.retryable
    assert "Anna" not in away.value.message + away.value.hint


def test_a_plan_reads_a_copy_that_is_gone_afterwards_and_no_child_sees_the_key(shelf: Shelf) -> None:
    shelf.put(ODD, "notes.txt", data=b"x" * 1000)
    found, notes = shelf.find()
    with local_copy(found, shelf.s3.settings()) as path:
        assert (path.stat().st_size, path.suffix) == (1000, ".MP4")
        assert "Anna" not in str(path)
    assert not path.exists()
    with Describer(shelf.s3.settings(), quick=True) as describer:
        assert describer.ask(notes).code == "NotVideo"  # type: ignore[union-attr]
