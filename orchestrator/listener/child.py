"""The listener as a child of ``cinefarm serve`` and ``cinefarm migrate``: a process of its own, so that neither slows the other down."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import SecretStr

from common.errors import EnvironmentFault, PolicyError
from common.logs import logger
from common.settings import Settings
from orchestrator.embedded import Child

log = logger(__name__)

START_SECONDS = 20.0
_AGAIN_SECONDS = 2.0  # between the death of a listener and the start of the next
_LOOK_SECONDS = 0.1
_WRONG = 2  # exit code of a command that was wrong


@contextmanager
def listening(settings: Settings, *, rules: bool = True) -> Iterator[None]:
    """Run a listener on ``listen_port`` while the block lasts, started again when it dies; port 0: none.

    ``rules``: with the rules file of the settings; else what arrives only waits for workers, or is kept.

    Raises:
        PolicyError: it says that a setting is wrong, or the port is taken.
        EnvironmentFault: it does not start.
    """
    if not settings.listen_port:
        yield
        return
    supervisor = _Supervisor(settings, rules=rules)
    try:
        supervisor.start()
        yield
    finally:
        supervisor.stop()


class _Supervisor:
    """A thread that starts the child, waits for its end and starts the next: a child dies with the thread that started it."""

    def __init__(self, settings: Settings, *, rules: bool) -> None:
        self._settings = settings
        logs = settings.state_dir / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        self._words = logs / "listener.log"
        argv = [sys.executable, "-m", "orchestrator", "listen", "--state", str(settings.state_dir)]
        argv += ["--log-file", str(logs / "listener.jsonl")]
        changed = {} if rules else {"listen_rules": None}
        self._child = Child("listener", argv, _environment(settings.model_copy(update=changed)), self._words)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="listener-supervisor", daemon=True)

    def start(self) -> None:
        """Raises: PolicyError, EnvironmentFault: see ``listening``."""
        self._words.unlink(missing_ok=True)
        self._thread.start()
        end = time.monotonic() + START_SECONDS
        while not self._answers():
            process = self._child.process
            if (process is not None and process.poll() is not None) or time.monotonic() > end:
                raise self._refusal()
            time.sleep(_LOOK_SECONDS)

    def stop(self) -> None:
        """What is being received has ``drain_seconds`` to arrive."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._child.start()
            while self._child.alive() and not self._stop.wait(_LOOK_SECONDS):
                pass
            if not self._stop.is_set():
                log.warning("listener_restarted")
                self._stop.wait(_AGAIN_SECONDS)
        process = self._child.process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(self._settings.drain_seconds + 2)
        self._child.stop()

    def _answers(self) -> bool:
        """Whether the port is open, by our child."""
        address = self._settings.listen_address
        here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104
        if not self._child.alive():
            return False
        try:
            socket.create_connection((here, self._settings.listen_port), timeout=1).close()
        except OSError:
            return False
        return "listening" in self._said()

    def _said(self) -> str:
        return self._words.read_text(errors="replace") if self._words.exists() else ""

    def _refusal(self) -> PolicyError | EnvironmentFault:
        process = self._child.process
        words = self._said().rpartition("error: ")[2].strip().splitlines()
        hint = " ".join(words[1:]) or f"Its log tells why: {self._words}"
        message = words[0] if words else "the listener did not start"
        if process is not None and process.returncode == _WRONG:
            return PolicyError(message, hint=hint)
        return EnvironmentFault(message, hint=hint)


def _environment(settings: Settings) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name != "CINEFARM_LISTEN_RULES"}
    return inherited | {
        f"CINEFARM_{key.upper()}": value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for key, value in settings.model_dump().items()
        if value not in (None, "")
    }
