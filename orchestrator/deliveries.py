"""The deliveries of an item: made when it is produced, arrived, sent again; and the item, once all of them have proven it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete
from sqlalchemy.orm import Session

from common.orders import DeliverDone, Failure, TranscodeDone
from common.stages import State
from orchestrator import viewable
from orchestrator.acceptance import Acceptance
from orchestrator.accepting import destinations_of
from orchestrator.ledger.schema import Asked, Delivery, Destination, Item, Job
from orchestrator.moves import fail, move
from orchestrator.proof import Patience, Step, commits, is_archive, next_step


def begin(item: Item, job: Job, known: Sequence[Delivery]) -> list[Delivery]:
    """One delivery for each destination of a produced item; those that it has already start again. Returns the new ones."""
    by_place = {delivery.destination: delivery for delivery in known}
    new: list[Delivery] = []
    for place in job.destinations:
        delivery = by_place.get(place)
        if delivery is None:
            new.append(Delivery(item_id=item.id, job_id=job.id, destination=place, state="pending", resent=0))
        else:
            delivery.state, delivery.attempts, delivery.failure = "pending", 0, None
            delivery.resent, delivery.lacking = 0, None
    return new


def arrive(session: Session, delivery: Delivery, done: DeliverDone, patience: Patience, moment: datetime) -> None:
    """A destination took the instances: it has proven that it keeps them, or is asked to. What it said before is void."""
    if delivery.lacking is None:
        delivery.location = done.location
    delivery.proof, delivery.lacking = done.proof, None
    delivery.delivered_at, delivery.not_before = moment, moment + patience.gather
    delivery.read_back = delivery.uncommitted = False
    if not is_archive(delivery.destination):
        delivery.state = "committed"
        return
    forget_transactions(session, delivery)
    delivery.attempts = 0
    delivery.state = "delivered" if step_of(session, delivery, moment) else "committed"


def step_of(session: Session, delivery: Delivery, moment: datetime) -> Step | None:
    """What a delivery must prove next, by what is stated and known of its destination."""
    accepts, row = acceptance_of(session, delivery), session.get(Destination, delivery.destination)
    asked = commits(accepts, row.commits_not_since if row else None, moment)
    return next_step(delivery, accepts, commits=asked)


def acceptance_of(session: Session, delivery: Delivery) -> Acceptance:
    """What a delivery's destination takes."""
    job = session.get_one(Job, delivery.job_id)
    return next(one for one in destinations_of(session, job).each if one.destination == delivery.destination)


def prove(delivery: Delivery, words: str) -> None:
    """Its destination has proven that it keeps it."""
    delivery.proof = _joined(delivery.proof, words)
    delivery.state, delivery.failure = "committed", None


def go_on(session: Session, delivery: Delivery, words: str, moment: datetime) -> None:
    """One step is shown, or done without: the next one is due, or nothing is left."""
    delivery.attempts, delivery.not_before = 0, moment
    if step_of(session, delivery, moment) is None:
        prove(delivery, words)
    else:
        delivery.proof = _joined(delivery.proof, words)


def _joined(*words: str) -> str:
    return "; ".join(filter(None, words))


def send_again(session: Session, delivery: Delivery, lacking: Sequence[str] | None, moment: datetime) -> None:
    """The archive does not have these instances (None: any of them). What it answers to earlier requests counts no more."""
    delivery.state, delivery.lacking = "pending", list(lacking) if lacking else None
    delivery.attempts, delivery.not_before = 0, moment
    delivery.resent += 1
    forget_transactions(session, delivery)


def give_up(delivery: Delivery, failure: Failure) -> None:
    """It will not be proven; the item fails with it."""
    delivery.state, delivery.failure = "failed", failure.model_dump(mode="json")


def forget_transactions(session: Session, delivery: Delivery) -> None:
    """Requests that were made before a delivery was sent again say nothing about what is there now."""
    session.execute(
        delete(Asked).where(Asked.delivery_id == delivery.id), execution_options={"synchronize_session": False}
    )


def settle(session: Session, item: Item, deliveries: Sequence[Delivery]) -> None:
    """Move an item as far as its deliveries have come. The store's instances go (session.info['spent']) when all are proven."""
    states = {delivery.state for delivery in deliveries}
    if states & {"pending", "out"}:
        if item.state is State.DELIVERED:
            move(item, State.PRODUCED)
        return
    failed = next((delivery for delivery in deliveries if delivery.state == "failed"), None)
    if failed is not None:
        fail(item, Failure.model_validate(failed.failure))
        return
    if item.state is State.PRODUCED:
        move(item, State.DELIVERED)
    if states <= {"committed"}:
        move(item, State.COMMITTED)
        move(item, State.DONE)
        made = TranscodeDone.model_validate(item.result)
        session.info.setdefault("spent", []).extend(viewable.objects_of(made))
