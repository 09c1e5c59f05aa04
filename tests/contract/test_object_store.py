"""What every ObjectStore promises, one claim a test. A new store joins by a line in STORES."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import urllib3
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import CinefarmError, InternalFault, StoreFault
from common.store import ObjectStore
from common.store.folder import FolderStore
from common.store.open import open_store

STORES: dict[str, Callable[[pytest.FixtureRequest], ObjectStore]] = {
    "folder": lambda request: open_store(str(request.getfixturevalue("tmp_path") / "objects")),
    "s3": lambda request: request.getfixturevalue("s3").store(),
}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> ObjectStore:
    return STORES[request.param](request)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source" / "clip.mpg"
    path.parent.mkdir()
    path.write_bytes(b"a source that is never changed")
    return path


class Interrupted(Exception):
    """What goes wrong in the middle of a write."""


def write_and_fail(store: ObjectStore, key: str) -> None:
    with store.writer(key) as writer:
        writer.write(b"half")
        raise Interrupted


# ---- writing


def test_a_written_object_reads_back(store: ObjectStore) -> None:
    with store.writer("results/a/instance.dcm") as writer:
        writer.write(b"one ")
        writer.write(memoryview(b"two"))
    assert store.get("results/a/instance.dcm") == b"one two"


def test_a_write_reports_size_and_sha256(store: ObjectStore) -> None:
    data = os.urandom(100_001)
    with store.writer("results/a/b") as writer:
        assert sum(writer.write(data[start : start + 997]) for start in range(0, len(data), 997)) == len(data)
    assert writer.stored.key == "results/a/b"
    assert writer.stored.size_bytes == len(data)
    assert writer.stored.digest == hashlib.sha256(data).hexdigest()


def test_an_object_of_no_bytes_is_an_object(store: ObjectStore) -> None:
    with store.writer("empty"):
        pass
    assert store.size("empty") == 0
    assert store.get("empty") == b""


def test_nothing_is_visible_before_the_block_ends(store: ObjectStore) -> None:
    with store.writer("results/a") as writer:
        writer.write(b"half")
        assert store.size("results/a") is None
        assert list(store.keys("")) == []
    assert list(store.keys("")) == ["results/a"]


def test_the_digest_cannot_be_had_before_the_block_ends(store: ObjectStore) -> None:
    with store.writer("results/a") as writer, pytest.raises(CinefarmError):
        _ = writer.stored


def test_an_exception_leaves_nothing_behind(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        write_and_fail(store, "results/a")
    assert store.size("results/a") is None
    assert list(store.keys("")) == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_an_exception_keeps_the_object_that_was_there(store: ObjectStore) -> None:
    store.put("results/a", b"whole")
    with pytest.raises(Interrupted):
        write_and_fail(store, "results/a")
    assert store.get("results/a") == b"whole"


def test_a_second_write_replaces_the_first_as_a_whole(store: ObjectStore) -> None:
    store.put("results/a", b"a long first version")
    store.put("results/a", b"short")
    assert store.get("results/a") == b"short"


def test_a_reader_keeps_what_it_opened_while_the_object_is_replaced(store: ObjectStore) -> None:
    store.put("results/a", b"first")
    with store.open("results/a") as reader:
        store.put("results/a", b"other")
        assert reader.read() == b"first"


def test_writers_of_one_key_at_once_leave_one_whole_object(store: ObjectStore) -> None:
    versions = [bytes([number]) * 200_000 for number in range(8)]
    ready = threading.Barrier(len(versions))
    stored = {}

    def write(data: bytes) -> None:
        with store.writer("results/a") as writer:
            for start in range(0, len(data), 50_000):
                ready.wait(timeout=60)
                writer.write(data[start : start + 50_000])
        stored[data] = writer.stored.digest

    threads = [threading.Thread(target=write, args=(data,)) for data in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.get("results/a") in versions
    assert list(store.keys("")) == ["results/a"]
    assert stored == {data: hashlib.sha256(data).hexdigest() for data in versions}


def test_put_reports_what_it_stored(store: ObjectStore) -> None:
    stored = store.put("headers/x.json", b"{}")
    assert (stored.key, stored.size_bytes, stored.digest) == ("headers/x.json", 2, hashlib.sha256(b"{}").hexdigest())


# ---- reading


def test_a_reader_can_seek(store: ObjectStore) -> None:
    store.put("results/a", bytes(range(256)))
    with store.open("results/a") as reader:
        assert reader.seekable()
        reader.seek(-6, os.SEEK_END)
        assert reader.read(2) == bytes([250, 251])
        reader.seek(10)
        assert reader.read(2) == bytes([10, 11])


def test_a_missing_object_has_no_size(store: ObjectStore) -> None:
    assert store.size("results/none") is None


@pytest.mark.parametrize("read", [lambda s: s.get("results/none"), lambda s: s.open("results/none")])
def test_a_missing_object_cannot_be_read(store: ObjectStore, read: Callable[[ObjectStore], object]) -> None:
    with pytest.raises(StoreFault):
        read(store)


def test_a_part_of_a_key_is_no_object(store: ObjectStore) -> None:
    store.put("results/a/instance.dcm", b"x")
    with pytest.raises(StoreFault):
        store.get("results/a")


def test_a_fault_does_not_name_the_path(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(StoreFault) as caught:
        store.get("results/none")
    assert str(tmp_path) not in str(caught.value) + caught.value.hint


def test_a_local_path_shows_the_bytes(store: ObjectStore) -> None:
    store.put("results/a", b"x")
    path = store.local_path("results/a")
    assert path is None or path.read_bytes() == b"x"


def test_a_presigned_url_gives_ranges_to_anybody(store: ObjectStore) -> None:
    store.put("results/a", b"0123456789")
    url = store.presigned("results/a", 60)
    if url is None:
        assert store.local_path("results/a") is not None
        return
    answer = urllib3.request("GET", url, headers={"Range": "bytes=3-5"})
    assert (answer.status, answer.data) == (206, b"345")


# ---- listing and deleting


def test_keys_are_those_with_the_prefix(store: ObjectStore) -> None:
    for key in ("results/ab/1", "results/ab/2", "results/ac/1", "results/a", "other/ab/1"):
        store.put(key, b"x")
    assert sorted(store.keys("results/ab/")) == ["results/ab/1", "results/ab/2"]
    assert sorted(store.keys("results/a")) == ["results/a", "results/ab/1", "results/ab/2", "results/ac/1"]
    assert len(list(store.keys(""))) == 5
    assert list(store.keys("nothing/")) == []


@pytest.mark.parametrize("prefix", ["../", "..", "/", "/etc/", "results/../../", "results//"])
def test_a_hostile_prefix_lists_nothing_outside(store: ObjectStore, tmp_path: Path, prefix: str) -> None:
    (tmp_path / "neighbour").write_bytes(b"not ours")
    store.put("results/a", b"x")
    with pytest.raises(InternalFault):
        list(store.keys(prefix))


def test_a_deleted_object_is_gone(store: ObjectStore) -> None:
    store.put("results/a/1", b"x")
    store.put("results/a/2", b"y")
    store.delete("results/a/1")
    assert store.size("results/a/1") is None
    assert list(store.keys("")) == ["results/a/2"]


def test_deleting_what_is_not_there_is_no_error(store: ObjectStore) -> None:
    store.delete("results/none")
    assert store.size("results/none") is None


# ---- checking and tidying


def test_a_check_leaves_nothing_behind(store: ObjectStore) -> None:
    assert store.check() == ()
    assert list(store.keys("")) == []


def test_what_is_being_written_is_not_abandoned(store: ObjectStore) -> None:
    with store.writer("results/a") as writer:
        writer.write(bytes(6 << 20))
        assert store.discard_abandoned(60) == 0
        writer.write(b"end")
    assert store.size("results/a") == (6 << 20) + 3


# ---- adopting


def test_an_adopted_source_reads_as_an_object(store: ObjectStore, source: Path) -> None:
    store.adopt("sources/1", source)
    assert store.get("sources/1") == source.read_bytes()
    assert store.size("sources/1") == source.stat().st_size
    assert list(store.keys("sources/")) == ["sources/1"]


def test_adopting_again_is_no_error(store: ObjectStore, source: Path) -> None:
    store.adopt("sources/1", source)
    store.adopt("sources/1", source)
    assert store.get("sources/1") == source.read_bytes()


def test_a_source_that_moved_can_be_adopted_again(store: ObjectStore, source: Path) -> None:
    store.adopt("sources/1", source)
    moved = source.rename(source.with_name("moved.mpg"))
    store.adopt("sources/1", moved)
    assert store.get("sources/1") == moved.read_bytes()


def test_deleting_an_adopted_object_keeps_the_source(store: ObjectStore, source: Path) -> None:
    store.adopt("sources/1", source)
    store.delete("sources/1")
    assert store.size("sources/1") is None
    assert source.read_bytes() == b"a source that is never changed"


def test_writing_over_an_adopted_object_keeps_the_source(store: ObjectStore, source: Path) -> None:
    store.adopt("sources/1", source)
    store.put("sources/1", b"something else")
    assert store.get("sources/1") == b"something else"
    assert source.read_bytes() == b"a source that is never changed"


def test_an_exported_source_is_never_shared(store: ObjectStore, source: Path, tmp_path: Path) -> None:
    store.adopt("sources/1", source)
    store.export("sources/1", tmp_path / "out")
    with (tmp_path / "out").open("r+b") as stream:
        stream.write(b"changed")
    assert source.read_bytes() == b"a source that is never changed"
    assert not (tmp_path / "out").is_symlink()


# ---- exporting


def test_an_exported_object_has_the_same_bytes(store: ObjectStore, tmp_path: Path) -> None:
    data = os.urandom(300_000)
    store.put("results/a", data)
    store.export("results/a", tmp_path / "deep" / "er" / "out.dcm")
    assert (tmp_path / "deep" / "er" / "out.dcm").read_bytes() == data


def test_an_export_replaces_what_lies_there(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"an older file")
    store.put("results/a", b"new")
    store.export("results/a", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"new"


def test_an_export_can_be_repeated(store: ObjectStore, tmp_path: Path) -> None:
    store.put("results/a", b"x")
    store.export("results/a", tmp_path / "to" / "out")
    store.export("results/a", tmp_path / "to" / "out")
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["out"]


def test_an_export_of_nothing_leaves_nothing(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(StoreFault):
        store.export("results/none", tmp_path / "to" / "out")
    assert not [path for path in (tmp_path / "to").rglob("*") if path.is_file()]


def test_an_export_that_cannot_be_written_leaves_nothing(store: ObjectStore, tmp_path: Path) -> None:
    store.put("results/a", b"x")
    (tmp_path / "to" / "out").mkdir(parents=True)
    (tmp_path / "to" / "out" / "file").write_bytes(b"in the way")
    with pytest.raises(StoreFault):
        store.export("results/a", tmp_path / "to" / "out")
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["out"]


# ---- keys


@pytest.mark.parametrize(
    "key",
    [
        "",
        "..",
        "../a",
        "a/../b",
        "a/..",
        "/a",
        "a//b",
        "a/",
        "A",
        "a/B",
        "a b",
        ".hidden",
        "a/.b",
        "ä",
        "a\n",
        "a\0b",
        "a\\b",
    ],
)
def test_a_hostile_key_is_refused_everywhere(store: ObjectStore, source: Path, tmp_path: Path, key: str) -> None:
    before = sorted(path for path in tmp_path.rglob("*"))
    for use in (
        lambda: store.put(key, b"x"),
        lambda: store.get(key),
        lambda: store.open(key),
        lambda: store.size(key),
        lambda: store.delete(key),
        lambda: store.adopt(key, source),
        lambda: store.local_path(key),
        lambda: store.presigned(key, 60),
        lambda: store.export(key, tmp_path / "out"),
    ):
        with pytest.raises(InternalFault):
            use()
    assert sorted(path for path in tmp_path.rglob("*")) == before


@settings(deadline=None, max_examples=60)
@given(key=st.text(min_size=1, max_size=30))
def test_no_key_reaches_out_of_the_store(tmp_path_factory: pytest.TempPathFactory, key: str) -> None:
    root = tmp_path_factory.getbasetemp() / "anywhere"
    try:
        path = FolderStore(root).local_path(key)
    except InternalFault:
        return
    assert path is not None
    assert root in path.parents
    assert ".." not in path.parts


# ---- what only a folder promises


@pytest.fixture
def folder(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "objects")


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on another device than the store's, where this machine has one that may be written."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("this machine has no second file system at /dev/shm")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


def test_a_folder_exports_by_hard_link_on_the_same_disk(folder: FolderStore, tmp_path: Path) -> None:
    folder.put("results/a", b"x")
    folder.export("results/a", tmp_path / "out")
    assert (tmp_path / "out").samefile(tmp_path / "objects" / "results" / "a")


def test_a_folder_exports_by_copy_to_another_disk(folder: FolderStore, other_disk: Path) -> None:
    data = os.urandom(3_000_000)
    folder.put("results/a", data)
    folder.export("results/a", other_disk / "out")
    assert (other_disk / "out").read_bytes() == data
    assert (other_disk / "out").stat().st_nlink == 1
    assert [path.name for path in other_disk.iterdir()] == ["out"]


def test_a_folder_exports_by_copy_where_links_are_not_known(
    folder: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    folder.put("results/a", b"x")
    folder.export("results/a", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"x"
    assert (tmp_path / "out").stat().st_nlink == 1


def test_a_folder_adopts_without_a_copy(folder: FolderStore, source: Path, tmp_path: Path) -> None:
    folder.adopt("sources/1", source)
    assert (tmp_path / "objects" / "sources" / "1").readlink() == source


def test_a_relative_source_is_found_from_everywhere(
    folder: FolderStore, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(source.parent)
    folder.adopt("sources/1", Path(source.name))
    monkeypatch.chdir(tmp_path)
    assert folder.get("sources/1") == source.read_bytes()


def test_an_adopted_source_that_went_is_no_object(folder: FolderStore, source: Path) -> None:
    folder.adopt("sources/1", source)
    source.unlink()
    assert folder.size("sources/1") is None


def test_a_full_disk_is_a_store_fault_that_says_so(folder: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreFault, match="No space left") as caught:
        folder.put("results/a", b"x")
    assert "room" in caught.value.hint
    assert list(folder.keys("")) == []


def test_a_folder_discards_what_killed_writers_left(folder: FolderStore, tmp_path: Path) -> None:
    folder.put("results/a", b"whole")
    (tmp_path / "objects" / ".aside" / "left").write_bytes(b"half")
    assert folder.discard_abandoned(60) == 0
    assert folder.discard_abandoned(-5) == 1
    assert [path.name for path in (tmp_path / "objects").rglob("*") if path.is_file()] == ["a"]


def test_a_folder_discards_what_a_writer_of_this_machine_left_as_soon_as_that_is_dead(
    folder: FolderStore, tmp_path: Path
) -> None:
    aside, before = tmp_path / "objects" / ".aside", time.time() - 60
    pid = os.fork()
    if pid == 0:
        with folder.writer("results/a") as writer:
            writer.write(b"half")
            os._exit(0)
    os.waitpid(pid, 0)
    with folder.writer("results/b") as writer:
        writer.write(b"whole")
        for path in aside.iterdir():
            os.utime(path, (before, before))
        assert folder.discard_abandoned(3600) == 1
    assert folder.get("results/b") == b"whole"
    assert not list(aside.iterdir())


def test_a_folder_knows_what_room_is_left_on_its_disk(folder: FolderStore, tmp_path: Path) -> None:
    assert folder.free_bytes() is None
    folder.put("results/a", b"x")
    assert folder.free_bytes() == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.1)


def test_folders_that_a_delete_leaves_empty_go_too(folder: FolderStore, tmp_path: Path) -> None:
    folder.put("results/a/b/c", b"x")
    folder.put("results/d", b"y")
    folder.delete("results/a/b/c")
    assert not (tmp_path / "objects" / "results" / "a").exists()
    assert folder.get("results/d") == b"y"


def test_an_unknown_kind_of_store_is_refused() -> None:
    with pytest.raises(CinefarmError, match="ftp://"):
        open_store("ftp://host/folder")


def test_a_file_url_opens_the_folder_it_names(tmp_path: Path) -> None:
    open_store(f"file://{tmp_path}/with%20space").put("a", b"x")
    assert (tmp_path / "with space" / "a").read_bytes() == b"x"
