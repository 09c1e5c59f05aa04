"""Keep every queue's window full (orchestrator.window); the rest of the backlog stays in the ledger.

Replicas may dispatch at the same time: one at a time fills a queue's window (a lock by the queue's name), and rows that
another transaction works on are passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import datetime, timedelta

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from common import queues
from common.errors import EnvironmentFault, UnreadableSource
from common.header_patterns import HeaderPatterns
from common.logs import logger
from common.orders import AnyOrder, Failure
from common.stages import State, check_transition
from common.store import ObjectStore
from common.versions import for_wire
from orchestrator import asking, chunking, limits, readers, work
from orchestrator.broker import Broker
from orchestrator.chunk_policy import Policy
from orchestrator.fetching import Fetches
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.locks import try_lock_transaction
from orchestrator.ledger.schema import Attempt, Chunk, Delivery, Item, Job, now
from orchestrator.profiles import patterns_of
from orchestrator.proof import Patience
from orchestrator.sources import Sources
from orchestrator.window import Window

log = logger(__name__)

OPEN = ("queued", "running")
"""Attempts that a worker has, or may still get."""

ESTIMATED_SECONDS = func.coalesce(Item.plan["estimated_seconds"].as_float(), 0.0)
"""Of the work that an item's plan says; an item without a plan is only described."""

BRING_AGAIN = timedelta(seconds=10)
"""Wait after the store did not take a source; the others behind it go on."""

_RELEASED = UnreadableSource(
    "what the listener received is not in the store any more: its item was done, and its time to be kept is over",
    hint="Have it sent again.",
)

Order = AnyOrder


def dispatch(
    ledger: Sessions,
    broker: Broker,
    store: ObjectStore,
    *,
    sources: Sources | None = None,
    overrun_seconds: float = 0.0,
    chunks: Policy | None = None,
    window: Window | None = None,
    patience: Patience | None = None,
    clock: Callable[[], datetime] = now,
) -> int:
    """Fill the windows once; returns how many orders went out.

    ``sources``: brings sources to ``store``; the caller keeps it from turn to turn.
    ``overrun_seconds``: how far the estimate of an order may reach past the end of its time window.
    ``chunks``: when one long video is encoded by several workers.
    ``window``: how fast orders end; the caller keeps it from turn to turn.
    ``patience``: how long archives are given to prove what they took.

    The attempt is written before the message is sent: a crash between the two leaves a queued attempt without a message,
    which the watcher sends again. The other order could run work that the ledger does not know.
    """
    sources, policy, window = sources or Sources(store), chunks or Policy(), window or Window()
    patience = patience or Patience()
    slots = broker.slots()
    sent = 0
    for queue in slots:
        try:
            with ledger.begin() as session:
                gate = limits.Gate(clock(), overrun_seconds)
                orders = _fill(session, sources, queue, slots[queue], gate, policy, window, patience)
                readers.check(session, broker, queue, orders)
        except readers.Missing as missing:
            readers.postpone(ledger, missing.rows, clock())
            continue
        if orders:
            broker.send_all(orders, queue)
        for order in orders:
            log.info(
                "order_sent",
                kind=order.kind,
                order=order.order_id,
                item=order.item_id,
                attempt=order.attempt,
                queue=queue,
            )
        sent += len(orders)
    return sent


def _fill(
    session: Session,
    sources: Sources,
    queue: str,
    slots: int,
    gate: limits.Gate,
    policy: Policy,
    window: Window,
    patience: Patience,
) -> list[Order]:
    if not try_lock_transaction(session, f"window:{queue}"):
        return []  # another replica fills it now; counting beside it would fill it twice
    out = _open_attempts(session, queue)
    most = window.size(queue, slots, out)
    if (limit := limits.queue_limit(session, queue)) is not None:
        most = min(most, limit)
    if most <= out:
        return []
    if queue == queues.DELIVER:
        orders = _take_deliveries(session, most - out, slots, gate, patience)
    else:
        orders = _take(session, sources, queue, most - out, slots, max(0, slots - out), gate, policy)
    window.filled(queue, most - out, len(orders))
    return orders


