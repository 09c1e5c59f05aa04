"""Things that happen to a farm at random, drawn from one seed: kills, restarts, pauses, doubled messages, a full disk."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from redis.exceptions import RedisError
from support.desk import Desk, family

from common import queues
from common.farm import Message, make_app, publish
from common.leases import connect
from common.settings import Settings

PAUSE_SECONDS = (8.0, 12.0)
"""Longer than the desk's lease (4 s) and grace (2 s): the order is given out again while its first worker is frozen."""

FULL_SECONDS = (1.0, 3.0)
PATIENCE_SECONDS = 4.0
SCRATCH_BYTES = 64 << 20


@dataclass
class Chaos:
    """One farm's bad luck. ``happened`` counts what really took place."""

    desk: Desk
    process: subprocess.Popen[str]
    chance: random.Random
    scratch: Path | None = None
    happened: Counter[str] = field(default_factory=Counter)
    pauses: list[threading.Timer] = field(default_factory=list)

    @property
    def kinds(self) -> dict[str, Callable[[], bool]]:
        """What can happen; each says whether it found something to happen to."""
        return {
            "kill a pool process": self.kill_pool_process,
            "kill an encoder": lambda: self._kill(family(self.process)["ffmpeg"]),
            "kill a worker": lambda: self._kill(self._mains()),
            "kill the broker": lambda: self._kill(family(self.process)["broker"]),
            "flush the broker": self.flush,
            "kill the command": lambda: self._kill([psutil.Process(self.process.pid)]),
            "freeze a pool process": self.freeze,
            "deliver a message twice": self.duplicate,
            "fill the scratch disk": self.fill_scratch,
        }

    def strike(self, kind: str) -> None:
        """Let one thing happen, as soon as there is something for it to happen to."""
        end = time.monotonic() + PATIENCE_SECONDS
        while self.process.poll() is None and time.monotonic() < end:
            with contextlib.suppress(psutil.Error, RedisError, OSError, sqlite3.Error):
                if self.kinds[kind]():
                    self.happened[kind] += 1
                    return
            time.sleep(0.1)

    def settle(self) -> None:
        """Wake everything that is still frozen."""
        for pause in self.pauses:
            pause.join()

    def kill_pool_process(self) -> bool:
        return self._kill(self._pool())

    def freeze(self) -> bool:
        """Stop one pool process and what it runs, longer than its lease lives, and wake it again."""
        pool = [one for one in self._pool() if one.status() != psutil.STATUS_STOPPED]
        if not pool:
            return False
        victim = self.chance.choice(pool)
        frozen = [victim, *victim.children(recursive=True)]
        for one in frozen:
            one.send_signal(signal.SIGSTOP)
        pause = threading.Timer(self.chance.uniform(*PAUSE_SECONDS), _wake, [frozen])
        pause.start()
        self.pauses.append(pause)
        return True

    def flush(self) -> bool:
        url = self._broker_url()
        return bool(url and connect(url).flushall())

    def duplicate(self) -> bool:
        """Publish the message of an open attempt once more, as a broker that redelivers would."""
        url = self._broker_url()
        with contextlib.closing(sqlite3.connect(self.desk.state / "ledger.sqlite", timeout=10)) as ledger:
            rows = ledger.execute(
                'SELECT order_id, kind, queue, "order" FROM attempts WHERE state IN (?, ?)', ("queued", "running")
            ).fetchall()
        if not url or not rows:
            return False
        order_id, kind, queue, order = self.chance.choice(rows)
        app = make_app(Settings(broker_url=url))
        publish(app, [Message(queues.TASK_OF_KIND[kind], {"order": json.loads(order)}, queue, order_id)])
        app.close()
        return True

    def fill_scratch(self) -> bool:
        """Leave no byte of the workers' scratch for a while."""
        if self.scratch is None:
            return False
        blob = self.scratch / "full"
        with contextlib.suppress(OSError), blob.open("wb", buffering=0) as stream:
            while True:
                stream.write(bytes(1 << 20))
        time.sleep(self.chance.uniform(*FULL_SECONDS))
        blob.unlink(missing_ok=True)
        return True

    def _kill(self, victims: list[psutil.Process]) -> bool:
        if not victims:
            return False
        self.chance.choice(victims).kill()
        return True

    def _mains(self) -> list[psutil.Process]:
        return [one for one in family(self.process)["worker"] if one.ppid() == self.process.pid]

    def _pool(self) -> list[psutil.Process]:
        return [child for main in self._mains() for child in main.children()]

    def _broker_url(self) -> str | None:
        for broker in family(self.process)["broker"]:
            for word in " ".join(broker.cmdline()).split():  # the server rewrites its command line into one word
                path = word.removeprefix("unixsocket:")
                if path.endswith(".sock") and Path(path).exists():
                    return f"redis+socket://{path}?virtual_host=0"
        return None


def _wake(frozen: list[psutil.Process]) -> None:
    for one in frozen:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.send_signal(signal.SIGCONT)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """A tmpfs of 64 MB at ``folder``; None where we may not mount one."""
    folder.mkdir(parents=True)
    argv = ["mount", "-t", "tmpfs", "-o", f"size={SCRATCH_BYTES}", "tmpfs", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(argv, capture_output=True, check=False).returncode == 0
    try:
        yield folder if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=False)
