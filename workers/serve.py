"""A Celery worker for some queues: advertises itself, takes orders, dies with its parent when it is embedded."""

from __future__ import annotations

import logging
import os
import socket
import threading

from celery.signals import setup_logging, worker_ready, worker_shutting_down
from redis.exceptions import RedisError

from common import leases, logs
from common.farm import make_app
from common.settings import Settings
from workers.build import Worker
from workers.tasks import register

log = logs.logger(__name__)

ADVERTISE_SECONDS = 3.0
ADVERTISEMENT_TTL_SECONDS = 3 * ADVERTISE_SECONDS


def serve(settings: Settings, *, queues: tuple[str, ...], slots: int, name: str) -> None:
    """Take orders from ``queues``, ``slots`` at a time, until told to stop (SIGTERM: finish what runs)."""
    app = make_app(settings)
    register(app, Worker(settings))
    info = leases.WorkerInfo(name=f"{name}@{socket.gethostname()}:{os.getpid()}", queues=queues, slots=slots)
    advertiser = Advertiser(settings, info)
    worker_ready.connect(lambda **_: advertiser.start(), weak=False)
    worker_shutting_down.connect(lambda **_: advertiser.stop(), weak=False)
    setup_logging.connect(lambda **_: None, weak=False)  # ours is configured already
    app.Worker(
        hostname=info.name,
        queues=list(queues),
        concurrency=slots,
        pool_cls="prefork",
        loglevel=logging.WARNING,
        without_gossip=True,
        without_mingle=True,
        optimization="fair",
        quiet=True,
    ).start()


class Advertiser:
    """Says every few seconds in Redis that this worker is alive and what it takes."""

    def __init__(self, settings: Settings, info: leases.WorkerInfo) -> None:
        self._settings = settings
        self._info = info
        self._stop = threading.Event()

    def start(self) -> None:
        """Begin, in a thread."""
        threading.Thread(target=self._run, name="advertiser", daemon=True).start()

    def stop(self) -> None:
        """Withdraw: no new orders are meant for us."""
        self._stop.set()

    def _run(self) -> None:
        redis = leases.connect(self._settings.broker_url)
        while True:
            try:
                if self._stop.is_set():
                    leases.withdraw(redis, self._info.name)
                    return
                leases.advertise(redis, self._info, ttl_seconds=ADVERTISEMENT_TTL_SECONDS)
            except (RedisError, OSError) as error:
                log.warning("advertisement_failed", error=type(error).__name__)
            self._stop.wait(ADVERTISE_SECONDS)