def _open_attempts(session: Session, queue: str) -> int:
    statement = select(func.count()).select_from(Attempt).where(Attempt.queue == queue, Attempt.state.in_(OPEN))
    return session.scalar(statement) or 0


def _take_deliveries(session: Session, free: int, slots: int, gate: limits.Gate, patience: Patience) -> list[Order]:
    """What archives are asked comes first: it is short, covers many, and frees the store."""
    doors = limits.Doors(session, gate)
    asked: list[Order] = []
    for order, delivery in asking.due(session, _working_jobs(session, gate), free, doors, gate.moment, patience):
        _open(session, order, queues.DELIVER, delivery)
        asked.append(order)
    ready = _ready_deliveries(session, free - len(asked), doors, gate)
    return asked + [_begin_deliver(session, *pair, doors.share(pair[1].destination, slots)) for pair in ready]


def _take(
    session: Session,
    sources: Sources,
    queue: str,
    free: int,
    slots: int,
    idle: int,
    gate: limits.Gate,
    policy: Policy,
) -> list[Order]:
    if queue == queues.DESCRIBE:
        fetches = Fetches(limits.Doors(session, gate), slots)
        found = _brought(sources, list(_ready_items(session, State.FOUND, queue, free, gate, fetches)))
        # asked once, not for each item
        rules = {job.id: (job.identifiers_key, patterns_of(job)) for job in _working_jobs(session, gate)}
        return [_begin_describe(session, item, rules[item.job_id], fetches) for item in found]
    parts = _begin_parts(session, sources, queue, free, policy, gate)
    items = _brought(sources, list(_ready_items(session, State.PLANNED, queue, free - len(parts), gate)))
    # slots that would stay empty though each of these items had one: a long video may use them
    idle = idle - len(parts) - len(items) + 1
    begun = [_begin_transcode(session, item, queue, idle, policy) for item in items]
    return [*parts, *(order for order in begun if order is not None)]


def _begin_parts(
    session: Session, sources: Sources, queue: str, free: int, policy: Policy, gate: limits.Gate
) -> list[Order]:
    """What videos that are cut wait for: joining first, since it ends an item, then chunks."""
    jobs = _working_jobs(session, gate)
    orders: list[Order] = []
    for item in _brought(sources, chunking.ready_assemblies(session, queue, free, jobs, gate.moment)):
        orders.append(chunking.assemble_order(session, item, policy))
        _open(session, orders[-1], queue)
    ready = chunking.ready_chunks(session, queue, free - len(orders), jobs, gate.moment)
    there = {item.id for item in _brought(sources, list({item.id: item for item, _ in ready}.values()))}
    for item, chunk in ready:
        if item.id in there:
            orders.append(chunking.chunk_order(session, item, chunk, policy))
            _open(session, orders[-1], queue, chunk=chunk)
    return orders


def _brought(sources: Sources, items: list[Item]) -> list[Item]:
    """Those whose source workers can read by now; only what is in the window is brought to the store."""
    at_hand = {item.id for item in items if item.retrieval is not None or work.is_arrival(item)}
    outcomes = sources.bring({work.source_key(item): item.source for item in items if item.id not in at_hand})
    ready: list[Item] = []
    for item in items:
        if item.id in at_hand and (item.retrieval is not None or sources.holds(work.source_key(item))):
            ready.append(item)  # its worker brings it, or the listener has brought it
            continue
        fault = _RELEASED if item.id in at_hand else outcomes.get(work.source_key(item))
        if isinstance(fault, EnvironmentFault):
            log.warning("source_not_brought", item=item.id, code=fault.code, message=fault.message)
            item.not_before = now() + BRING_AGAIN
        elif fault is not None:
            item.failure = Failure.of(fault).model_dump(mode="json")
            item.state, item.reason = check_transition(item.state, State.FAILED), fault.message
        elif work.source_key(item) in outcomes:
            ready.append(item)
    return ready


