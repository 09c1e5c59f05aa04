"""An upgrade without a pause: the release before, as it was, and this one work side by side on one ledger and one broker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from support.desk import Desk
from support.postgres import PostgresServer, postgres  # noqa: F401 a fixture
from support.server import redis_server
from support.storescp import free_port
from support.wire_golden import GOLDEN

pytestmark = [pytest.mark.farm, pytest.mark.timeout(300), pytest.mark.peer("postgres")]

RELEASE = GOLDEN.parent / "releases" / "wire-1.tar.xz"
HERE = Path(__file__).parents[2]
RUN = "from orchestrator.cli.main import run; run()"
REVISION = "SELECT version_num FROM alembic_version"
CPU, OTHERS = ("--queue", "cpu", "--slots", "2"), ("--queue", "describe", "--queue", "deliver", "--slots", "2")


class Site:
    """One broker, ledger and store; processes of either release."""

    def __init__(self, desk: Desk, broker: str, ledger: str) -> None:
        self.desk, self.ledger, self.ports = desk, ledger, {}
        self.running: list[subprocess.Popen[bytes]] = []
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(desk.folder),
            "CINEFARM_BROKER_URL": broker,
            "CINEFARM_LEDGER_URL": ledger,
            "CINEFARM_STORE_URL": str(desk.folder / "objects"),
            "CINEFARM_LEASE_SECONDS": "4",
        }

    def start(self, code: Path, *words: str, name: str) -> subprocess.Popen[bytes]:
        port = self.ports[name] = free_port()
        own = self.desk.folder / name
        environment = self.environment | {
            "PYTHONPATH": str(code),
            "CINEFARM_STATE_DIR": str(own),
            "CINEFARM_SCRATCH_DIR": str(own / "scratch"),
            "CINEFARM_HTTP_PORT": str(port),
        }
        (own / "scratch").mkdir(parents=True, exist_ok=True)
        with (own / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", RUN, *words], env=environment, stdout=log, stderr=log, cwd=self.desk.folder
            )
        self.running.append(process)
        return process

    def log(self, name: str) -> str:
        return (self.desk.folder / name / "log").read_text(encoding="utf-8")

    def scalar(self, question: str) -> object:
        engine = create_engine(self.ledger)
        with engine.connect() as connection:
            answer = connection.execute(text(question)).scalar()
        engine.dispose()
        return answer

    def job(self, name: str, clip: str) -> None:
        """Submit a clip through the API of the service ``name``, and watch it to its end: exit code 0."""
        self.desk.capture(f"{clip}/tape.mpg", seconds=1, size="176x144", seed=len(self.desk.results()))
        file = self.desk.folder / f"{clip}.toml"
        keys = {
            "sources": [str(self.desk.sources / clip)],
            "destinations": [str(self.desk.out / clip)],
            "profile": "archive-fixed",
            "map": str(self.desk.mapping()),
        }
        file.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items()), encoding="utf-8")
        state = ("--state", str(self.desk.folder / name))
        state = ("--state", str(self.desk.folder / name))
        submitted = self.command("submit", str(file), "--json", *state)
        self.command("watch", json.loads(submitted.splitlines()[0])["job"], *state)

    def took(self, name: str) -> int:
        """Orders that a worker has begun."""
        return self.log(name).count('"order_taken"')

    def command(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", RUN, *words],
            env=self.environment | {"PYTHONPATH": str(HERE)},
            cwd=self.desk.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=150,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def close(self) -> None:
        for process in self.running:
            process.kill()
            process.wait()


def wait(ready: Callable[[], object], why: Callable[[], str], seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, why()
        time.sleep(0.1)


@pytest.fixture
def site(desk: Desk, postgres: PostgresServer) -> Iterator[Site]:  # noqa: F811
    with redis_server() as broker:
        site = Site(desk, broker, postgres.new_database())
        yield site
        site.close()


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """The code of the release before."""
    folder = tmp_path / "before"
    with tarfile.open(RELEASE) as archive:
        archive.extractall(folder, filter="data")
    return folder


def stop(*processes: subprocess.Popen[bytes]) -> None:
    for process in processes:
        process.send_signal(signal.SIGTERM)
    for process in processes:
        process.wait(60)


def test_the_release_before_and_this_one_do_each_others_work(site: Site, before: Path) -> None:
    """The orchestrator of one with the workers of the other, both ways round, on one ledger; nothing is lost on the way."""
    old = site.start(before, "serve", name="old")
    wait((site.desk.folder / "old" / "api.json").exists, lambda: site.log("old"))
    new_workers = [
        site.start(HERE, "worker", *CPU, "--name", "new-cpu", name="new-cpu"),
        site.start(HERE, "worker", *OTHERS, "--name", "new-io", name="new-io"),
    ]
    site.job("old", "first")
    assert site.took("new-cpu") == 1
    assert site.took("new-io") == 2
    assert site.scalar(REVISION) == "0016"

    # the newer orchestrator migrates the ledger while the older one works on it
    new = site.start(HERE, "serve", name="new")
    wait((site.desk.folder / "new" / "api.json").exists, lambda: site.log("new"))
    assert str(site.scalar(REVISION)) > "0016"
    site.job("old", "second")
    stop(*new_workers)
    old_workers = [
        site.start(before, "worker", *CPU, "--name", "old-cpu", name="old-cpu"),
        site.start(before, "worker", *OTHERS, "--name", "old-io", name="old-io"),
    ]
    stop(old)
    site.job("new", "third")
    assert site.took("old-cpu") == 1
    assert site.took("old-io") == 2
    assert len(site.desk.results()) == 3
    stop(new, *old_workers)
    assert site.scalar("SELECT max(number) FROM attempts") == 1
