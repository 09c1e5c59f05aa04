"""The main process of a worker: knows what its pool does, advertises it, leaves the service when it should, drains.

One thread hears the pool processes and turns three pure judges (breaker, pulse, the clock) into one state. Celery's own
thread only subscribes and unsubscribes, as that state says.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
import time
from dataclasses import dataclass, replace

import psutil
from celery import Celery
from kombu.exceptions import OperationalError
from redis import Redis
from redis.exceptions import RedisError

from common import leases, logs
from common.alive import touch
from common.broker_access import open_redis
from common.errors import CinefarmError
from common.leases import Leases, NodeState, WorkerInfo
from common.process import Limits, run
from common.settings import Settings
from workers.breaker import Breaker
from workers.drain import drain
from workers.probe_order import send_probe
from workers.pulse import Pulse
from workers.wire import Event, Outcome, What, Wire

log = logs.logger(__name__)

ADVERTISE_SECONDS = 3.0
ADVERTISEMENT_TTL_SECONDS = 3 * ADVERTISE_SECONDS
HEAR_SECONDS = 0.3
LAST_WORDS_SECONDS = (
    2.0  # for Celery to close the pool and for the broker to take our last words, before we leave anyway
)
SELFTEST_LIMITS = Limits(seconds=120.0)
HELD = "an operator told it to take nothing new"
EXIT_DRAINED = 0
EXIT_STUCK = os.EX_TEMPFAIL  # sysexits.h: try again; a supervisor starts the worker anew


@dataclass(frozen=True)
class Running:
    """An order at work in a pool process."""

    pid: int
    item: str


class Node:
    """A worker as its operator sees it."""

    def __init__(self, settings: Settings, info: WorkerInfo, app: Celery, wire: Wire) -> None:
        self.info = info
        self._settings, self._app, self._wire = settings, app, wire
        self._breaker = Breaker(settings.breaker_failures, settings.breaker_pause_seconds)
        self._pulse = Pulse(settings.liveness_seconds / 3, settings.liveness_seconds)
        self._running: dict[str, Running] = {}
        self._draining = self._stuck = self._held = False
        self._testing: threading.Thread | None = None
        self._closed = threading.Event()
        self._redis: Redis | None = None
        self._advertised_at = 0.0
        self._looked_at = time.monotonic()

    def start(self) -> None:
        """Begin to listen and advertise, in a thread."""
        self._looked_at = time.monotonic()
        psutil.cpu_percent()  # the first call only sets the mark that the next one measures from
        threading.Thread(target=self._live, name="node", daemon=True).start()

    def close(self) -> None:
        """The pool has ended: withdraw the advertisement."""
        self._closed.set()
        with contextlib.suppress(RedisError, OSError):
            leases.withdraw(self._connection, self.info.name)

    @property
    def in_service(self) -> bool:
        """True while orders are taken."""
        return self.state[0] is NodeState.READY

    @property
    def state(self) -> tuple[NodeState, str]:
        """The state and its reason in words."""
        if self._draining:
            return NodeState.DRAINING, "told to stop"
        if self._held:
            return NodeState.DRAINING, HELD
        if self._stuck:
            seconds = self._settings.liveness_seconds
            return NodeState.OUT_OF_SERVICE, f"no order was taken for {seconds:g} s while a slot was free"
        if not self._breaker.in_service:
            return NodeState.OUT_OF_SERVICE, f"{len(self._breaker.failed)} orders in a row failed by this node's fault"
        return NodeState.READY, ""

    def running(self) -> dict[str, int]:
        """Orders at work now: order id → pool process."""
        return {order: work.pid for order, work in dict(self._running).items()}

    def drain(self, *, grace_seconds: float | None = None) -> None:
        """Take no more; finish or hand back what runs; see workers.drain. Returns at once, and works once."""
        if self._draining:
            return
        self._draining = True
        grace = self._settings.drain_seconds if grace_seconds is None else grace_seconds
        log.info("node_draining", running=len(self._running), grace_seconds=grace)
        self._end(EXIT_DRAINED, grace)

    def _end(self, code: int, grace_seconds: float) -> None:
        threading.Thread(target=self._leave, args=(code, grace_seconds), name="drain", daemon=True).start()

    def _leave(self, code: int, grace_seconds: float) -> None:
        end = time.monotonic() + grace_seconds
        killed: dict[str, int] = {}
        while not killed:
            killed = drain(self.running, grace_seconds=max(0.0, end - time.monotonic()))
            if code == EXIT_DRAINED and not killed and self._closed.wait(LAST_WORDS_SECONDS):
                return  # Celery ends the process by itself, as a rule
            if not self.running():  # else an order was taken in the very moment when we were told to stop
                break
        saying = threading.Thread(target=self._say_goodbye, args=(killed,), daemon=True)
        saying.start()
        saying.join(LAST_WORDS_SECONDS)  # a broker that is away must not keep us
        log.info("node_left", code=code, killed=len(killed))
        os._exit(code)

    def _say_goodbye(self, killed: dict[str, int]) -> None:
        """Hand back for the processes that could not, and clean up after them."""
        held = Leases(self._connection, ttl_seconds=self._settings.lease_seconds)
        with contextlib.suppress(RedisError, OSError):
            for order in killed:
                held.hand_back(order)
            leases.withdraw(self._connection, self.info.name)
        for order in killed:
            shutil.rmtree(self._settings.scratch / order, ignore_errors=True)

    def _live(self) -> None:
        try:
            while not self._closed.is_set():
                self._turn()
        except Exception:
            log.exception("node_broke")
            os._exit(os.EX_SOFTWARE)  # nobody would see that we are alive: the supervisor starts us again

    def _turn(self) -> None:
        before = self.state
        for event in self._wire.hear(HEAR_SECONDS):
            self._hear(event)
        self._miss_the_dead()
        self._check_pulse(time.monotonic())
        self._mend(time.monotonic())
        if self.state != before:
            log.warning("node_state", state=self.state[0], reason=self.state[1])
        if self.state != before or time.monotonic() - self._advertised_at >= ADVERTISE_SECONDS:
            self._advertise()

    def _hear(self, event: Event) -> None:
        if event.what is What.ENDED:
            self._running.pop(event.order, None)
            self._judge(event.outcome, event.item)
            return
        # a process does one thing at a time: what it did before has ended, even if we did not hear of it
        for order in [order for order, work in self._running.items() if work.pid == event.pid]:
            self._running.pop(order)
        if event.what is What.TAKEN:
            self._running[event.order] = Running(event.pid, event.item)
        self._pulse = self._pulse.taken()
        self.info = replace(self.info, taken_at=time.time())

    def _judge(self, outcome: Outcome, item: str) -> None:
        if outcome is Outcome.GOOD:
            self._breaker = self._breaker.good()
        elif outcome is Outcome.BAD:
            judged = self._breaker.bad(item, time.monotonic())
            if self._breaker.in_service and not judged.in_service and not self._relieved():
                log.warning("node_kept_in_service", failed=len(judged.failed))
                judged = self._breaker.spared()
            self._breaker = judged

    def _relieved(self) -> bool:
        """True when another worker can take over: one that is ready and serves every queue of ours."""
        try:
            others = [
                one for one in leases.live_workers(self._connection) if one.name != self.info.name and one.offered
            ]
        except (RedisError, OSError):
            return False
        return set(self.info.queues) <= {queue for other in others for queue in other.queues}

    def _miss_the_dead(self) -> None:
        """A pool process that was killed says nothing more. Its order is the watcher's business, its death is ours."""
        for order, work in list(self._running.items()):
            if not _alive(work.pid):
                log.warning("pool_process_died", order=order, pid=work.pid)
                self._running.pop(order, None)
                shutil.rmtree(self._settings.scratch / order, ignore_errors=True)
                self._judge(Outcome.BAD, work.item)

    def _check_pulse(self, now: float) -> None:
        if self._draining or self._stuck:
            return
        slept = now - self._looked_at > self._pulse.interval / 2  # this whole process was stopped, or its machine
        self._looked_at = now
        if slept or len(self._running) >= self.info.slots:
            self._pulse = self._pulse.excused(now)
        elif self._pulse.due(now):
            self._pulse = self._pulse.sent(now) if self._probe() else self._pulse.excused(now)
        if self._pulse.stuck(now):
            self._stuck = True
            log.error("node_stuck", seconds=self._settings.liveness_seconds)
            self._end(EXIT_STUCK, float("inf"))  # what runs is not stuck: its own limits end it

    def _probe(self) -> bool:
        try:
            send_probe(self._app, self._connection, self.info.name, ttl_seconds=self._settings.liveness_seconds)
        except (RedisError, OSError, OperationalError) as error:
            log.warning("probe_not_sent", error=type(error).__name__)
            return False
        return True

    def _mend(self, now: float) -> None:
        """Test ourselves when the breaker's pause is over: in a thread, for it takes longer than an advertisement lives."""
        if self._testing is None and self._breaker.due(now):
            self._testing = threading.Thread(target=self._test, name="selftest", daemon=True)
            self._testing.start()

    def _test(self) -> None:
        passed = _selftest()
        self._breaker = self._breaker.tested(passed, time.monotonic())
        log.warning("node_tested", passed=passed)
        self._testing = None

    def _advertise(self) -> None:
        self._advertised_at = time.monotonic()
        touch(self._settings.alive_file)
        with contextlib.suppress(RedisError, OSError):  # as it was, while the broker is away
            self._held = leases.is_held(self._connection, self.info.name)
        state, reason = self.state
        load = psutil.cpu_percent() / 100.0
        info = replace(self.info, running=len(self._running), cpu_load=load, state=state, reason=reason)
        try:
            leases.advertise(self._connection, info, ttl_seconds=ADVERTISEMENT_TTL_SECONDS)
        except (RedisError, OSError) as error:
            log.warning("advertisement_failed", error=type(error).__name__)

    @property
    def _connection(self) -> Redis:
        if self._redis is None:
            self._redis = open_redis(self._settings)
        return self._redis


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _selftest() -> bool:
    """In a process of its own: this one holds the broker's connection and must not fork a decoder."""
    try:
        run([sys.executable, "-m", "workers", "selftest"], name="selftest", limits=SELFTEST_LIMITS)
    except CinefarmError as error:
        log.warning("selftest_failed", message=error.message)
        return False
    return True
