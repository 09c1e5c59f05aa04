"""Watch the leases: see who works, notice the dead, give their orders out again, send again what the broker lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import exists, select
from sqlalchemy.orm import Session, defer

from common.errors import Actor
from common.leases import Lease
from common.logs import logger
from common.orders import ORDERS, Failure
from common.stages import State, check_transition
from common.versions import is_readable
from orchestrator import chunking, commitment, limits
from orchestrator.broker import Broker
from orchestrator.dispatcher import OPEN
from orchestrator.ledger.audit import because_of
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import FOR_CHANGE, Attempt, Delivery, Item, Job, now
from orchestrator.metrics import instruments
from orchestrator.moves import retry_later

log = logger(__name__)


RESULT_GRACE_SECONDS = 30.0
"""How long an ended attempt's result may take through the broker before it counts as lost with it."""

STOPPING = timedelta(seconds=60)
"""How long a withdrawn attempt is watched: a message that was on its way may still be taken, and must be stopped again."""


class Watcher:
    """Compares open attempts with leases, queues, time windows, and what people have asked for since (pause, cancel)."""

    def __init__(
        self,
        ledger: Sessions,
        broker: Broker,
        *,
        grace_seconds: float,
        max_attempts: int,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._ledger = ledger
        self._broker = broker
        self._grace = timedelta(seconds=grace_seconds)
        self._max_attempts = max_attempts
        self._clock = clock

    def sweep(self) -> None:
        """One look at all open attempts. Rows that a result is being recorded for are passed over: they are alive."""
        with self._ledger.begin() as session:
            watched = _watched(session, limits.Gate(self._clock()))
            leases = self._broker.look(seen.attempt.order_id for seen in watched)
            silent = self._judge(session, watched, leases)
            # a newer replica's order is sent again by a newer replica
            unsent = [(ORDERS.validate_python(one.order), one) for one in silent if is_readable(one.order)]
        for order, attempt in unsent:
            log.warning("order_sent_again", order=attempt.order_id, item=attempt.item_id)
            self._broker.send(order, attempt.kind, attempt.queue)

    def _judge(self, session: Session, watched: list[Watched], leases: dict[str, Lease]) -> list[Attempt]:
        """Act on each attempt; returns those that the broker must get again."""
        silent: list[Attempt] = []
        for seen in watched:
            attempt, lease = seen.attempt, leases.get(seen.attempt.order_id)
            if attempt.state == "stopping":
                self._stop(attempt, lease)
            elif seen.unwanted(leased=lease is not None):
                self._withdraw(session, attempt)
            elif lease is not None and lease.returned:
                log.info("attempt_returned", order=attempt.order_id, item=attempt.item_id)
                give_out_again(session, attempt, None)
            elif not self._alive(session, attempt, lease):
                silent.append(attempt)
        for attempt in silent:
            if attempt.state == "running":
                self._lose(session, attempt)
        unsent = self._not_in_broker([attempt for attempt in silent if attempt.state == "queued"])
        for attempt in unsent:
            attempt.sent_at = now()
        return unsent

    def _alive(self, session: Session, attempt: Attempt, lease: Lease | None) -> bool:
        moment = now()
        if lease is None:
            return moment - (attempt.seen_at or attempt.sent_at) < self._grace
        if lease.ended:
            attempt.state, attempt.seen_at = "running", attempt.seen_at or moment
            return moment - attempt.seen_at < timedelta(seconds=RESULT_GRACE_SECONDS)
        self._see(session, attempt, lease, moment)
        return True

    def _see(self, session: Session, attempt: Attempt, lease: Lease, moment: datetime) -> None:
        attempt.seen_at, attempt.worker, attempt.fraction = moment, lease.worker, lease.fraction
        if attempt.state == "running":
            return
        attempt.state = "running"
        item = session.get_one(Item, attempt.item_id, with_for_update=FOR_CHANGE)
        if item.state is State.QUEUED:
            because_of(session, attempt.order_id)
            item.state = check_transition(item.state, State.RUNNING)

    def _not_in_broker(self, attempts: list[Attempt]) -> list[Attempt]:
        waiting = {queue: self._broker.waiting(queue) for queue in {attempt.queue for attempt in attempts}}
        return [attempt for attempt in attempts if attempt.order_id not in waiting[attempt.queue]]

    def _withdraw(self, session: Session, attempt: Attempt) -> None:
        """Its job was paused or cancelled, or its window closed: nobody is to blame, and a result that still comes is dropped."""
        log.info("attempt_withdrawn", order=attempt.order_id, item=attempt.item_id)
        give_out_again(session, attempt, None)
        attempt.state = "stopping"
        self._broker.revoke(attempt.order_id)

    def _stop(self, attempt: Attempt, lease: Lease | None) -> None:
        """Say it again until no lease is left: a flushed broker forgets what was revoked, and its worker goes on."""
        if lease is not None and not lease.ended and not lease.returned:
            self._broker.revoke(attempt.order_id)
        elif now() - (attempt.ended_at or attempt.sent_at) > STOPPING:
            attempt.state = "stopped"

    def _lose(self, session: Session, attempt: Attempt) -> None:
        instruments.leases_expired.labels(attempt.queue).inc()
        log.warning("attempt_lost", order=attempt.order_id, item=attempt.item_id, worker=attempt.worker)
        self._broker.revoke(attempt.order_id)
        give_out_again(session, attempt, self._max_attempts)


@dataclass(frozen=True)
class Watched:
    """One attempt that is not over, and what its item and job say about it."""

    attempt: Attempt
    item_state: State
    paused: bool
    halted: bool

    def unwanted(self, *, leased: bool) -> bool:
        """True when it must be stopped: its item has ended, or its job is paused and it has not begun (halted: even then)."""
        return self.item_state.is_end or self.halted or (self.paused and not leased and self.attempt.state == "queued")


def _watched(session: Session, gate: limits.Gate) -> list[Watched]:
    """A closed window acts like a pause: an order that nobody has begun comes back; what runs is stopped if so wished."""
    doors = limits.Doors(session, gate)
    statement = (
        select(Attempt, Item.state, Item.job_id, Delivery.destination)
        .join(Item, Item.id == Attempt.item_id)
        .outerjoin(Delivery, Delivery.id == Attempt.delivery_id)
        .where(Attempt.state.in_((*OPEN, "stopping")))
        .options(defer(Attempt.order))  # large, and read of the few only that are sent again
        .with_for_update(of=Attempt, skip_locked=True)
    )
    rows = session.execute(statement).all()
    of_these = select(Job).where(Job.id.in_({job_id for _, _, job_id, _ in rows}))
    jobs = {job.id: job for job in session.scalars(of_these)}  # each read once: thousands of attempts share a few
    return [
        Watched(
            attempt,
            State.DELIVERED if attempt.kind in commitment.KINDS and not job.cancelled else state,  # it covers many
            job.paused or doors.holds(job, place),
            job.halted or doors.stops(job, place),
        )
        for attempt, state, job_id, place in rows
        for job in (jobs[job_id],)
    ]


def give_out_again(session: Session, attempt: Attempt, max_attempts: int | None) -> None:
    """Close an attempt whose worker is gone and make its work ready again; after ``max_attempts`` the item is set aside.

    A killed attempt is no failed one: ``max_attempts`` None means that the farm itself was stopped and nobody is to blame.
    """
    asked_about = commitment.covered(attempt)
    attempt.state, attempt.ended_at = "lost", now()
    because_of(session, attempt.order_id)
    if attempt.kind in commitment.KINDS:
        commitment.lost(session, asked_about, _worker_died(attempt.number), max_attempts)
        return
    item = session.get_one(Item, attempt.item_id, with_for_update=FOR_CHANGE)
    worn_out = max_attempts is not None and attempt.number >= max_attempts
    failure = _worker_died(attempt.number)
    if attempt.kind == "deliver":
        delivery = session.get_one(Delivery, attempt.delivery_id)
        delivery.state = "failed" if worn_out else "pending"
        delivery.failure = failure.model_dump(mode="json") if worn_out else None
        if max_attempts is None:
            delivery.attempts = max(0, delivery.attempts - 1)
        session.flush()
        if not worn_out or _on_its_way(session, item):
            return
    if chunking.give_back(session, attempt, worn_out=worn_out, blameless=max_attempts is None):
        return
    if item.state.is_end:
        return  # cancelled meanwhile
    if worn_out:
        item.failure = failure.model_dump(mode="json")
        item.state, item.reason = check_transition(item.state, State.FAILED), failure.message
        return
    if max_attempts is None:
        item.attempts = max(0, item.attempts - 1)
    retry_later(item, 0.0)


def _on_its_way(session: Session, item: Item) -> bool:
    """True while another delivery of the item goes on: its answer settles the item."""
    going = exists().where(Delivery.item_id == item.id, Delivery.state.in_(["pending", "out"]))
    return bool(session.scalar(select(going)))


def _worker_died(attempts: int) -> Failure:
    return Failure(
        code="WorkerLost",
        actor=Actor.ENVIRONMENT,
        retryable=True,
        message=f"the worker died {attempts} times while it worked on this",
        hint="Look at the worker's log and memory; then run the same command again.",
    )
