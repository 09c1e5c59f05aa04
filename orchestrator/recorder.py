"""Write what workers answer into the ledger, and decide what follows: plan, next rung, delivery, set aside."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta

from pydicom import Dataset
from sqlalchemy import select, true
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, defer

from common.errors import CinefarmError, EnvironmentFault, HardwareFailed, InternalFault, Uncuttable
from common.logs import logger
from common.media import Description
from common.orders import (
    ChunkDone,
    DeliverDone,
    DescribeDone,
    Failure,
    Path,
    Plan,
    SplitDone,
    TranscodeDone,
    WorkResult,
)
from common.recipes import Audio, Hardware, Profile
from common.stages import State
from common.store import ObjectStore
from orchestrator import breaker, chunking, commitment, deliveries, viewable
from orchestrator.accepting import destinations_of
from orchestrator.causes import cause_of
from orchestrator.chunk_policy import finer_rung
from orchestrator.coercing import coerced, coercion
from orchestrator.dispatcher import OPEN
from orchestrator.ingest.mapping import missing_metadata
from orchestrator.ledger.audit import because_of
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.locks import lock_all
from orchestrator.ledger.schema import Attempt, Base, Delivery, Destination, Item, Job, now
from orchestrator.metrics.observe import Ended, observe
from orchestrator.moves import fail, move, retry_later
from orchestrator.planner import plan
from orchestrator.profiles import by_header, by_rules, patterns_of, profile_of
from orchestrator.proof import Patience
from orchestrator.work import is_arrival, source_key

log = logger(__name__)


class Recorder:
    """Applies results, one transaction each. Results of attempts that are no longer open are dropped.

    Attempt and item are locked first, so that of several replicas and the watcher one at a time decides about an item.
    """

    def __init__(
        self,
        ledger: Sessions,
        store: ObjectStore,
        *,
        max_attempts: int,
        queues: Callable[[], Collection[str]] = tuple,
        patience: Patience | None = None,
        keeping: viewable.Keeping = viewable.AT_ONCE,
    ) -> None:
        """``queues``: those that live workers serve, asked only where a job allows devices.

        ``keeping``: how long instances stay in the store after their item is done.
        """
        self._keeping = keeping
        self._queues = queues
        self._patience = patience or Patience()
        self._ledger = ledger
        self._store = store
        self._max_attempts = max_attempts
        self._last_profile: tuple[str, Profile] | None = None

    def record_all(self, results: Sequence[WorkResult]) -> None:
        """Apply many results in one transaction; when one of them breaks it, each in a transaction of its own.

        Raises:
            sqlalchemy.exc.DBAPIError, EnvironmentFault: ledger or store are away; nothing was written, call again.
        """
        try:
            self._record(results)
        except (DBAPIError, EnvironmentFault):
            raise
        except Exception as error:
            log.warning("recording_singly", count=len(results), error=type(error).__name__)
            for result in results:
                self.record(result)

    def record(self, result: WorkResult) -> None:
        """Apply one result.

        Raises:
            sqlalchemy.exc.DBAPIError, EnvironmentFault: ledger or store are away; nothing was written, call again.
        """
        try:
            self._record([result])
        except (DBAPIError, EnvironmentFault):
            raise
        except Exception as error:  # a result that breaks a rule costs its item; the results behind it must not wait
            log.exception("recording_broke", order=result.order_id, item=result.item_id)
            fault = Failure.of(InternalFault(f"recording a result broke with {type(error).__name__}"))
            with self._ledger.begin() as session:
                _held = _lock(session, [result])
                because_of(session, result.order_id)
                broken = result.model_copy(update={"done": None, "failure": fault})
                item = None if self._is_proof(session, broken) else self._open_item(session, broken)
                if item is not None and not item.state.is_end:
                    fail(item, fault)

    def _record(self, results: Sequence[WorkResult]) -> None:
        with self._ledger.begin() as session:
            _held = _lock(session, results)  # the session itself knows its objects by weak references only
            shared = _shared_digests(session, results)
            for result in results:
                self._apply(session, result, shared)
            viewable.write(session)
            spent = self._keeping.unwanted(session.info.pop("spent", ()), self._store)
            viewable.forget(session, spent)
            ended = session.info.pop("ended", ())
        for one in ended:
            observe(one)
        for key in spent:  # after the commit: what it kept from the ledger would be lost; what we lose is an orphan
            self._store.delete(key)

    def _apply(self, session: Session, result: WorkResult, shared: set[str]) -> None:
        because_of(session, result.order_id)
        if self._is_proof(session, result):
            return
        item = self._open_item(session, result)
        if item is None:
            log.warning("late_result_dropped", order=result.order_id, item=result.item_id, worker=result.worker)
            return
        attempt = session.get_one(Attempt, result.order_id)
        delivery = session.get(Delivery, attempt.delivery_id) if attempt.delivery_id else None
        session.info.setdefault("ended", []).append(Ended.of(attempt, result, item, delivery))
        item.work_seconds += result.seconds
        if result.failure is None:
            breaker.answered(session, item, attempt, now())
        if result.failure is not None:
            self._failed(session, item, attempt, result.failure)
        elif isinstance(result.done, DescribeDone):
            self._described(session, item, result.done.description, twins=result.done.description.digest in shared)
        elif isinstance(result.done, TranscodeDone):
            self._transcoded(session, item, result.done)
            if attempt.kind == "assemble":
                chunking.was_assembled(session, item)
        elif isinstance(result.done, SplitDone):
            chunking.was_split(item, result.done)
        elif isinstance(result.done, ChunkDone):
            chunking.was_encoded(session, item, attempt, result.done)
        elif isinstance(result.done, DeliverDone):
            self._delivered(session, item, attempt, result.done)
        if item.state.is_end and not is_arrival(item):  # the store need not keep a copy of what lies where it was found
            session.info.setdefault("spent", []).append(source_key(item))
        log.info("result_recorded", order=result.order_id, item=result.item_id, failed=result.failure is not None)

    def _is_proof(self, session: Session, result: WorkResult) -> bool:
        """Record an archive's answer about many deliveries; False: it is about one item."""
        attempt = session.get(Attempt, result.order_id)
        if attempt is None or attempt.kind not in commitment.KINDS or attempt.state not in OPEN:
            return False
        rows = commitment.locked(session, commitment.covered(attempt))
        transaction_uid = attempt.order.get("transaction_uid", "")
        self._close(attempt, result)
        commitment.answered(
            session,
            attempt,
            result,
            rows,
            transaction_uid=transaction_uid,
            patience=self._patience,
            max_attempts=self._max_attempts,
        )
        log.info("result_recorded", order=result.order_id, deliveries=len(rows), failed=result.failure is not None)
        return True

    def _open_item(self, session: Session, result: WorkResult) -> Item | None:
        """Close the result's attempt; its locked item, or None when the attempt is over or nobody wants its result now."""
        attempt = session.get(Attempt, result.order_id)
        if attempt is None or attempt.state not in OPEN:
            return None
        self._close(attempt, result)
        item = session.get_one(Item, attempt.item_id)
        return None if item.state.is_end else item

    def _close(self, attempt: Attempt, result: WorkResult) -> None:
        attempt.state = "failed" if result.failure else "done"
        attempt.ended_at = now()
        attempt.worker = result.worker
        attempt.seconds = result.seconds
        attempt.failure = result.failure.model_dump(mode="json") if result.failure else None

    def _described(self, session: Session, item: Item, description: Description, *, twins: bool) -> None:
        description = self._with_header(session.get_one(Job, item.job_id), item, description)
        item.description = description.model_dump(mode="json")
        if item.retrieval is not None:  # the archive did not say how large it is
            item.size_bytes = description.size_bytes
        item.digest = description.digest
        move(item, State.DESCRIBED)
        twin = _twin(session, item, header_counts=description.dicom is None) if twins else None
        if twin is not None:
            move(item, State.SKIPPED, f"the same bytes as {twin.name}")
            return
        self._plan(session, item, description, rung=0)

    def _with_header(self, job: Job, item: Item, description: Description) -> Description:
        """Which rules fit the header that was supplied for plain video: the worker has not seen it."""
        patterns = patterns_of(job) if description.dicom is None and item.header_key is not None else ()
        if not patterns or item.header_key is None:
            return description
        return by_header(description, patterns, Dataset.from_json(self._store.get(item.header_key).decode()))

    def _plan(
        self,
        session: Session,
        item: Item,
        description: Description,
        *,
        rung: int,
        fallback: str = "",
        uncut: str = "",
    ) -> None:
        job = session.get_one(Job, item.job_id)
        try:
            hints = item.supplied or {}
            if description.dicom is None and item.header_key is None:
                if "failure" in hints:  # what the worklist said
                    fail(item, Failure.model_validate(hints["failure"]))
                    return
                raise missing_metadata(None)
            profile = self._ruled(session, item, description)
            made = plan(
                description,
                profile,
                destinations_of(session, job),
                audio=Audio(job.audio),
                rung=rung,
                modality=hints.get("modality", ""),
                requested_class=hints.get("sop_class"),
                queues=self._queues() if profile.hardware is Hardware.ALLOWED else (),
                fallback=fallback,
                uncut=uncut,
            )
        except CinefarmError as error:
            fail(item, Failure.of(error))
            return
        except Exception as error:  # a bug in a rule costs this item, not the farm
            log.exception("planning_broke", item=item.id)
            fail(item, Failure.of(InternalFault(f"planning broke with {type(error).__name__}")))
            return
        item.plan = coerced(made, description, coercion(job.identifiers_key, now())).model_dump(mode="json")
        item.attempts = 0
        move(item, State.PLANNED, item.plan["reason"])

    def _ruled(self, session: Session, item: Item, description: Description) -> Profile:
        """The item's profile, or that of the first of its job's rules that fits."""
        hints = item.supplied or {}
        profile = self._profile(session.get_one(Job, item.job_id), item)
        return by_rules(profile, description, hints.get("modality", ""), hints.get("sop_class"))

    def _profile(self, job: Job, item: Item) -> Profile:
        """Read once a job: thousands of items follow each other."""
        if item.profile is not None:
            return profile_of(item, job)
        if self._last_profile is None or self._last_profile[0] != job.id:
            self._last_profile = job.id, Profile.model_validate(job.profile)
        return self._last_profile[1]

    def _transcoded(self, session: Session, item: Item, made: TranscodeDone) -> None:
        item.result = made.model_dump(mode="json")
        done = Plan.model_validate(item.plan)
        broken = [finding for finding in made.findings if finding.severity == "error"]
        if broken:
            move(
                item,
                State.QUARANTINED,
                f"not conforming: {broken[0].found}, required {broken[0].required} ({broken[0].clause})",
            )
        elif done.lets_out(made.verdict):
            self._produced(session, item)
        elif done.rung + 1 < done.rungs:
            move(item, State.PLANNED)
            self._replan(session, item, done, made)
        else:
            move(item, State.QUARANTINED, "gate not met: " + "; ".join(made.verdict.misses))
        item.cause = cause_of(made) if item.state is State.QUARANTINED else None

    def _replan(self, session: Session, item: Item, done: Plan, made: TranscodeDone) -> None:
        description = Description.model_validate(item.description)
        item.state = State.DESCRIBED
        rung = finer_rung(self._ruled(session, item, description), done, made.quality_number)
        self._plan(session, item, description, rung=rung, fallback=done.fallback, uncut=done.uncut)
        item.reason += f" (rung {done.rung + 1} of {done.rungs} missed the gate: {'; '.join(made.verdict.misses)})"

    def _produced(self, session: Session, item: Item) -> None:
        new = deliveries.begin(item, session.get_one(Job, item.job_id), _deliveries(session, item))
        session.info["deliveries"][item.id].extend(new)
        viewable.note(session, item, TranscodeDone.model_validate(item.result))
        session.add_all(new)
        item.attempts = 0
        move(item, State.PRODUCED, Plan.model_validate(item.plan).reason if not item.reason else item.reason)

    def _delivered(self, session: Session, item: Item, attempt: Attempt, done: DeliverDone) -> None:
        deliveries.arrive(session, session.get_one(Delivery, attempt.delivery_id), done, self._patience, now())
        deliveries.settle(session, item, _deliveries(session, item))

    def _failed(self, session: Session, item: Item, attempt: Attempt, failure: Failure) -> None:
        if failure.code == "NotVideo":
            move(item, State.SKIPPED, failure.message)
            return
        if failure.code == HardwareFailed.__name__ and attempt.kind == "transcode":
            self.fall_back(session, item, failure.message)
            return
        if failure.code == Uncuttable.__name__ and _is_copied(item):
            self._code_anew(session, item, failure.message)
            return
        wait = breaker.failed(session, item, attempt, failure, self._max_attempts, now())
        if attempt.kind == "deliver":
            self._delivery_failed(session, item, attempt, failure, wait)
        elif chunking.failed(session, item, attempt, failure, wait, self._store):
            return
        elif wait is None:
            fail(item, failure)
        else:
            retry_later(item, wait)

    def fall_back(self, session: Session, item: Item, why: str) -> None:
        """Plan an item whose device failed or went away for the CPU, on the same rung; it never goes to a device again."""
        log.warning("fell_back_to_cpu", item=item.id, why=why)
        given = Plan.model_validate(item.plan)
        description = Description.model_validate(item.description)
        item.state = State.DESCRIBED
        self._plan(session, item, description, rung=given.rung, fallback=why, uncut=given.uncut)

    def _code_anew(self, session: Session, item: Item, why: str) -> None:
        """Plan an item to be encoded whose bitstream could not be cut into parts as it is."""
        log.warning("bitstream_not_cut", item=item.id)
        item.state = State.DESCRIBED
        self._plan(session, item, Description.model_validate(item.description), rung=0, uncut=why)

    def _delivery_failed(
        self, session: Session, item: Item, attempt: Attempt, failure: Failure, wait: float | None
    ) -> None:
        delivery = session.get_one(Delivery, attempt.delivery_id)
        made = TranscodeDone.model_validate(item.result)
        if any(self._store.size(part.instance_key) is None for part in made.instances):
            delivery.state = "pending"
            move(item, State.PLANNED, "the stored instance was lost before it was delivered: it is made again")
            return
        delivery.failure = failure.model_dump(mode="json")
        if wait is None:
            delivery.state = "failed"
            deliveries.settle(session, item, _deliveries(session, item))
            return
        delivery.state = "pending"
        delivery.not_before = now() + timedelta(seconds=wait)


