"""Delivery to a folder: complete where the instance lies, proven, repeatable, never over somebody else's bytes."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import DestinationRefused, DestinationUnavailable, PolicyError, StoreFault, UnsupportedSource
from common.orders import DeliverDone, DeliverOrder
from common.settings import Settings
from common.store.folder import FolderStore
from workers.deliver import deliver
from workers.deliver.folder import ALREADY, COPIED, LINKED, instance_place

STUDY, SERIES, SOP = "1.2.3", "1.2.3.4", "2.25.5"
INSTANCE = os.urandom(200_000)
EVIDENCE = b'{"verdict": "passed"}'
SCORES = b"scores"


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    store = FolderStore(tmp_path / "objects")
    store.put("results/a/instance.dcm", INSTANCE)
    store.put("results/a/evidence.json", EVIDENCE)
    store.put("results/a/scores.npz", SCORES)
    return store


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    return tmp_path / "archive"


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on another device than the store's, where this machine has one that may be written."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("this machine has no second file system at /dev/shm")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


@pytest.fixture
def no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)


def an_order(destination: Path, **changes: object) -> DeliverOrder:
    facts: dict[str, object] = {
        "order_id": "o-1",
        "item_id": "i-1",
        "attempt": 1,
        "destination": str(destination),
        "instance_key": "results/a/instance.dcm",
        "instance_digest": hashlib.sha256(INSTANCE).hexdigest(),
        "instance_bytes": len(INSTANCE),
        "evidence_keys": ("results/a/evidence.json", "results/a/scores.npz"),
        "study_uid": STUDY,
        "series_uid": SERIES,
        "sop_instance_uid": SOP,
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.77.1.1.1",
        "transfer_syntax_uid": "1.2.840.10008.1.2.4.102",
    }
    return DeliverOrder.model_validate(facts | changes)


def brought(order: DeliverOrder, store: FolderStore) -> DeliverDone:
    return deliver(order, store, Settings())


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


COMPLETE = {
    f"{STUDY}/{SERIES}/{SOP}.dcm": INSTANCE,
    f"{STUDY}/{SERIES}/{SOP}.evidence.json": EVIDENCE,
    f"{STUDY}/{SERIES}/{SOP}.scores.npz": SCORES,
}


def test_instance_evidence_and_scores_lie_below_study_and_series(store: FolderStore, destination: Path) -> None:
    done = brought(an_order(destination), store)
    assert files(destination) == COMPLETE
    assert done.location == f"{STUDY}/{SERIES}/{SOP}.dcm"


def test_on_one_disk_the_instance_is_linked_not_copied(store: FolderStore, destination: Path, tmp_path: Path) -> None:
    done = brought(an_order(destination), store)
    assert done.proof == LINKED
    assert (destination / done.location).samefile(tmp_path / "objects/results/a/instance.dcm")


def test_on_another_disk_the_copy_is_read_back(store: FolderStore, other_disk: Path) -> None:
    done = brought(an_order(other_disk / "new" / "archive"), store)
    assert done.proof == COPIED
    assert files(other_disk / "new" / "archive") == COMPLETE


@pytest.mark.usefixtures("no_links")
def test_without_hard_links_the_instance_is_copied_and_read_back(store: FolderStore, destination: Path) -> None:
    assert brought(an_order(destination), store).proof == COPIED
    assert files(destination) == COMPLETE


def test_an_adopted_source_is_copied_and_stays(store: FolderStore, destination: Path, tmp_path: Path) -> None:
    source = tmp_path / "kept.dcm"
    source.write_bytes(INSTANCE)
    store.adopt("sources/1", source)
    done = brought(an_order(destination, instance_key="sources/1", evidence_keys=()), store)
    assert done.proof == COPIED
    assert not (destination / done.location).samefile(source)
    assert source.read_bytes() == INSTANCE


def test_two_instances_of_a_series_lie_beside_each_other(store: FolderStore, destination: Path) -> None:
    brought(an_order(destination), store)
    brought(an_order(destination, sop_instance_uid="2.25.6"), store)
    assert len(files(destination)) == 6


# ---- again


def test_a_second_delivery_writes_nothing_and_proves_again(store: FolderStore, destination: Path) -> None:
    first = brought(an_order(destination), store)
    before = {path: path.stat().st_mtime_ns for path in destination.rglob("*")}
    assert brought(an_order(destination), store) == first
    assert {path: path.stat().st_mtime_ns for path in destination.rglob("*")} == before


def test_a_copy_that_is_already_there_is_proven_by_its_digest(store: FolderStore, other_disk: Path) -> None:
    brought(an_order(other_disk), store)
    inode = (other_disk / STUDY / SERIES / f"{SOP}.dcm").stat().st_ino
    assert brought(an_order(other_disk), store).proof == ALREADY
    assert (other_disk / STUDY / SERIES / f"{SOP}.dcm").stat().st_ino == inode


def test_evidence_that_is_missing_beside_an_instance_is_added(store: FolderStore, destination: Path) -> None:
    brought(an_order(destination, evidence_keys=()), store)
    brought(an_order(destination), store)
    assert files(destination) == COMPLETE


def test_evidence_that_an_unfinished_delivery_left_is_replaced(store: FolderStore, destination: Path) -> None:
    left = destination / STUDY / SERIES / f"{SOP}.evidence.json"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"of an attempt that was killed")
    brought(an_order(destination), store)
    assert files(destination) == COMPLETE


def test_what_a_killed_attempt_left_aside_goes(store: FolderStore, destination: Path) -> None:
    aside = destination / STUDY / SERIES / f".{SOP}.0123456789abcdef"
    aside.mkdir(parents=True)
    (aside / f"{SOP}.dcm").write_bytes(b"half")
    brought(an_order(destination), store)
    assert files(destination) == COMPLETE


# ---- somebody else's bytes


@pytest.mark.parametrize("other", [b"of another size", bytes(len(INSTANCE))])
def test_another_object_under_the_same_uid_is_refused_and_kept(
    store: FolderStore, destination: Path, other: bytes
) -> None:
    there = destination / STUDY / SERIES / f"{SOP}.dcm"
    there.parent.mkdir(parents=True)
    there.write_bytes(other)
    with pytest.raises(DestinationRefused, match="same SOP Instance UID") as caught:
        brought(an_order(destination), store)
    assert caught.value.hint
    assert files(destination) == {f"{STUDY}/{SERIES}/{SOP}.dcm": other}


def test_a_dangling_link_under_the_name_is_refused(store: FolderStore, destination: Path, tmp_path: Path) -> None:
    there = destination / STUDY / SERIES / f"{SOP}.dcm"
    there.parent.mkdir(parents=True)
    there.symlink_to(tmp_path / "nowhere")
    with pytest.raises(DestinationRefused):
        brought(an_order(destination), store)
    assert there.is_symlink()
    assert not (tmp_path / "nowhere").exists()


def test_an_object_that_appears_while_ours_is_brought_is_not_replaced(
    store: FolderStore, destination: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = store.export

    def while_another_delivers(key: str, path: Path) -> None:
        export(key, path)
        if key.endswith("instance.dcm"):
            (destination / STUDY / SERIES / f"{SOP}.dcm").write_bytes(b"another")

    monkeypatch.setattr(store, "export", while_another_delivers)
    with pytest.raises(DestinationRefused):
        brought(an_order(destination), store)
    assert files(destination)[f"{STUDY}/{SERIES}/{SOP}.dcm"] == b"another"


# ---- failures


@pytest.mark.usefixtures("no_links")
def test_a_copy_that_reads_back_differently_never_gets_the_name(
    store: FolderStore, destination: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = store.export

    def bad_disk(key: str, path: Path) -> None:
        export(key, path)
        if key.endswith("instance.dcm"):
            path.write_bytes(bytes(len(INSTANCE)))

    monkeypatch.setattr(store, "export", bad_disk)
    with pytest.raises(DestinationUnavailable, match="reads back"):
        brought(an_order(destination), store)
    assert files(destination) == {}


def test_a_linked_object_of_another_size_is_a_store_fault(store: FolderStore, destination: Path) -> None:
    with pytest.raises(StoreFault, match="size"):
        brought(an_order(destination, instance_bytes=len(INSTANCE) - 1), store)
    assert files(destination) == {}


@pytest.mark.usefixtures("no_links")
@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "No space left"),
        (errno.EROFS, "Read-only"),
        (errno.EACCES, "denied"),
        (errno.EIO, "Input/output"),
    ],
)
def test_a_disk_that_fails_is_unavailable_in_the_systems_words(
    store: FolderStore, destination: Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    def fail(_: int) -> None:
        raise OSError(code, os.strerror(code), str(destination / "Doe^Jane"))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(DestinationUnavailable, match=words) as caught:
        brought(an_order(destination), store)
    assert "Doe" not in caught.value.message + caught.value.hint
    assert caught.value.hint
    assert files(destination) == {}


@pytest.mark.parametrize("missing", ["results/a/instance.dcm", "results/a/evidence.json"])
def test_an_object_that_left_the_store_is_a_store_fault(store: FolderStore, destination: Path, missing: str) -> None:
    store.delete(missing)
    with pytest.raises(StoreFault):
        brought(an_order(destination), store)
    assert not list(destination.rglob("*.dcm"))
    assert not list(destination.rglob(".*"))


def test_a_failure_at_the_evidence_leaves_no_instance(
    store: FolderStore, destination: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = store.export

    def fail_at_scores(key: str, path: Path) -> None:
        if key.endswith("scores.npz"):
            raise StoreFault("disk full") from OSError(errno.ENOSPC, "No space left on device")
        export(key, path)

    monkeypatch.setattr(store, "export", fail_at_scores)
    with pytest.raises(DestinationUnavailable):
        brought(an_order(destination), store)
    assert not list(destination.rglob("*.dcm"))
    assert not list(destination.rglob(".*"))


def test_a_destination_that_is_a_file_is_unavailable(store: FolderStore, destination: Path) -> None:
    destination.write_bytes(b"not a folder")
    with pytest.raises(DestinationUnavailable):
        brought(an_order(destination), store)
    assert destination.read_bytes() == b"not a folder"


# ---- names


@pytest.mark.parametrize("field", ["study_uid", "series_uid", "sop_instance_uid"])
@pytest.mark.parametrize(
    "uid",
    [
        "",
        "..",
        ".",
        "1..2",
        "1.2.",
        ".1.2",
        "../1",
        "/1.2",
        "1.2/3",
        "1.2\n",
        "1.2\0",
        "1.2 ",
        "1.2.a",
        "1" * 65,
        "１.２",
    ],
)
def test_what_is_no_uid_names_no_file(store: FolderStore, destination: Path, field: str, uid: str) -> None:
    with pytest.raises(UnsupportedSource):
        brought(an_order(destination, **{field: uid}), store)
    assert not destination.exists()


@settings(deadline=None, max_examples=60)
@given(uid=st.text("0123456789./\\~ a", max_size=70))
def test_every_place_is_three_plain_names(uid: str) -> None:
    try:
        place = instance_place(an_order(Path("/d"), study_uid=uid, series_uid=uid, sop_instance_uid=uid))
    except UnsupportedSource:
        return
    assert place.parts == (uid, uid, f"{uid}.dcm")
    assert not place.is_absolute()


def test_an_unknown_kind_of_destination_is_a_policy_error(store: FolderStore) -> None:
    with pytest.raises(PolicyError):
        brought(an_order(Path("/")).model_copy(update={"destination": "ftp://server/x"}), store)