def _ready_items(
    session: Session, state: State, queue: str, free: int, gate: limits.Gate, fetches: Fetches | None = None
) -> Iterator[Item]:
    """Job by job, so that each look follows an index in its order: a million waiting items are not sorted for ten."""
    for job in _working_jobs(session, gate):
        wanted = fetches.room(job, free) if fetches is not None else free
        if wanted == 0:
            continue
        busy = exists().where(Attempt.item_id == Item.id, Attempt.state.in_(OPEN))
        statement = (
            select(Item)
            .where(Item.job_id == job.id, Item.state == state, Item.queue == queue, Item.not_before <= gate.moment)
            .where(~busy, *gate.fits(job, ESTIMATED_SECONDS), *(fetches.fits(job) if fetches is not None else ()))
            .order_by(Item.number)
            .limit(wanted)
            .with_for_update(skip_locked=True, key_share=True)
        )
        for item in session.scalars(statement).all():
            if fetches is None or fetches.admits(job, item):
                free -= 1
                yield item
        if free <= 0:
            return


def _working_jobs(session: Session, gate: limits.Gate) -> list[Job]:
    """Jobs that may send something, the most urgent first, then first come, first served."""
    statement = select(Job).where(Job.paused.is_(False), Job.cancelled.is_(False))
    jobs = session.scalars(statement.order_by(Job.priority.desc(), Job.created_at, Job.id))
    return [job for job in jobs if gate.is_open(job.window)]


def _ready_deliveries(
    session: Session, free: int, doors: limits.Doors, gate: limits.Gate
) -> Iterator[tuple[Item, Delivery]]:
    """Job by job; its destinations share what is free, then each may take what the others have left."""
    for job in _working_jobs(session, gate):
        places = [place for place in job.destinations if doors.room(job, place, free) > 0]
        for most in (-(-free // max(1, len(places))), free):
            for place in places:
                for pair in _look_for_deliveries(session, job, place, doors, min(most, free), gate.moment):
                    doors.take(place)
                    free -= 1
                    yield pair  # it leaves the pending ones before the next look


def _look_for_deliveries(
    session: Session, job: Job, place: str, doors: limits.Doors, most: int, moment: datetime
) -> list[tuple[Item, Delivery]]:
    """In the order in which they became ready, which is the index's: a backlog of a million is not sorted for ten."""
    wanted = doors.room(job, place, most)
    if wanted == 0:
        return []
    statement = (
        select(Item, Delivery)
        .join(Delivery, Delivery.item_id == Item.id)
        .where(Delivery.job_id == job.id, Delivery.state == "pending", Delivery.destination == place)
        .where(Delivery.not_before <= moment, Item.state == State.PRODUCED, *doors.fits(job, place))
        .order_by(Delivery.id)
        .limit(wanted)
        .with_for_update(of=(Item, Delivery), skip_locked=True, key_share=True)
    )
    return [(item, delivery) for item, delivery in session.execute(statement)]


def _begin_describe(
    session: Session, item: Item, rules: tuple[str | None, tuple[HeaderPatterns | None, ...]], fetches: Fetches
) -> Order:
    item.attempts += 1
    order = fetches.paced(work.describe_order(item, item.attempts, *rules))
    _open(session, order, queues.DESCRIBE)
    return order


def _begin_transcode(session: Session, item: Item, queue: str, idle: int, policy: Policy) -> Order | None:
    """None: its chunks go out from the next turn on."""
    item.state = check_transition(item.state, State.QUEUED)
    if chunking.cut(item):
        chunking.lay_out(session, item)
        return None
    item.attempts += 1
    order = chunking.split_order(item, idle, policy) or work.transcode_order(item, item.attempts)
    _open(session, order, queue)
    return order


def _begin_deliver(session: Session, item: Item, delivery: Delivery, pace: limits.Share) -> Order:
    delivery.attempts += 1
    delivery.state = "out"
    order = work.deliver_order(item, delivery, delivery.attempts).model_copy(update=asdict(pace))
    _open(session, order, queues.DELIVER, delivery)
    return order


def _open(
    session: Session, order: Order, queue: str, delivery: Delivery | None = None, chunk: Chunk | None = None
) -> None:
    session.add(
        Attempt(
            order_id=order.order_id,
            item_id=order.item_id,
            delivery_id=delivery.id if delivery else None,
            chunk_id=chunk.id if chunk else None,
            kind=order.kind,
            queue=queue,
            number=order.attempt,
            order=for_wire(order),
        )
    )
