"""The embedded farm with its objects in a bucket: what a cluster does, on one machine."""

from __future__ import annotations

from collections.abc import Iterator

import pydicom
import pytest
from support.desk import Desk, Run
from support.s3 import SECRET_KEY, S3Server

from common.store.s3 import S3Store

pytestmark = pytest.mark.farm


@pytest.fixture(scope="module")
def bucket(s3: S3Server) -> Iterator[S3Store]:
    """The store that the farm is told to use."""
    store = s3.store()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CINEFARM_STORE_URL", f"s3://{store.bucket}/farm")
        for name, value in s3.environment().items():
            patch.setenv(name, value)
        yield store


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory, bucket: S3Store) -> tuple[Desk, Run]:
    """One run over a mixture, shared by the tests that only look."""
    desk = Desk(tmp_path_factory.mktemp("bucket"))
    desk.camera("clip.mp4")
    desk.capture("tape.mpg")
    desk.ultrasound("loop.dcm")
    desk.file("notes.txt").write_text("not a video")
    return desk, desk.migrate("--map", str(desk.mapping()))


def test_clip_tape_and_loop_go_through_a_bucket(migrated: tuple[Desk, Run]) -> None:
    desk, run = migrated
    assert {name: item["state"] for name, item in run.items.items()} == {
        "clip.mp4": "done",
        "tape.mpg": "done",
        "loop.dcm": "done",
        "notes.txt": "skipped",
    }, run.stderr
    assert [run.items[name]["path"] for name in ("clip.mp4", "tape.mpg", "loop.dcm")] == ["rewrap", "encode", "encode"]
    assert sorted(pydicom.dcmread(path).NumberOfFrames for path in desk.results()) == [25, 25, 30]
    assert desk.leftovers() == []
    assert not (desk.state / "objects").exists()


def test_the_bucket_keeps_evidence_and_what_searches_learned_and_nothing_else(
    migrated: tuple[Desk, Run], bucket: S3Store
) -> None:
    kept = {key.partition("/")[0] for key in bucket.keys("")}
    assert kept == {"headers", "results", "searches"}
    assert not any(key.endswith(".dcm") for key in bucket.keys("results/"))
    assert list(bucket.uploads()) == []


def test_the_secret_is_in_no_log(migrated: tuple[Desk, Run]) -> None:
    desk, _ = migrated
    logs = b"".join(path.read_bytes() for path in (desk.state / "logs").iterdir())
    assert logs
    for word in (SECRET_KEY, "X-Amz-Signature"):
        assert word.encode() not in logs


def test_a_missing_bucket_ends_the_command_with_a_word(
    desk: Desk, bucket: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.camera("clip.mp4")
    monkeypatch.setenv("CINEFARM_STORE_URL", "s3://no-such-bucket/farm")
    run = desk.migrate("--map", str(desk.mapping()))
    assert run.code == 2
    assert "bucket" in run.stderr
