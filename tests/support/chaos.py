"""Things that happen to a site at random, drawn from one seed: kills, restarts, pauses, doubled messages, a full disk."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import psutil
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from support.site import SERVE, WORKERS, Site

from common import queues
from common.farm import Message, make_app, publish
from common.leases import connect
from common.settings import Settings

PATIENCE_SECONDS = 5.0
"""How long a strike waits for something to strike."""

AWAY_SECONDS = (0.2, 2.0)
"""Between a server's death and its next start."""

FULL_SECONDS = (1.0, 3.0)


@dataclass
class Chaos:
    """One site's bad luck. ``happened`` counts what really took place."""

    site: Site
    chance: Random
    pause_seconds: tuple[float, float]  # longer than lease and grace: the order is given out again meanwhile
    happened: Counter[str] = field(default_factory=Counter)
    pauses: list[threading.Timer] = field(default_factory=list)

    @property
    def kinds(self) -> dict[str, Callable[[], bool]]:
        """What can happen; each says whether it found something to happen to."""
        kinds = {
            "kill a pool process": lambda: self._kill(self._busy() or self._pool()),
            "kill an encoder": lambda: self._kill(self._encoders()),
            "kill a worker": lambda: self._kill([tree[0] for tree in self._workers() if tree]),
            "kill the orchestrator": lambda: self._kill(self.site.tree(SERVE)[:1]),
            "restart the broker": self.restart_broker,
            "flush the broker": lambda: bool(connect(self.site.broker.url).flushall()),
            "restart the store": self.restart_store,
            "restart the ledger": self.restart_ledger,
            "freeze a worker": self.freeze,
            "deliver a message twice": self.duplicate,
            "deliver an old message": self.redeliver,
            "fill the scratch disk": self.fill_scratch,
        }
        if self.site.disk is None:
            del kinds["fill the scratch disk"]
        return kinds

    def strike(self, kind: str) -> bool:
        """Let one thing happen, as soon as there is something for it to happen to; False when there was nothing."""
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            self.site.keep_alive()
            with contextlib.suppress(psutil.Error, RedisError, SQLAlchemyError):
                if self.kinds[kind]():
                    self.happened[kind] += 1
                    return True
            time.sleep(0.1)
        return False

    def settle(self) -> None:
        """Wake everything that is still frozen."""
        for pause in self.pauses:
            pause.join()

    def restart_broker(self) -> bool:
        self.site.broker.kill()
        self._away()
        self.site.broker.start()
        return True

    def restart_store(self) -> bool:
        self.site.s3.stop()
        self._away()
        self.site.s3.start()
        return True

    def restart_ledger(self) -> bool:
        self.site.postgres.stop()
        self._away()
        self.site.postgres.start()
        return True

    def freeze(self) -> bool:
        """Stop a worker that has an order, with all below it, until long after its lease has ended, then wake it."""
        held = {str(row[0]).rpartition(":")[2] for row in self._attempts("state = 'running'", "worker")}
        trees = [tree for tree in self._workers() if {str(one.pid) for one in tree} & held]
        trees = [tree for tree in trees if tree[0].status() != psutil.STATUS_STOPPED]
        if not trees:
            return False
        tree = self.chance.choice(trees)
        for one in tree:
            one.send_signal(signal.SIGSTOP)
        pause = threading.Timer(self.chance.uniform(*self.pause_seconds), _wake, [tree])
        pause.start()
        self.pauses.append(pause)
        return True

    def duplicate(self) -> bool:
        """Publish the message of an open attempt once more, as a broker that redelivers would."""
        return self._publish_again("state IN ('queued', 'running')")

    def redeliver(self) -> bool:
        """Publish the message of an attempt that has long ended, as a broker that was restored from a backup would."""
        return self._publish_again("state IN ('done', 'failed', 'lost')")

    def fill_scratch(self) -> bool:
        """Leave no byte of the workers' scratch for a while."""
        assert self.site.disk is not None
        blob = self.site.disk / "full"
        with contextlib.suppress(OSError), blob.open("wb", buffering=0) as stream:
            while True:
                stream.write(bytes(1 << 20))
        time.sleep(self.chance.uniform(*FULL_SECONDS))
        blob.unlink(missing_ok=True)
        return True

    def _publish_again(self, which: str) -> bool:
        rows = self._attempts(which, 'order_id, kind, queue, "order"')
        if not rows:
            return False
        order_id, kind, queue, order = self.chance.choice(rows)
        content = json.loads(order) if isinstance(order, str) else order
        app = make_app(Settings(broker_url=self.site.broker.url))
        publish(app, [Message(queues.TASK_OF_KIND[str(kind)], {"order": content}, str(queue), str(order_id))])
        app.close()
        return True

    def _attempts(self, which: str, columns: str) -> list[tuple[object, ...]]:
        return self.site.ask(f"SELECT {columns} FROM attempts WHERE {which} ORDER BY order_id")  # noqa: S608 constants

    def _away(self) -> None:
        time.sleep(self.chance.uniform(*AWAY_SECONDS))

    def _kill(self, victims: list[psutil.Process]) -> bool:
        awake = [one for one in victims if one.status() != psutil.STATUS_STOPPED]
        if not awake:
            return False
        self.chance.choice(awake).kill()
        return True

    def _workers(self) -> list[list[psutil.Process]]:
        return [self.site.tree(name) for name in WORKERS]

    def _encoders(self) -> list[psutil.Process]:
        return [one for tree in self._workers() for one in tree if "ffmpeg" in one.name() and _encodes(one)]

    def _busy(self) -> list[psutil.Process]:
        return [parent for one in self._encoders() if (parent := one.parent()) is not None]

    def _pool(self) -> list[psutil.Process]:
        return [one for tree in self._workers() for one in tree[1:] if "ffmpeg" not in one.name()]


def _encodes(process: psutil.Process) -> bool:
    """Not a worker's self-test."""
    return "/scratch/" in process.cwd()


def _wake(frozen: list[psutil.Process]) -> None:
    for one in frozen:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.send_signal(signal.SIGCONT)