def _lock(session: Session, results: Sequence[WorkResult]) -> list[Base]:
    """All attempts and items of some results, locked in two statements, always in the same order; their jobs and destinations."""
    ids = [result.order_id for result in results]
    wanted = select(Attempt).where(Attempt.order_id.in_(ids)).order_by(Attempt.order_id)
    attempts = session.scalars(wanted.options(defer(Attempt.order)).with_for_update()).all()
    wanted_items = select(Item).where(Item.id.in_({attempt.item_id for attempt in attempts})).order_by(Item.id)
    items = session.scalars(wanted_items.with_for_update(key_share=True)).all()
    jobs = session.scalars(select(Job).where(Job.id.in_({item.job_id for item in items})))
    session.info["deliveries"] = of_item = defaultdict(list)
    wanted_deliveries = select(Delivery).where(Delivery.item_id.in_([item.id for item in items]))
    for delivery in session.scalars(wanted_deliveries.order_by(Delivery.id)):
        of_item[delivery.item_id].append(delivery)
    places = {delivery.destination for some in of_item.values() for delivery in some}
    destinations = session.scalars(select(Destination).where(Destination.uri.in_(places))) if places else ()
    return [*attempts, *items, *jobs, *destinations]


def _shared_digests(session: Session, results: Sequence[WorkResult]) -> set[str]:
    """Digests of some descriptions that an item has already, or that come twice: only with these a twin is looked for."""
    digests = Counter(result.done.description.digest for result in results if isinstance(result.done, DescribeDone))
    lock_all(session, (f"twin:{digest}" for digest in digests))  # of two copies described at once, one goes on
    known = session.scalars(select(Item.digest).where(Item.digest.in_(digests))) if digests else ()
    return {*(digest for digest in known if digest), *(digest for digest, count in digests.items() if count > 1)}


def _deliveries(session: Session, item: Item) -> list[Delivery]:
    """Those of an item that ``_lock`` has read."""
    return list(session.info["deliveries"][item.id])


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


def _is_copied(item: Item) -> bool:
    """True when the item's bitstream was to be taken over as it is."""
    return item.plan is not None and item.plan["path"] in (Path.REWRAP, Path.REAUDIO)
