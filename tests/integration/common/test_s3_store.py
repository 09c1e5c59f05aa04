"""What only an S3 store promises, on a real server: parts, resuming, encryption, plain words for every refusal."""

from __future__ import annotations

import hashlib
import io
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from minio import time as minio_time
from support.s3 import SECRET_KEY, S3Server, free_ports, s3_server, self_signed

from common.errors import PolicyError, StoreFault, UnreadableSource
from common.forks import Limits
from common.process import call
from common.settings import Settings
from common.store.open import open_store
from common.store.s3 import S3Store
from common.store.s3_reader import LARGEST_WINDOW_BYTES
from common.store.s3_upload import part_bytes

MIB = 1 << 20
SMALL_PARTS = {"s3_part_bytes": 5 * MIB}


class Interrupted(Exception):
    """What goes wrong in the middle of a write."""


def noise(size: int) -> bytes:
    block = os.urandom(MIB)
    return (block * (size // MIB + 1))[:size]


def metadata(server: S3Server, store: S3Store, key: str) -> dict[str, str]:
    found = server.client().stat_object(store.bucket, f"farm/{key}").metadata
    return {name.lower(): value for name, value in (found or {}).items()}


# ---- writing


def test_forty_megabytes_go_in_parts_and_come_back(s3: S3Server) -> None:
    store = s3.store(**SMALL_PARTS)
    data = noise(40 * MIB + 12_345)
    with store.writer("results/a") as writer:
        for start in range(0, len(data), 777_777):
            writer.write(data[start : start + 777_777])
    assert writer.stored.size_bytes == store.size("results/a") == len(data)
    assert writer.stored.digest == hashlib.sha256(data).hexdigest()
    assert store.get("results/a") == data
    assert s3.client().stat_object(store.bucket, "farm/results/a").etag.endswith("-9")
    assert list(store.uploads()) == []


@pytest.mark.parametrize("size", [0, 1, 5 * MIB - 1, 5 * MIB, 5 * MIB + 1, 10 * MIB])
def test_every_object_has_its_digest_beside_it(s3: S3Server, size: int) -> None:
    store = s3.store(**SMALL_PARTS)
    data = noise(size)
    stored = store.put("results/a", data)
    assert metadata(s3, store, "results/a")["x-amz-meta-sha256"] == stored.digest == hashlib.sha256(data).hexdigest()
    assert store.get("results/a") == data


def fail_after(store: S3Store, size: int) -> None:
    with store.writer("results/a") as writer:
        for _ in range(size // MIB):
            writer.write(noise(MIB))
        raise Interrupted


@pytest.mark.parametrize("size", [1 * MIB, 12 * MIB])
def test_an_exception_leaves_no_object_and_no_parts(s3: S3Server, size: int) -> None:
    store = s3.store(**SMALL_PARTS)
    with pytest.raises(Interrupted):
        fail_after(store, size)
    assert list(store.keys("")) == []
    assert list(store.uploads()) == []


def test_a_completion_whose_answer_was_lost_is_recognised(s3: S3Server) -> None:
    store = s3.store(**SMALL_PARTS)
    client = store._connection.client
    complete = client._complete_multipart_upload

    def lost(bucket: str, name: str, upload_id: str, parts: list[object]) -> object:
        complete(bucket, name, upload_id, parts)
        client._abort_multipart_upload(bucket, name, "gone")  # raises NoSuchUpload, as completing again does

    client._complete_multipart_upload = lost
    data = noise(6 * MIB)
    assert store.put("results/a", data).size_bytes == len(data)
    assert store.get("results/a") == data


def test_another_writers_object_does_not_get_our_digest(s3: S3Server) -> None:
    store = s3.store(**SMALL_PARTS)
    ours = store.writer("results/a")
    upload = ours.__enter__()
    upload.write(noise(6 * MIB))
    complete = upload._complete

    def overtaken(upload_id: str) -> str:
        etag = complete(upload_id)
        store.put("results/a", b"theirs")
        return etag

    upload._complete = overtaken  # type: ignore[method-assign]
    ours.__exit__(None, None, None)
    assert store.get("results/a") == b"theirs"
    assert metadata(s3, store, "results/a")["x-amz-meta-sha256"] == hashlib.sha256(b"theirs").hexdigest()


def test_uploads_of_killed_writers_are_discarded(s3: S3Server) -> None:
    store = s3.store()
    for number in range(3):
        s3.client()._create_multipart_upload(store.bucket, f"farm/results/{number}", {})
    s3.client()._create_multipart_upload(store.bucket, "elsewhere/results", {})
    assert store.discard_abandoned(3600) == 0
    assert store.discard_abandoned(-5) == 3
    assert list(store.uploads()) == []
    assert len(list(s3.store(store.bucket, "elsewhere").uploads())) == 1


def test_ten_thousand_parts_hold_half_a_terabyte() -> None:
    sizes = [part_bytes(number, 8 * MIB) for number in range(1, 10_001)]
    assert sum(sizes) > 500e9
    assert (min(sizes), max(sizes)) == (8 * MIB, 64 * MIB)
    assert part_bytes(10_000, 64 * MIB) == 64 * MIB


# ---- reading


def test_a_reader_agrees_with_a_file_wherever_it_looks(s3: S3Server) -> None:
    store = s3.store()
    data = os.urandom(3 * MIB + 17)
    store.put("results/a", data)
    expected = io.BytesIO(data)
    with store.open("results/a") as reader:
        for offset, length in ((0, 10), (300_000, 70_000), (299_990, 30), (3 * MIB, 100), (5, 2 * MIB), (0, -1)):
            assert reader.seek(offset) == expected.seek(offset)
            assert reader.read(length) == expected.read(length)
        assert reader.read(5) == b""
        assert reader.seek(4 * MIB) == 4 * MIB
        assert reader.read(5) == b""


def test_a_reader_notices_that_its_object_was_replaced(s3: S3Server) -> None:
    store = s3.store()
    store.put("results/a", noise(2 * MIB))
    with store.open("results/a") as reader:
        reader.read(10)
        store.put("results/a", os.urandom(2 * MIB))
        with pytest.raises(StoreFault, match="PreconditionFailed"):
            reader.read()


def test_keys_beyond_a_thousand_are_all_listed(s3: S3Server) -> None:
    store = s3.store()
    names = [f"results/{number:04}" for number in range(1_050)]
    batches = [names[start::6] for start in range(6)]
    threads = [threading.Thread(target=lambda keys=keys: [store.put(key, b"") for key in keys]) for keys in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(store.keys("results/")) == names


def test_a_forked_child_uses_connections_of_its_own(s3: S3Server) -> None:
    store = s3.store()
    store.put("results/a", b"before the fork")
    limits = Limits(seconds=60)
    assert call(store.get, "results/a", limits=limits, what="reading") == b"before the fork"
    assert call(store.put, "results/b", noise(12 * MIB), limits=limits, what="writing").size_bytes == 12 * MIB
    assert store.get("results/a") == b"before the fork"


# ---- adopting


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mpg"
    path.write_bytes(noise(6 * MIB))
    return path


def test_a_source_that_is_there_is_not_sent_again(s3: S3Server, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = s3.store()
    store.adopt("sources/1", source)
    monkeypatch.setattr(S3Store, "_upload", None)
    store.adopt("sources/1", source)
    os.utime(source, ns=(1, 1))  # the time is another, the bytes are not
    store.adopt("sources/1", source)


def test_a_source_that_changed_is_sent_again(s3: S3Server, source: Path) -> None:
    store = s3.store()
    store.adopt("sources/1", source)
    source.write_bytes(os.urandom(6 * MIB))
    os.utime(source, ns=(1, 1))
    store.adopt("sources/1", source)
    assert store.get("sources/1") == source.read_bytes()


def test_a_source_that_changes_while_it_is_sent_is_not_stored(
    s3: S3Server, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = s3.store()
    digest = hashlib.file_digest

    def then_change(stream: io.BufferedReader, name: str) -> object:
        found = digest(stream, name)
        with source.open("ab") as writer:
            writer.write(b"more")
        return found

    monkeypatch.setattr(hashlib, "file_digest", then_change)
    with pytest.raises(StoreFault, match="changed"):
        store.adopt("sources/1", source)
    assert store.size("sources/1") is None
    assert list(store.uploads()) == []


def test_a_source_that_went_is_the_inputs_fault(s3: S3Server, tmp_path: Path) -> None:
    with pytest.raises(UnreadableSource) as caught:
        s3.store().adopt("sources/1", tmp_path / "Doe^Jane.mpg")
    assert "Doe" not in str(caught.value)


# ---- encryption


def test_objects_are_encrypted_where_it_is_asked_for(s3: S3Server) -> None:
    store = s3.store(s3_encryption="SSE-S3", **SMALL_PARTS)
    for key, data in (("small", b"x" * 1000), ("large", noise(11 * MIB))):
        store.put(key, data)
        assert metadata(s3, store, key)["x-amz-server-side-encryption"] == "AES256"
        assert store.get(key) == data


def test_encryption_by_kms_needs_a_key(s3: S3Server) -> None:
    with pytest.raises(PolicyError, match="SSE-KMS"):
        s3.store(s3_encryption="SSE-KMS")


# ---- checks and refusals


def test_a_check_notes_what_keeps_deleted_objects(s3: S3Server) -> None:
    bucket = s3.bucket()
    s3.client().make_bucket(f"{bucket}-locked", object_lock=True)
    assert any("versioning" in note for note in s3.store(f"{bucket}-locked").check())
    assert s3.store(bucket).check() == ()


def test_a_missing_bucket_is_named_as_that(s3: S3Server) -> None:
    store = s3.store("no-such-bucket")
    with pytest.raises(StoreFault, match="bucket") as caught:
        store.check()
    assert "Create it" in caught.value.hint
    with pytest.raises(StoreFault, match="NoSuchBucket"):
        store.put("results/a", b"x")


@pytest.mark.parametrize(
    ("changes", "code", "hint"),
    [
        ({"s3_secret_key": "another"}, "SignatureDoesNotMatch", "CINEFARM_S3_SECRET_KEY"),
        ({"s3_access_key": "nobody"}, "InvalidAccessKeyId", "CINEFARM_S3_ACCESS_KEY"),
    ],
)
def test_wrong_credentials_are_named_as_that(s3: S3Server, changes: dict[str, str], code: str, hint: str) -> None:
    store = s3.store(s3.bucket(), **changes)
    with pytest.raises(StoreFault, match=code) as caught:
        store.put("results/a", b"x")
    assert hint in caught.value.hint
    assert SECRET_KEY not in str(caught.value) + caught.value.hint


def test_a_wrong_clock_is_named_as_that(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket, now = s3.bucket(), minio_time.utcnow
    monkeypatch.setattr(minio_time, "utcnow", lambda: now() - timedelta(hours=2))
    with pytest.raises(StoreFault, match="RequestTimeTooSkewed") as caught:
        s3.store(bucket).put("results/a", b"x")
    assert "clock" in caught.value.hint


def test_a_server_that_is_away_is_a_store_fault() -> None:
    (port,) = free_ports(1)
    settings = Settings.model_validate(
        {"s3_endpoint": f"http://127.0.0.1:{port}", "s3_access_key": "a", "s3_secret_key": "b", "s3_retries": 0}
    )
    with pytest.raises(StoreFault, match="no connection") as caught:
        S3Store("bucket", "", settings).get("results/a")
    assert "CINEFARM_S3_ENDPOINT" in caught.value.hint


def test_a_page_that_is_no_s3_answer_is_a_store_fault(not_s3: str) -> None:
    settings = Settings.model_validate(
        {"s3_endpoint": not_s3, "s3_access_key": "a", "s3_secret_key": "b", "s3_retries": 0}
    )
    with pytest.raises(StoreFault, match="confirm"):
        S3Store("bucket", "", settings).put("results/a", b"x")
    with pytest.raises(StoreFault):
        list(S3Store("bucket", "", settings).keys(""))


@pytest.fixture
def not_s3() -> Iterator[str]:
    """A web server that answers everything with a page."""
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 9\r\nConnection: close\r\n\r\n<p>hi</p>"
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def serve() -> None:
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer:
                    peer.recv(65536)
                    peer.sendall(page)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("url", ["s3://", "s3:///prefix", "s3://UPPER/x", "s3://a", "s3://user@bucket/x"])
def test_a_url_without_a_bucket_is_refused(url: str) -> None:
    with pytest.raises(PolicyError, match="bucket"):
        open_store(url, Settings())


@pytest.mark.parametrize("prefix", ["a b", "../x", ".hidden", "a//b", "ä", "a%0Ab"])
def test_a_prefix_that_could_be_no_key_is_refused(prefix: str) -> None:
    with pytest.raises(PolicyError):
        open_store(f"s3://bucket/{prefix}", Settings())


def test_a_url_opens_the_prefix_it_names(s3: S3Server) -> None:
    bucket = s3.bucket()
    open_store(f"s3://{bucket}/farm/one", s3.settings()).put("a", b"x")
    assert list(open_store(f"s3://{bucket}", s3.settings()).keys("")) == ["farm/one/a"]


def test_the_secret_is_shown_nowhere() -> None:
    settings = Settings.model_validate({"s3_secret_key": SECRET_KEY})
    assert SECRET_KEY not in repr(settings) + str(settings.model_dump())


# ---- a server that goes away and comes back


@contextmanager
def restarted(server: S3Server) -> Iterator[None]:
    """The server is gone when the block begins, and comes back beside it."""
    server.stop()
    back = threading.Timer(1.0, server.start)
    back.start()
    try:
        yield
    finally:
        back.join()


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A server that a test may stop."""
    with s3_server(tmp_path_factory.mktemp("own")) as server:
        yield server


def test_a_reader_goes_on_when_the_server_comes_back(own: S3Server) -> None:
    store = own.store(s3_retries=12)
    data = noise(3 * LARGEST_WINDOW_BYTES)
    store.put("results/a", data)
    with store.open("results/a") as reader:
        start = reader.read(MIB)
        with restarted(own):
            assert start + reader.read() == data


def test_a_writer_goes_on_when_the_server_comes_back(own: S3Server) -> None:
    store = own.store(s3_retries=12, **SMALL_PARTS)
    data = noise(23 * MIB)
    with store.writer("results/b") as writer:
        writer.write(data[: 11 * MIB])
        with restarted(own):
            writer.write(data[11 * MIB :])
    assert store.get("results/b") == data
    assert list(store.uploads()) == []


# ---- TLS


@pytest.mark.peer("openssl")
def test_a_server_is_believed_by_its_certificate_only(tmp_path: Path) -> None:
    (tmp_path / "tls").mkdir()
    with s3_server(tmp_path / "tls", self_signed(tmp_path / "server.pem")) as server:
        store = server.store()
        data = noise(9 * MIB)
        store.put("results/a", data)
        assert store.get("results/a") == data
        stranger = server.store(store.bucket, s3_ca_file=None, s3_retries=0)
        with pytest.raises(StoreFault, match="no connection") as caught:
            stranger.get("results/a")
        assert "CINEFARM_S3_CA_FILE" in caught.value.hint


def test_a_list_of_signers_that_is_not_there_is_refused() -> None:
    settings = Settings.model_validate({"s3_ca_file": "/nowhere/ca.pem", "s3_access_key": "a", "s3_secret_key": "b"})
    with pytest.raises(PolicyError, match="CINEFARM_S3_CA_FILE"):
        S3Store("bucket", "", settings).size("a")


# ---- memory


MEMORY = """
import hashlib, sys
from pathlib import Path
from common.settings import Settings
from common.store.open import open_store

store, block = open_store(sys.argv[1], Settings()), bytes(range(256)) * 4096
with store.writer("results/a") as writer:
    for _ in range(300):
        writer.write(block)
store.export("results/a", Path(sys.argv[2]))
with store.open("results/a") as reader:
    assert hashlib.file_digest(reader, "sha256").hexdigest() == writer.stored.digest
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(int(status["VmHWM"].split()[0]) * 1024)
"""


def test_three_hundred_megabytes_pass_in_little_memory(s3: S3Server, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, f"s3://{s3.bucket()}/farm", str(out)],
        env=os.environ | s3.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stat().st_size == 300 * MIB
    assert int(done.stdout) < 150_000_000
