"""A worker that serves a GPU queue without a GPU: its order fails for real, and the item is made on the CPU, on the record."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
import pytest
from sqlalchemy import select
from support.desk import Desk

from common.leases import connect, live_workers
from common.orders import Plan, TranscodeDone
from common.recipes import ARCHIVE, Audio, Hardware
from common.settings import Settings
from common.stages import State
from common.store.folder import FolderStore
from orchestrator.cli.migration import Migration
from orchestrator.cli.session import Session, running
from orchestrator.ledger.schema import Attempt, Item

GPU = "gpu.nvenc"
NO_DEVICE = not any(Path(place).exists() for place in ("/dev/dri", "/dev/nvidiactl"))

pytestmark = [pytest.mark.farm, pytest.mark.skipif(not NO_DEVICE, reason="this machine has a device: it may not fail")]


@contextmanager
def gpu_worker(settings: Settings, log: Path) -> Iterator[None]:
    """A real worker of the farm that takes orders for NVENC, whatever this machine has."""
    env = os.environ | {
        "CINEFARM_BROKER_URL": settings.broker_url,
        "CINEFARM_STORE_URL": settings.store_url,
        "CINEFARM_STATE_DIR": str(settings.state_dir),
    }
    argv = [sys.executable, "-m", "workers", "serve", "--queue", GPU, "--slots", "1", "--name", "gpu", "--unproven"]
    with log.open("wb") as output, subprocess.Popen(argv, env=env, stdout=output, stderr=output) as process:
        try:
            redis = connect(settings.broker_url)
            while not any(GPU in worker.queues for worker in live_workers(redis)):
                assert process.poll() is None, log.read_text()
                time.sleep(0.1)
            yield
        finally:
            process.kill()


def asked(desk: Desk, hardware: Hardware | None) -> Migration:
    return Migration.asked(
        [str(desk.sources)],
        [str(desk.out)],
        profile=ARCHIVE.name,
        audio=Audio.STRIP,
        mapping=desk.mapping(),
        workers=1,
        state=desk.state,
        hardware=hardware,
    )


def run(session: Session) -> tuple[Item, list[Attempt]]:
    """The job's one item at its end, and its transcode attempts in order."""
    session.run(lambda _: None, until=lambda seen: seen.settled)
    with session.ledger() as ledger:
        item = ledger.scalars(select(Item)).one()
        statement = select(Attempt).where(Attempt.kind == "transcode").order_by(Attempt.sent_at)
        return item, list(ledger.scalars(statement))


def test_what_fails_on_a_device_is_done_on_the_cpu_once_and_on_the_record(desk: Desk) -> None:
    desk.capture("tape.mpg")
    with (
        running(asked(desk, Hardware.ALLOWED), cpu_slots=1) as session,
        gpu_worker(session.farm.settings, desk.folder / "gpu.log"),
    ):
        item, attempts = run(session)
    assert item.state is State.DONE, item.reason
    assert [(attempt.queue, attempt.state) for attempt in attempts] == [(GPU, "failed"), ("cpu", "done")]
    failure = attempts[0].failure or {}
    assert failure["code"] == "HardwareFailed"
    assert "libcuda" in failure["detail"]
    assert attempts[0].worker != attempts[1].worker
    made = Plan.model_validate(item.plan)
    assert made.recipe == ARCHIVE.ladder[0]
    assert "h264_nvenc failed" in made.fallback
    assert "back on the CPU: h264_nvenc failed" in item.reason
    assert evidence(desk, item)["plan"]["fallback"] == made.fallback
    (result,) = desk.results()
    assert pydicom.dcmread(result, stop_before_pixels=True).file_meta.TransferSyntaxUID.endswith(".4.102")


def evidence(desk: Desk, item: Item) -> dict[str, dict[str, str]]:
    keys = TranscodeDone.model_validate(item.result).evidence_keys
    store = FolderStore(desk.state / "objects")
    found: dict[str, dict[str, str]] = json.loads(store.get(next(key for key in keys if key.endswith("evidence.json"))))
    return found


def test_an_archive_is_not_given_to_a_device_unless_it_is_asked_for(desk: Desk) -> None:
    desk.capture("tape.mpg")
    with running(asked(desk, None), cpu_slots=1) as session, gpu_worker(session.farm.settings, desk.folder / "gpu.log"):
        item, attempts = run(session)
    assert item.state is State.DONE, item.reason
    assert [attempt.queue for attempt in attempts] == ["cpu"]
