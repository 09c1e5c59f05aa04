"""A whole order through a broker that speaks TLS only, asks for certificates, and gives its user what docs/redis.md lists."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from support.desk import Desk
from support.flower import flower_server
from support.office import Office
from support.secure_redis import ENCODED, PASSWORD, SecureRedis, documented_rules, secure_redis

from common.bandwidth import SharedBucket
from common.broker_access import open_redis

pytestmark = [pytest.mark.farm, pytest.mark.peer("redis-server"), pytest.mark.timeout(180)]


TLS = {"broker_ca_file", "broker_cert_file", "broker_key_file"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SecureRedis]:
    folder = tmp_path / "broker"
    folder.mkdir()
    with secure_redis(folder, documented_rules()) as server:
        yield server


@pytest.fixture
def office(desk: Desk, server: SecureRedis) -> Iterator[Office]:
    office = Office(desk, server.url(), "", environment=server.environment())
    try:
        yield office
    finally:
        office.close()


def arguments_of(office: Office) -> str:
    """The arguments of every process that the farm has started."""
    mains = [psutil.Process(process.pid) for process in office.running]
    return " ".join(word for main in mains for one in (main, *main.children(recursive=True)) for word in one.cmdline())


def refused(server: SecureRedis) -> list[tuple[str, str]]:
    """What the user was not let do: a new command or key needs a word in docs/redis.md."""
    return [(entry["reason"], entry["object"]) for entry in server.admin().acl_log()]


def test_the_documented_user_carries_an_order_from_end_to_end_and_its_password_shows_nowhere(
    office: Office, server: SecureRedis
) -> None:
    office.desk.camera("clip.mp4")
    office.desk.capture("tape.mpg")
    mapping = office.desk.mapping()
    office.serve()
    office.worker("describe", "deliver", "cpu", slots=2)
    job = office.job(map=str(mapping))
    with flower_server(server.url(), **server.settings().model_dump(include=TLS)) as flower:
        office.wait_for(job, lambda seen: seen["state"] == "ended" or bool(refused(server)))
        pages = "".join(flower.everything().values())
        queues = flower.json("/api/queues/length")["active_queues"]
        shown = arguments_of(office)
    assert refused(server) == []
    assert office.status(job)["counts"] == {"done": 2}
    SharedBucket(open_redis(server.settings()), "place")(0.1)
    for process in office.running:
        process.terminate()
        process.wait(30)
    assert {"cpu", "describe", "deliver"} <= {queue["name"] for queue in queues}
    words = [path.read_text(errors="replace") for path in office.desk.folder.rglob("*.log")]
    words += [office.log.read_text(), pages, shown]
    assert not [text for text in words if PASSWORD in text or ENCODED in text]
    assert refused(server) == []
