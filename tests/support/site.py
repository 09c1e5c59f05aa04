"""A whole production site on one machine: broker, S3 store, PostgreSQL, an archive, an orchestrator and workers, under a
supervisor that starts again what has died. Every part can be killed and restarted; its address stays."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from sqlalchemy import Engine, text
from support.desk import Desk
from support.office import Office
from support.postgres import PostgresServer
from support.s3 import S3Server
from support.server import answers

from common.leases import connect
from common.settings import Settings
from common.store.s3 import S3Store
from orchestrator.embedded import server_program
from orchestrator.ledger.database import make_engine

WORKERS = {"io": (("describe", "deliver"), 2), "cpu-1": (("cpu",), 1), "cpu-2": (("cpu",), 1)}
"""Queues and slots of each worker."""

SERVE = "orchestrator"
SCRATCH_BYTES = 64 << 20


@dataclass
class Broker:
    """A Redis-compatible server that keeps nothing when it dies."""

    socket: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis+socket://{self.socket}?virtual_host=0"

    def start(self) -> None:
        argv = [str(server_program()), "--port", "0", "--unixsocket", str(self.socket), "--save", ""]
        self.process = subprocess.Popen([*argv, "--dir", str(self.socket.parent)], stdout=subprocess.DEVNULL)
        while not answers(connect(self.url, retries=0)):
            assert self.process.poll() is None
            time.sleep(0.02)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@dataclass
class Archive:
    """dcmtk's storescp: what is sent twice under one SOP Instance UID lies there once, as in a PACS."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"dicom://ARCHIVE@127.0.0.1:{self.port}"

    def start(self) -> None:
        self.folder.mkdir()
        argv = ["storescp", "--fork", "+xa", "+B", "-od", str(self.folder), "-aet", "ARCHIVE", str(self.port)]
        self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not _listens(self.port):
            assert self.process.poll() is None
            time.sleep(0.05)


@dataclass
class Site:
    """The parts, and the services that the supervisor watches."""

    office: Office
    broker: Broker
    s3: S3Server
    bucket: str
    postgres: PostgresServer
    archive: Archive
    scratch: Path
    disk: Path | None  # the scratch folder, where it is a small disk of its own
    services: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def desk(self) -> Desk:
        return self.office.desk

    @property
    def settings(self) -> Settings:
        names = {name.removeprefix("CINEFARM_").lower(): value for name, value in self.office.env.items()}
        return Settings.model_validate({name: value for name, value in names.items() if name in Settings.model_fields})

    @property
    def store(self) -> S3Store:
        return self.s3.store(self.bucket)

    def keep_alive(self) -> None:
        """What a supervisor does: start what is not there, again when it has died."""
        for name in (SERVE, *WORKERS):
            process = self.services.get(name)
            if process is None or process.poll() is not None:
                self.services[name] = self.office.serve() if name == SERVE else self._worker(name)

    def _worker(self, name: str) -> subprocess.Popen[bytes]:
        queues, slots = WORKERS[name]
        return self.office.worker(*queues, slots=slots)

    def tree(self, name: str) -> list[psutil.Process]:
        """A service's main process and all below it."""
        process = self.services[name]
        if process.poll() is not None:
            return []
        main = psutil.Process(process.pid)
        return [main, *main.children(recursive=True)]

    def ask(self, question: str, **values: object) -> list[tuple[object, ...]]:
        """Rows of the ledger."""
        engine: Engine = make_engine(self.office.ledger_url)
        try:
            with engine.connect() as connection:
                return [tuple(row) for row in connection.execute(text(question), values)]
        finally:
            engine.dispose()

    def stop(self) -> list[int]:
        """Tell all services to stop; their exit codes."""
        for process in self.services.values():
            process.send_signal(signal.SIGTERM)
        return [process.wait(60) for process in self.services.values()]

    def survivors(self) -> list[str]:
        """Processes that were started with this site's environment and still live, or were never waited for."""
        mine = str(self.desk.state)
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                orphan = process.status() == psutil.STATUS_ZOMBIE and process.ppid() == os.getpid()
                if orphan or process.environ().get("CINEFARM_STATE_DIR") == mine:
                    found.append(f"{process.pid} {process.name()} {process.status()}")
        return found


@contextmanager
def site(desk: Desk, s3: S3Server, postgres: PostgresServer, **settings: str) -> Iterator[Site]:
    """A site with its services started; all of it is gone at the end of the block. ``settings``: of every service."""
    with ExitStack() as stack:
        scratch = desk.folder / "scratch"
        disk = stack.enter_context(small_disk(scratch))
        run_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cf-")))
        broker = Broker(run_dir / "s")
        broker.start()
        stack.callback(broker.kill)
        archive = Archive(desk.folder / "archive", _free_port())
        archive.start()
        stack.callback(lambda: archive.process and archive.process.kill())
        bucket = s3.bucket()
        environment = {
            **s3.environment(),
            "CINEFARM_STORE_URL": f"s3://{bucket}/farm",
            "CINEFARM_SCRATCH_DIR": str(scratch),
            "CINEFARM_KEEP_RESULTS_HOURS": "0",  # what is left behind is counted
            **{f"CINEFARM_{name.upper()}": value for name, value in settings.items()},
        }
        office = Office(desk, broker.url, postgres.new_database(), environment=environment)
        stack.callback(office.close)
        made = Site(office, broker, s3, bucket, postgres, archive, scratch, disk)
        made.keep_alive()
        yield made


@contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """A tmpfs of 64 MB at ``folder``; None, and an ordinary folder, where we may not mount one."""
    folder.mkdir(parents=True)
    argv = ["mount", "-t", "tmpfs", "-o", f"size={SCRATCH_BYTES}", "tmpfs", str(folder)]
    may = os.geteuid() == 0 and shutil.which("mount") is not None
    mounted = may and subprocess.run(argv, capture_output=True, check=False).returncode == 0
    try:
        yield folder if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=False)


def wait_for(ready: Callable[[], bool], seconds: float, turn: Callable[[], None] = lambda: None) -> bool:
    """Whether it came true within ``seconds``; ``turn`` is called again and again meanwhile."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            return False
        turn()
        time.sleep(0.25)
    return True


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
