"""A worker process from its first look at the machine to its exit code."""

from __future__ import annotations

import logging
import os
import socket
import tempfile
import time
from typing import Any

from celery.signals import setup_logging, worker_ready, worker_shutting_down

from common import logs
from common import queues as names
from common.broker_access import greet_broker
from common.errors import EnvironmentFault
from common.farm import make_app
from common.leases import WorkerInfo
from common.settings import Settings, default_cpu_slots
from common.versions import WIRE_VERSION
from workers.build import Worker
from workers.capabilities import Capabilities, listed, probe
from workers.node import Node
from workers.preload import preload
from workers.probe_order import probe_queue
from workers.scratch import own_scratch
from workers.selftest import check
from workers.subscriptions import subscriptions
from workers.tasks import register
from workers.wire import Wire

log = logs.logger(__name__)


def serve(
    settings: Settings,
    *,
    queues: tuple[str, ...] = (),
    slots: int | None = None,
    name: str = "worker",
    unproven: bool = False,
) -> int:
    """Take orders until told to stop; returns the exit code. Without ``queues``: all that this machine can serve.

    A queue of a device that does not work here is refused, unless it is to be served ``unproven``: devices may break later as well.

    SIGTERM drains: what runs may finish within Settings.drain_seconds, the rest is handed back (workers.drain).

    Raises:
        ProgramMissing: FFmpeg lacks what an encode needs.
        EnvironmentFault: a device that was asked for does not work, the self-test failed, the object store cannot be used, or the
            broker refuses us.
        PolicyError: settings of the broker are wrong.
    """
    greet_broker(settings)
    _check_semaphores()
    # devices are only tried where an answer matters: a worker that is told its queues starts in a moment
    tried = not queues or any(queue.startswith(names.GPU_PREFIX) for queue in queues)
    able = probe(settings) if tried else Capabilities(listed())
    queues = queues or able.served
    if not unproven:
        _check_devices(queues, able)
    if tried or names.CPU in queues:
        check(able.built, settings)
    try:
        with own_scratch(settings.scratch) as scratch:
            tempfile.tempdir = str(scratch)  # what libraries put aside goes with us, however we end
            return _work(settings.model_copy(update={"scratch_dir": scratch}), able, queues, slots, name)
    except OSError as error:
        hint = f"Make room in {settings.scratch}, or set CINEFARM_SCRATCH_DIR to a folder that this worker may write."
        raise EnvironmentFault(f"the scratch folder cannot be used: {error.strerror or error}", hint=hint) from error


def _check_devices(queues: tuple[str, ...], able: Capabilities) -> None:
    """Raises: EnvironmentFault: a device that was asked for does not work here. Its orders would fail one by one."""
    for queue in queues:
        if queue.startswith(names.GPU_PREFIX) and (why := able.why_not(queue)):
            hint = "Look at driver, device and container runtime (docs/workers.md), or start it with --queue cpu."
            raise EnvironmentFault(f"this machine cannot serve {queue}: {why}", hint=hint)


def _check_semaphores() -> None:
    """The pool's processes share counters in POSIX semaphores, which Linux keeps in /dev/shm (sem_overview(7)).

    Raises:
        EnvironmentFault: there are none here.
    """
    import multiprocessing

    try:
        multiprocessing.Value("i")
    except OSError as error:
        hint = "Mount a tmpfs on /dev/shm: container engines do so unless they are told otherwise."
        raise EnvironmentFault(f"no semaphores here: /dev/shm: {error.strerror}", hint=hint) from error


def _work(settings: Settings, able: Capabilities, queues: tuple[str, ...], slots: int | None, name: str) -> int:
    setup_logging.connect(lambda **_: None, weak=False)  # ours is configured already
    app, wire = make_app(settings), Wire()
    worker_parts = Worker(settings)
    for note in worker_parts.store.check():
        log.warning("store_note", note=note)
    register(app, worker_parts, wire)
    info = describe(able, queues, slots or (settings.cpu_slots or default_cpu_slots()) + settings.io_slots, name)
    node = Node(settings, info, app, wire)
    preload()
    worker = celery_worker(app, node)
    worker_ready.connect(lambda **_: node.start(), weak=False)
    worker_shutting_down.connect(lambda how, **_: _told_to_stop(node, how), weak=False)
    log.info("node_ready", name=info.name, queues=queues, slots=info.slots, encoders=info.encoders)
    worker.start()
    node.close()
    return int(worker.exitcode or 0)


def describe(able: Capabilities, queues: tuple[str, ...], slots: int, name: str) -> WorkerInfo:
    """What this worker says of itself."""
    host = socket.gethostname()
    return WorkerInfo(
        name=f"{name}@{host}:{os.getpid()}",
        queues=queues,
        slots=slots,
        encoders=able.working_encoders,
        decoders=able.working_decoders,
        ffmpeg=able.built.ffmpeg,
        host=host,
        started_at=time.time(),
        reads=WIRE_VERSION,
    )


def celery_worker(app: Any, node: Node) -> Any:
    """Celery's worker, subscribed to the node's queues and to its own probe orders."""
    own = probe_queue(node.info.name)
    app.amqp.queues[own.name] = own  # add() would bind it to the default exchange, and that binding outlives us
    app.steps["consumer"].add(subscriptions(node, node.info.queues))
    return app.Worker(
        hostname=node.info.name,
        queues=[*node.info.queues, own.name],
        concurrency=node.info.slots,
        pool_cls="prefork",
        loglevel=logging.WARNING,
        without_gossip=True,
        without_mingle=True,
        optimization="fair",
        quiet=True,
    )


def _told_to_stop(node: Node, how: str) -> None:
    node.drain(grace_seconds=0.0 if how == "Cold" else None)
