"""What archives answer when they are asked to prove what they took, written into the ledger (docs/commitment.md).

All state lies in the ledger: a delivery that is *delivered* is asked about when ``not_before`` comes, until ``delivered_at`` plus
the farm's patience; ``commitments`` holds every request, ``commitment_deliveries`` the deliveries that its report would prove.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.errors import NotAnswered, NotProven
from common.logs import logger
from common.orders import (
    CommitDone,
    CommitReport,
    Different,
    Failure,
    TranscodeDone,
    Uncommitted,
    VerifyDone,
    WorkResult,
)
from common.stages import State
from common.store import ObjectStore
from orchestrator import breaker, viewable
from orchestrator.deliveries import acceptance_of, give_up, go_on, prove, send_again, settle
from orchestrator.ledger.database import Sessions, in_transaction
from orchestrator.ledger.schema import Asked, Attempt, Commitment, Delivery, Destination, Item, now
from orchestrator.proof import LOOKS, REASONS, RESENDS, Patience, Step, Verdict, verdict, wait
from orchestrator.work import is_arrival, source_key

log = logger(__name__)

KINDS = tuple(step.value for step in Step)
"""Orders that ask archives; each covers many deliveries."""

ASKABLE = (State.PRODUCED, State.DELIVERED)
"""Items whose deliveries are asked about: one destination proves what it has while another is still away."""


def covered(attempt: Attempt) -> list[int]:
    """The deliveries that an open attempt asks about; none once it is closed."""
    return sorted({each["delivery"] for each in attempt.order.get("instances", ())}) if attempt.kind in KINDS else []


def answered(
    session: Session,
    attempt: Attempt,
    result: WorkResult,
    rows: Sequence[tuple[Item, Delivery]],
    *,
    transaction_uid: str,
    patience: Patience,
    max_attempts: int,
) -> None:
    """Record an answer about deliveries (``rows``, their items locked), those that wait for no proof any more left out."""
    waiting = [(item, delivery) for item, delivery in rows if delivery.state == "delivered"]
    moment = now()
    if result.failure is not None:
        _failed(session, attempt, result.failure, waiting, max_attempts, moment)
        return
    if rows:
        breaker.answered(session, rows[0][0], attempt, moment)
    if isinstance(result.done, CommitDone):
        _asked(session, result.done, waiting, transaction_uid, patience, moment)
    elif isinstance(result.done, VerifyDone):
        _looked(session, result.done, waiting, moment)


def record_report(
    ledger: Sessions,
    transaction_uid: str,
    committed: Sequence[str],
    failed: Sequence[tuple[str, int]],
    store: ObjectStore | None = None,
    *,
    keeping: viewable.Keeping = viewable.AT_ONCE,
) -> bool:
    """Keep an archive's report (N-EVENT-REPORT), whenever it comes and however often. False: nobody asked for this transaction.

    ``failed``: pairs of SOP Instance UID and Failure Reason. With ``store`` instances that nothing waits for any more are deleted
    from it, unless ``keeping`` says that they stay for a while; else the reconciler does that.

    Raises:
        sqlalchemy.exc.DBAPIError: the ledger is away; nothing was written.
    """
    report = CommitReport(
        transaction_uid=transaction_uid,
        committed=tuple(committed),
        failed=tuple(Uncommitted(sop_instance_uid=uid, reason=reason) for uid, reason in failed),
    )

    def record(session: Session) -> list[str] | None:
        asked = session.scalars(select(Commitment).where(Commitment.transaction_uid == transaction_uid)).first()
        if asked is None:
            return None
        links = select(Asked.delivery_id).where(Asked.commitment_id == asked.id)
        _report(session, asked, report, locked(session, session.scalars(links)), now())
        if store is None:
            return []
        spent = keeping.unwanted(session.info.pop("spent", ()), store)
        viewable.forget(session, spent)
        return spent

    spent = in_transaction(ledger, record)
    if spent is None:
        return False
    if store is not None:
        for key in spent:
            store.delete(key)
    log.info("commitment_reported", transaction=transaction_uid, committed=len(committed), failed=len(failed))
    return True


def keeper(
    ledger: Sessions, store: ObjectStore | None = None, *, keeping: viewable.Keeping = viewable.AT_ONCE
) -> Callable[[CommitReport], bool]:
    """``record_report`` for whoever receives reports (common.network.commitment.Record)."""

    def keep(report: CommitReport) -> bool:
        failed = [(one.sop_instance_uid, one.reason) for one in report.failed]
        return record_report(ledger, report.transaction_uid, report.committed, failed, store, keeping=keeping)

    return keep


def locked(session: Session, delivery_ids: Iterable[int]) -> list[tuple[Item, Delivery]]:
    """Deliveries with their items, locked in the order that all keep: items, then deliveries."""
    ids = list(delivery_ids)
    of_them = select(Delivery.item_id).where(Delivery.id.in_(ids))
    wanted = select(Item).where(Item.id.in_(of_them)).order_by(Item.id).with_for_update(key_share=True)
    items = {item.id: item for item in session.scalars(wanted)}
    rows = select(Delivery).where(Delivery.id.in_(ids)).order_by(Delivery.id).with_for_update(key_share=True)
    return [(items[delivery.item_id], delivery) for delivery in session.scalars(rows)]


def lost(session: Session, delivery_ids: Sequence[int], failure: Failure | None, most: int | None) -> None:
    """The worker that asked is gone: ask again at once; a late report still counts.

    ``most``: tries after which a delivery is given up with ``failure``, since reading it may be what kills workers. None: nobody
    is to blame.
    """
    rows = [(item, delivery) for item, delivery in locked(session, delivery_ids) if delivery.state == "delivered"]
    for _, delivery in rows:
        delivery.not_before = now()
        if failure is None or most is None:
            delivery.attempts = max(0, delivery.attempts - 1)
        elif delivery.attempts >= most:
            give_up(delivery, failure)
    settle_all(session, [item for item, _ in rows])


def ask_again(ledger: Sessions, job_id: str) -> None:
    """Ask about all deliveries of a job that wait, now: while nobody listened, reports may have been lost."""
    with ledger.begin() as session:
        waiting = select(Delivery).where(Delivery.job_id == job_id, Delivery.state == "delivered")
        for delivery in session.scalars(waiting.with_for_update(key_share=True)):
            delivery.not_before = now()


def expire(delivery: Delivery, patience: Patience) -> None:
    """Nothing has proven it in all the time that archives are given."""
    hours = patience.whole.total_seconds() / 3600
    hint = (
        "Check that the archive knows our AE title with the host and the port that we listen on (CINEFARM_LISTEN_PORT); then "
        "run `cinefarm retry` for this job, or state 'commitment=no' for this destination."
    )
    fault = NotProven(f"the archive took the object {hours:.0f} h ago and has never proven that it keeps it", hint=hint)
    give_up(delivery, Failure.of(fault))


def settle_all(session: Session, items: Iterable[Item]) -> None:
    """Move items as far as their deliveries have come."""
    by_id = {item.id: item for item in items if item.state in ASKABLE}
    session.flush()
    deliveries = select(Delivery).where(Delivery.item_id.in_(by_id)).order_by(Delivery.id)
    of_item: dict[str, list[Delivery]] = {item_id: [] for item_id in by_id}
    for delivery in session.scalars(deliveries):
        of_item[delivery.item_id].append(delivery)
    for item_id in sorted(by_id):
        item = by_id[item_id]
        settle(session, item, of_item[item_id])
        if item.state.is_end and not is_arrival(item):
            session.info.setdefault("spent", []).append(source_key(item))


def _asked(
    session: Session,
    done: CommitDone,
    waiting: Sequence[tuple[Item, Delivery]],
    transaction_uid: str,
    patience: Patience,
    moment: datetime,
) -> None:
    asked = session.scalars(select(Commitment).where(Commitment.transaction_uid == transaction_uid)).one()
    if done.refused:
        asked.state, asked.answered_at = "refused", moment
        _refused(session, done.refused, waiting, moment)
        settle_all(session, [item for item, _ in waiting])
        return
    asked.state = "accepted" if asked.state == "asked" else asked.state
    for _, delivery in waiting:
        delivery.not_before = min(moment + patience.again, patience.deadline(delivery, moment))
        if done.report is None and not patience.listens and _may_do_without(session, delivery):
            words = f"commitment asked for, no report (transaction {transaction_uid})"
            _without(session, delivery, words, moment)  # it came not at once, and nobody listens for a later one
    if done.report is not None:
        _report(session, asked, done.report, waiting, moment)
    settle_all(session, [item for item, _ in waiting])


def _refused(session: Session, why: str, waiting: Sequence[tuple[Item, Delivery]], moment: datetime) -> None:
    for _, delivery in waiting:
        if _may_do_without(session, delivery):
            if (row := session.get(Destination, delivery.destination)) is not None:
                row.commits_not_since = moment
            _without(session, delivery, f"no commitment: {why}", moment)
        else:
            hint = "State 'commitment=no' or 'commitment=unknown' for this destination, or enable it in the archive."
            give_up(delivery, Failure.of(NotProven(f"the archive does not commit: {why}", hint=hint)))


def _may_do_without(session: Session, delivery: Delivery) -> bool:
    return acceptance_of(session, delivery).commitment == "unknown"


def _without(session: Session, delivery: Delivery, words: str, moment: datetime) -> None:
    """This one is proven in another way."""
    delivery.uncommitted = True
    go_on(session, delivery, words, moment)


def _report(
    session: Session,
    asked: Commitment,
    report: CommitReport,
    rows: Sequence[tuple[Item, Delivery]],
    moment: datetime,
) -> None:
    """Apply a report to the deliveries that wait for it. What was sent again since has left this transaction already."""
    asked.state, asked.answered_at = "answered", asked.answered_at or moment
    committed = set(report.committed)
    reasons = {one.sop_instance_uid: one.reason for one in report.failed}
    for item, delivery in rows:
        if delivery.state != "delivered":
            continue
        uids = [part.sop_instance_uid for part in TranscodeDone.model_validate(item.result).instances]
        failed = {uid: reasons[uid] for uid in uids if uid in reasons}
        if failed:
            _uncommitted(session, delivery, uids, failed, moment)
        elif committed.issuperset(uids):
            prove(delivery, f"committed {moment:%Y-%m-%d %H:%M} UTC, transaction {asked.transaction_uid}")
    settle_all(session, [item for item, _ in rows])


def _uncommitted(
    session: Session, delivery: Delivery, uids: Sequence[str], failed: dict[str, int], moment: datetime
) -> None:
    """The worst of the reasons decides."""
    verdicts = {uid: verdict(reason) for uid, reason in failed.items()}
    words = ", ".join(
        sorted({f"{REASONS.get(reason, 'no known reason')} ({reason:04X})" for reason in failed.values()})
    )
    fault = NotProven(f"the archive does not commit: {words}", hint="The archive's own log tells why.")
    delivery.failure = Failure.of(fault).model_dump(mode="json")
    if Verdict.FAIL in verdicts.values():
        give_up(delivery, Failure.of(fault))
    elif Verdict.RESEND in verdicts.values():
        lacking = [uid for uid in uids if verdicts.get(uid) is Verdict.RESEND]
        _lost(session, delivery, lacking if len(lacking) < len(uids) else None, fault, moment)
    elif Verdict.WITHOUT in verdicts.values():
        if _may_do_without(session, delivery):
            _without(session, delivery, f"no commitment: {words}", moment)
        else:
            give_up(delivery, Failure.of(fault))
    else:
        delivery.not_before = moment + wait(delivery.attempts)


def _lost(
    session: Session, delivery: Delivery, lacking: Sequence[str] | None, fault: NotProven, moment: datetime
) -> None:
    if delivery.resent >= RESENDS:
        give_up(delivery, Failure.of(fault))
        return
    log.warning("sent_again", item=delivery.item_id, delivery=delivery.id, resent=delivery.resent + 1)
    send_again(session, delivery, lacking, moment)


def _looked(session: Session, done: VerifyDone, waiting: Sequence[tuple[Item, Delivery]], moment: datetime) -> None:
    found, missing = set(done.found), set(done.missing)
    different = {one.sop_instance_uid: one for one in done.different}
    for item, delivery in waiting:
        uids = [part.sop_instance_uid for part in TranscodeDone.model_validate(item.result).instances]
        if done.unable:
            _unable(session, delivery, done.unable, moment)
        elif changed := [different[uid] for uid in uids if uid in different]:
            give_up(delivery, Failure.of(_other(changed)))
        elif lacking := [uid for uid in uids if uid in missing]:
            _absent(session, delivery, lacking if len(lacking) < len(uids) else None, moment)
        elif found.issuperset(uids):
            if done.read:
                delivery.read_back = True
                go_on(session, delivery, done.proof, moment)
            else:
                prove(delivery, done.proof)
    settle_all(session, [item for item, _ in waiting])


def _absent(session: Session, delivery: Delivery, lacking: Sequence[str] | None, moment: datetime) -> None:
    if delivery.attempts < LOOKS:
        delivery.not_before = moment + wait(delivery.attempts)
        return
    fault = NotProven(
        "the archive took the object and does not find it", hint="The archive's own log tells what became of it."
    )
    delivery.failure = Failure.of(fault).model_dump(mode="json")
    _lost(session, delivery, lacking, fault, moment)


def _other(changed: Sequence[Different]) -> NotProven:
    words = "; ".join(dict.fromkeys(one.words for one in changed))
    hint = "Compare the archive's object with ours. Ours is kept until this item is retried or cancelled."
    return NotProven(f"the archive gives back another object than it was sent: {words}", hint=hint)


def _unable(session: Session, delivery: Delivery, why: str, moment: datetime) -> None:
    """It cannot be asked. Where nobody stated that it must, the answer to C-STORE stands, and the proof says so."""
    if _may_be_believed(session, delivery):
        delivery.read_back = True
        go_on(session, delivery, f"not verified: {why}", moment)
        return
    hint = "State 'verify=none' for this destination, should the archive's answer to C-STORE be enough."
    give_up(delivery, Failure.of(NotProven(f"the archive cannot be asked what it holds: {why}", hint=hint)))


def _may_be_believed(session: Session, delivery: Delivery) -> bool:
    """Nobody stated that its archive must show what it holds."""
    return acceptance_of(session, delivery).verify in ("unknown", "none")


def _failed(
    session: Session,
    attempt: Attempt,
    failure: Failure,
    waiting: Sequence[tuple[Item, Delivery]],
    max_attempts: int,
    moment: datetime,
) -> None:
    """It could not be asked. What may pass is tried until the patience of the whole ends.

    An archive that nobody stated to commit is then verified in another way: some break the connection at such a request.
    """
    if not waiting:
        return
    again = breaker.failed(session, waiting[0][0], attempt, failure, max_attempts, moment)
    for _, delivery in waiting:
        delivery.failure = failure.model_dump(mode="json")
        if not failure.retryable:
            give_up(delivery, failure)
        elif failure.code == NotAnswered.__name__ and delivery.attempts >= LOOKS:
            _never_answers(session, attempt, delivery, failure, moment)
        else:
            delivery.not_before = moment + wait(delivery.attempts)
    log.warning("archive_not_asked", order=attempt.order_id, code=failure.code, again=again)
    settle_all(session, [item for item, _ in waiting])


def _never_answers(session: Session, attempt: Attempt, delivery: Delivery, failure: Failure, moment: datetime) -> None:
    """It takes our associations and breaks off at every such question: where nobody stated that it must answer, it need not."""
    if attempt.kind == Step.COMMIT and _may_do_without(session, delivery):
        _without(session, delivery, f"no commitment: {failure.message}", moment)
    elif attempt.kind != Step.COMMIT and _may_be_believed(session, delivery):
        _unable(session, delivery, failure.message, moment)
    else:
        delivery.not_before = moment + wait(delivery.attempts)
