"""A server as a child of ``cinefarm serve`` or ``cinefarm migrate``: a process of its own, so that neither slows the other down."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from common.errors import EnvironmentFault, PolicyError
from common.logs import logger
from common.settings import Settings
from orchestrator.embedded import Child

log = logger(__name__)

START_SECONDS = 20.0
_AGAIN_SECONDS = 2.0  # between the death of a child and the start of the next
_LOOK_SECONDS = 0.1
_WRONG = 2  # exit code of a command that was wrong


@dataclass(frozen=True)
class Server:
    """What is to be supervised: a ``cinefarm`` command, what it says on stderr when it answers, and where."""

    name: str
    command: Sequence[str]
    said: str
    address: str
    port: int
    end_seconds: float  # what it may take to end in order


@contextmanager
def supervised(server: Server, settings: Settings, environment: dict[str, str]) -> Iterator[None]:
    """Run a server while the block lasts, started again when it dies.

    Raises:
        PolicyError: it says that a setting is wrong, or the port is taken.
        EnvironmentFault: it does not start.
    """
    supervisor = _Supervisor(server, settings.state_dir / "logs", environment)
    try:
        supervisor.start()
        yield
    finally:
        supervisor.stop()


def environment_of(settings: Settings) -> dict[str, str]:
    """The environment of a child that shall have these settings."""
    return dict(os.environ) | {
        f"CINEFARM_{key.upper()}": value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for key, value in settings.model_dump().items()
        if value not in (None, "")
    }


class _Supervisor:
    """A thread that starts the child, waits for its end and starts the next: a child dies with the thread that started it."""

    def __init__(self, server: Server, logs: Path, environment: dict[str, str]) -> None:
        self._server = server
        logs.mkdir(parents=True, exist_ok=True)
        self._words = logs / f"{server.name}.log"
        argv = [sys.executable, "-m", "orchestrator", *server.command]
        argv += ["--log-file", str(logs / f"{server.name}.jsonl")]
        self._child = Child(server.name, argv, environment, self._words)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"{server.name}-supervisor", daemon=True)

    def start(self) -> None:
        """Raises: PolicyError, EnvironmentFault: see ``supervised``."""
        self._words.unlink(missing_ok=True)
        self._thread.start()
        end = time.monotonic() + START_SECONDS
        while not self._answers():
            process = self._child.process
            if (process is not None and process.poll() is not None) or time.monotonic() > end:
                raise self._refusal()
            time.sleep(_LOOK_SECONDS)

    def stop(self) -> None:
        """It is told to end, and has its time for that."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._child.start()
            while self._child.alive() and not self._stop.wait(_LOOK_SECONDS):
                pass
            if not self._stop.is_set():
                log.warning(f"{self._server.name}_restarted")
                self._stop.wait(_AGAIN_SECONDS)
        process = self._child.process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(self._server.end_seconds)
        self._child.stop()

    def _answers(self) -> bool:
        """Whether the port is open, by our child."""
        here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._server.address, self._server.address)  # noqa: S104
        if not self._child.alive():
            return False
        try:
            socket.create_connection((here, self._server.port), timeout=1).close()
        except OSError:
            return False
        return self._server.said in self._said()

    def _said(self) -> str:
        return self._words.read_text(errors="replace") if self._words.exists() else ""

    def _refusal(self) -> PolicyError | EnvironmentFault:
        process = self._child.process
        words = self._said().rpartition("error: ")[2].strip().splitlines()
        hint = " ".join(words[1:]) or f"Its log tells why: {self._words}"
        message = words[0] if words else f"the {self._server.name} did not start"
        if process is not None and process.returncode == _WRONG:
            return PolicyError(message, hint=hint)
        return EnvironmentFault(message, hint=hint)
