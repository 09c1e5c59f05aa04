"""What operators see in Flower: queues, workers and tasks of a real farm, and nothing of a patient."""

from __future__ import annotations

import re
import urllib.error
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pytest
from support.desk import Desk
from support.flower import Flower, flower_server

from common.errors import PolicyError
from common.recipes import Audio
from common.settings import Settings
from orchestrator.cli.flower import flower_program
from orchestrator.cli.migration import Migration
from orchestrator.cli.session import running
from orchestrator.ledger.schema import Attempt

pytestmark = [pytest.mark.farm, pytest.mark.timeout(180)]

PATIENT = ("Kowalczyk", "Brunhilde", "PID-4711-XYZ", "19431224", "ACC-99-SECRET", "Rosenstrasse")
"""In paths, in the mapping and in a DICOM header."""


@dataclass(frozen=True)
class Seen:
    """What Flower said after the job."""

    flower: Flower
    pages: dict[str, str]
    orders: set[str]
    secrets: tuple[str, ...]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    desk = Desk(tmp_path_factory.mktemp("Kowalczyk-desk"))
    desk.camera("Kowalczyk^Brunhilde/PID-4711-XYZ hernia.mp4")
    loop = pydicom.dcmread(desk.ultrasound("Rosenstrasse/19431224.dcm"))
    loop.PatientName, loop.PatientID, loop.AccessionNumber = "Kowalczyk^Brunhilde", "PID-4711-XYZ", "ACC-99-SECRET"
    loop.save_as(desk.file("Rosenstrasse/19431224.dcm"))
    (desk.sources / "broken Kowalczyk.mp4").write_bytes(b"no video of Brunhilde")
    mapping = desk.mapping("**/*,PID-4711-XYZ,Kowalczyk^Brunhilde,20240229,ES")
    asked = Migration.asked(
        [str(desk.sources)], [str(desk.out)], profile="review", audio=Audio.STRIP, mapping=mapping, workers=1, state=desk.state
    )  # fmt: skip
    with running(asked, cpu_slots=1) as session, flower_server(session.farm.settings.broker_url) as flower:
        session.run(lambda _: None, until=lambda progress: progress.settled)
        with session.ledger() as ledger:
            orders = {order for (order,) in ledger.query(Attempt.order_id)}
        yield Seen(flower, flower.everything(), orders, (*PATIENT, str(desk.sources), "hernia"))


def test_flower_shows_the_workers_and_their_queues(seen: Seen) -> None:
    workers = seen.flower.json("/api/workers?refresh=1")
    queues = {queue["name"] for worker in workers.values() for queue in worker["active_queues"]}
    assert {"describe", "deliver", "cpu"} <= queues
    assert {name.split("@")[0] for name in workers} == {"io", "cpu"}


def test_flower_shows_the_tasks_under_their_order_ids(seen: Seen) -> None:
    tasks = seen.flower.json("/api/tasks?limit=10000")
    assert {"cinefarm.describe", "cinefarm.transcode", "cinefarm.deliver"} <= {task["name"] for task in tasks.values()}
    assert len(seen.orders & set(tasks)) >= 3


def test_flower_shows_the_queues(seen: Seen) -> None:
    assert {"describe", "cpu", "deliver"} <= {
        queue["name"] for queue in seen.flower.json("/api/queues/length")["active_queues"]
    }


def test_nothing_that_flower_returns_names_a_patient_or_a_source(seen: Seen) -> None:
    assert len(seen.pages) > 12
    found = {
        (path, secret)
        for path, page in seen.pages.items()
        for secret in seen.secrets
        if re.search(re.escape(secret), page, re.IGNORECASE)
    }
    assert found == set()


def test_flower_asks_for_the_password(seen: Seen) -> None:
    for path in ("/", "/api/workers", "/api/tasks"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            seen.flower.get(path, user=None)
        assert refused.value.code == 401


def test_flower_without_a_password_is_refused_beyond_this_machine() -> None:
    for address in ("0.0.0.0", "", "::", "farm.example"):  # noqa: S104 that is the point
        with pytest.raises(PolicyError, match="password"):
            flower_program(Settings(flower_address=address))


def test_the_password_is_no_process_argument(tmp_path: Path) -> None:
    program = flower_program(Settings(flower_address="0.0.0.0", flower_basic_auth="a:geheim"))  # noqa: S104
    assert "geheim" not in " ".join(program.argv)
    assert program.environment["FLOWER_BASIC_AUTH"] == "a:geheim"
