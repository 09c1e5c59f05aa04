"""Write what workers answer into the ledger, and decide what follows: plan, next rung, delivery, set aside."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select, true
from sqlalchemy.orm import Session

from common.errors import CinefarmError, InternalFault
from common.logs import logger
from common.media import Description
from common.orders import DeliverDone, DescribeDone, Failure, Plan, TranscodeDone, WorkResult
from common.recipes import Audio, Profile
from common.retry import wait_before_retry
from common.stages import State, check_transition
from common.store import ObjectStore
from orchestrator.dispatcher import OPEN
from orchestrator.ingest.mapping import missing_metadata
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import Attempt, Delivery, Item, Job, now
from orchestrator.planner import plan

log = logger(__name__)


class Recorder:
    """Applies results, one transaction each. Results of attempts that are no longer open are dropped."""

    def __init__(self, ledger: Sessions, store: ObjectStore, *, max_attempts: int) -> None:
        self._ledger = ledger
        self._store = store
        self._max_attempts = max_attempts

    def record(self, result: WorkResult) -> None:
        """Apply one result."""
        with self._ledger.begin() as session:
            attempt = session.get(Attempt, result.order_id)
            if attempt is None or attempt.state not in OPEN:
                log.warning("late_result_dropped", order=result.order_id, item=result.item_id, worker=result.worker)
                return
            self._close(attempt, result)
            item = session.get_one(Item, attempt.item_id)
            item.work_seconds += result.seconds
            if result.failure is not None:
                self._failed(session, item, attempt, result.failure)
            elif isinstance(result.done, DescribeDone):
                self._described(session, item, result.done.description)
            elif isinstance(result.done, TranscodeDone):
                self._transcoded(session, item, result.done)
            elif isinstance(result.done, DeliverDone):
                self._delivered(session, item, attempt, result.done)
        log.info("result_recorded", order=result.order_id, item=result.item_id, failed=result.failure is not None)

    def _close(self, attempt: Attempt, result: WorkResult) -> None:
        attempt.state = "failed" if result.failure else "done"
        attempt.ended_at = now()
        attempt.worker = result.worker
        attempt.seconds = result.seconds
        attempt.failure = result.failure.model_dump(mode="json") if result.failure else None

    def _described(self, session: Session, item: Item, description: Description) -> None:
        item.description = description.model_dump(mode="json")
        item.digest = description.digest
        _move(item, State.DESCRIBED)
        twin = _twin(session, item, header_counts=description.dicom is None)
        if twin is not None:
            _move(item, State.SKIPPED, f"the same bytes as {twin.name}")
            return
        self._plan(session, item, description, rung=0)

    def _plan(self, session: Session, item: Item, description: Description, *, rung: int) -> None:
        job = session.get_one(Job, item.job_id)
        try:
            if description.dicom is None and item.header_key is None:
                raise missing_metadata(None)
            hints = item.supplied or {}
            made = plan(
                description,
                Profile.model_validate(job.profile),
                audio=Audio(job.audio),
                rung=rung,
                modality=hints.get("modality", ""),
                requested_class=hints.get("sop_class"),
            )
        except CinefarmError as error:
            _fail(item, Failure.of(error))
            return
        except Exception as error:  # a bug in a rule costs this item, not the farm
            log.exception("planning_broke", item=item.id)
            _fail(item, Failure.of(InternalFault(f"planning broke with {type(error).__name__}")))
            return
        item.plan = made.model_dump(mode="json")
        item.attempts = 0
        _move(item, State.PLANNED, made.reason)

    def _transcoded(self, session: Session, item: Item, made: TranscodeDone) -> None:
        item.result = made.model_dump(mode="json")
        done = Plan.model_validate(item.plan)
        broken = [finding for finding in made.findings if finding.severity == "error"]
        if broken:
            _move(
                item,
                State.QUARANTINED,
                f"not conforming: {broken[0].found}, required {broken[0].required} ({broken[0].clause})",
            )
        elif made.verdict.passed:
            self._produced(session, item)
        elif done.rung + 1 < done.rungs:
            _move(item, State.PLANNED)
            self._replan(session, item, done, made)
        else:
            _move(item, State.QUARANTINED, "gate not met: " + "; ".join(made.verdict.misses))

    def _replan(self, session: Session, item: Item, done: Plan, made: TranscodeDone) -> None:
        description = Description.model_validate(item.description)
        item.state = State.DESCRIBED
        self._plan(session, item, description, rung=done.rung + 1)
        item.reason += f" (rung {done.rung + 1} of {done.rungs} missed the gate: {'; '.join(made.verdict.misses)})"

    def _produced(self, session: Session, item: Item) -> None:
        job = session.get_one(Job, item.job_id)
        known = {delivery.destination: delivery for delivery in _deliveries(session, item)}
        for destination in job.destinations:
            delivery = known.get(destination)
            if delivery is None:
                session.add(Delivery(item_id=item.id, destination=destination))
            else:
                delivery.state, delivery.attempts, delivery.failure = "pending", 0, None
        item.attempts = 0
        _move(item, State.PRODUCED, Plan.model_validate(item.plan).reason if not item.reason else item.reason)

    def _delivered(self, session: Session, item: Item, attempt: Attempt, done: DeliverDone) -> None:
        delivery = session.get_one(Delivery, attempt.delivery_id)
        delivery.state, delivery.location, delivery.proof = "delivered", done.location, done.proof
        session.flush()
        self._settle(session, item)

    def _settle(self, session: Session, item: Item) -> None:
        deliveries = _deliveries(session, item)
        if any(delivery.state in ("pending", "out") for delivery in deliveries):
            return
        failed = [delivery for delivery in deliveries if delivery.state == "failed"]
        if failed:
            _fail(item, Failure.model_validate(failed[0].failure))
            return
        for state in (State.DELIVERED, State.COMMITTED, State.DONE):
            _move(item, state)
        # the destinations have proven that they hold it: the store keeps the evidence only
        self._store.delete(TranscodeDone.model_validate(item.result).instance_key)

    def _failed(self, session: Session, item: Item, attempt: Attempt, failure: Failure) -> None:
        if failure.code == "NotVideo":
            _move(item, State.SKIPPED, failure.message)
            return
        wait = wait_before_retry(failure, attempt.number, self._max_attempts)
        if attempt.kind == "deliver":
            self._delivery_failed(session, item, attempt, failure, wait)
        elif wait is None:
            _fail(item, failure)
        else:
            retry_later(item, wait)

    def _delivery_failed(
        self, session: Session, item: Item, attempt: Attempt, failure: Failure, wait: float | None
    ) -> None:
        delivery = session.get_one(Delivery, attempt.delivery_id)
        delivery.failure = failure.model_dump(mode="json")
        if wait is None:
            delivery.state = "failed"
            session.flush()
            self._settle(session, item)
            return
        delivery.state = "pending"
        delivery.not_before = now() + timedelta(seconds=wait)


def retry_later(item: Item, wait_seconds: float) -> None:
    """Put an item back to where its next attempt begins."""
    if item.state in (State.QUEUED, State.RUNNING):
        item.state = check_transition(item.state, State.PLANNED)
    item.not_before = now() + timedelta(seconds=wait_seconds)


def _deliveries(session: Session, item: Item) -> list[Delivery]:
    return list(session.scalars(select(Delivery).where(Delivery.item_id == item.id)))


def _twin(session: Session, item: Item, *, header_counts: bool) -> Item | None:
    """An earlier item of the job with the same bytes (plain video: and the same supplied header).

    Two instances of one source must not arise.
    """
    same_header = Item.header_key.is_(None) if item.header_key is None else Item.header_key == item.header_key
    statement = select(Item).where(
        Item.job_id == item.job_id,
        Item.digest == item.digest,
        same_header if header_counts else true(),
        Item.id != item.id,
        Item.state.not_in([State.SKIPPED, State.FAILED, State.CANCELLED, State.FOUND]),
    )
    return session.scalars(statement.order_by(Item.number).limit(1)).first()


def _move(item: Item, state: State, reason: str | None = None) -> None:
    item.state = check_transition(item.state, state)
    item.not_before = now()
    if reason is not None:
        item.reason = reason


def _fail(item: Item, failure: Failure) -> None:
    item.failure = failure.model_dump(mode="json")
    _move(item, State.FAILED, failure.message)
