"""The ledger's side of what was received. Whoever was told "stored" may delete its own copy, so nothing here is ever lost:

the row is written before the answer; equal bytes are kept once, other bytes under the same SOP Instance UID beside the first;
an object without a row, as a crash between the two leaves it, is entered again; bytes are deleted only of items that are done.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice

from sqlalchemy import select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from common.dicom.part10 import read_meta
from common.dicom.scan import Scan
from common.errors import EnvironmentFault, InputError, PolicyError
from common.logs import logger
from common.network.arrivals import PREFIX, is_expected
from common.network.reception import Arrived, StoreRequest
from common.stages import State
from common.store import ObjectStore
from orchestrator.ledger.database import Sessions, in_transaction
from orchestrator.ledger.locks import lock_transaction
from orchestrator.ledger.schema import Arrival, Item, now

log = logger(__name__)

HELD, UNMATCHED, EXPECTED, TAKEN, RELEASED = "held", "unmatched", "expected", "taken", "released"
"""States of an arrival."""

PAGE = 500
"""Keys or rows looked at in one transaction."""

_META_CLASS, _META_INSTANCE, _META_SYNTAX = 0x00020002, 0x00020003, 0x00020010
_META_START = 132 + 12  # preamble and prefix, and the element that holds the length of the rest (PS3.10 7.1)
_COPY_BYTES = 1 << 20
_EXPECTED_DAYS = 2
"""How long what a worker let an archive send is kept should nobody have taken it: the archive still has it."""


@dataclass(frozen=True)
class Custody:
    """Arrivals in one ledger and one store."""

    ledger: Sessions
    store: ObjectStore
    ae_title: str  # under which our workers ask archives to send to us

    def require_ledger(self) -> None:
        """Ask before five gigabytes are received in vain.

        Raises:
            EnvironmentFault: the ledger does not answer.
        """
        try:
            with self.ledger() as session:
                session.execute(select(Arrival.id).limit(1))
        except SQLAlchemyError as error:
            raise _away(error) from error

    def keep(self, arrived: Arrived) -> None:
        """Enter an arrival; when this returns it is in custody.

        Should the ledger fail, nobody knows whether the row was written: the object stays, and is looked at by ``recover``.

        Raises:
            EnvironmentFault: the ledger or the store does not answer.
        """
        request = arrived.request
        expected = request.move_originator == self.ae_title or is_expected(self.store, request.sop_instance_uid)

        def enter(session: Session) -> bool:
            return self._enter(session, arrived, EXPECTED if expected else HELD)

        try:
            entered = in_transaction(self.ledger, enter)
        except SQLAlchemyError as error:
            raise _away(error) from error
        if not entered:
            self.store.delete(arrived.key)
            log.info("arrival_known", arrival=arrived.id, calling=request.calling_aet)

    def recover(self, *, before: str) -> int:
        """Enter whole objects without a row, whose ids are smaller than ``before``. Returns how many there were.

        What was received and not acknowledged will be sent again, and is then known already.
        """
        recovered = 0
        for key in self._unknown_keys(before):
            try:
                arrived = _read_again(self.store, key)
            except InputError as error:  # not ours to delete
                log.error("arrival_unreadable", key=key, code=error.code)
                continue
            self.keep(arrived)
            recovered += 1
        if recovered:
            log.warning("arrivals_recovered", count=recovered)
        return recovered

    def release(self, keep_days: float) -> int:
        """Delete the bytes of arrivals whose items have been done for ``keep_days``, and of what workers have taken. Returns how many."""
        released = 0
        for page in self._pages((TAKEN, EXPECTED)):
            with self.ledger.begin() as session:
                rows = session.scalars(
                    select(Arrival)
                    .where(Arrival.id.in_(page), Arrival.state.in_((TAKEN, EXPECTED)))
                    .with_for_update(skip_locked=True)
                ).all()
                spent = [row for row in rows if self._is_spent(session, row, keep_days)]
                for row in spent:
                    row.state = RELEASED
            for row in spent:  # after the commit: a row must never promise bytes that are gone
                self.store.delete(row.key)
                log.info("arrival_released", arrival=row.id)
            released += len(spent)
        return released

    def forget(self, arrival_id: str) -> None:
        """Delete the bytes of an arrival because a person said so; its row stays, as *released*.

        Raises:
            PolicyError: there is none, or its item has not ended.
            StoreFault: the store cannot delete it; ask again.
        """
        with self.ledger.begin() as session:
            row = session.get(Arrival, arrival_id, with_for_update=True)
            if row is None:
                raise PolicyError(
                    "there is no such arrival", hint="`cinefarm arrivals --json` lists them with their ids."
                )
            item = session.get(Item, row.item_id) if row.item_id else None
            if item is not None and not item.state.is_end:
                raise PolicyError(
                    "a job works on this arrival", hint="Wait until it has ended, or cancel the job first."
                )
            row.state = RELEASED
        self.store.delete(row.key)
        log.warning("arrival_forgotten", arrival=arrival_id)

    def reconsider(self) -> None:
        """Hold again what no rule took: the rules may be others now."""
        with self.ledger.begin() as session:
            session.execute(update(Arrival).where(Arrival.state == UNMATCHED).values(state=HELD))

    def _enter(self, session: Session, arrived: Arrived, state: str) -> bool:
        """Add the row; False: a row for the same bytes, which the store still has, is there."""
        request, identity = arrived.request, arrived.identity
        lock_transaction(session, f"arrival:{identity.sop_instance_uid}")
        same = select(Arrival).where(
            Arrival.sop_instance_uid == identity.sop_instance_uid,
            Arrival.digest == arrived.digest,
            Arrival.state != RELEASED,
        )
        for known in session.scalars(same.with_for_update()):
            if not known.calling_aet:  # found in the store by ``recover``
                known.calling_aet, known.called_aet = request.calling_aet, request.called_aet
                known.state = HELD if known.state == UNMATCHED else known.state
            if state == HELD and known.state == EXPECTED:
                known.state = HELD  # an archive sent it for a worker, and now somebody leaves it to us
            if known.id == arrived.id:
                return True
            if self.store.size(known.key) != known.size_bytes:
                known.key = arrived.key  # somebody deleted it from the store; the record goes on with the new copy
                return True
            return False
        session.add(
            Arrival(
                id=arrived.id,
                key=arrived.key,
                state=state,
                sop_instance_uid=identity.sop_instance_uid,
                sop_class_uid=identity.sop_class_uid,
                study_uid=identity.study_uid,
                series_uid=identity.series_uid,
                transfer_syntax_uid=request.transfer_syntax_uid,
                modality=identity.modality[:16],
                calling_aet=request.calling_aet,
                called_aet=request.called_aet,
                size_bytes=arrived.size_bytes,
                digest=arrived.digest,
            )
        )
        return True

    def _is_spent(self, session: Session, row: Arrival, keep_days: float) -> bool:
        if row.state == EXPECTED:
            taken = not is_expected(self.store, row.sop_instance_uid)
            age = now() - row.received_at
            return age > timedelta(days=_EXPECTED_DAYS) or (taken and age > timedelta(hours=1))
        item = session.get(Item, row.item_id)
        return item is not None and item.state is State.DONE and now() - item.updated_at > timedelta(days=keep_days)

    def _unknown_keys(self, before: str) -> Iterator[str]:
        keys = (key for key in self.store.keys(PREFIX) if _arrival_id(key) < before)
        while batch := list(islice(keys, PAGE)):
            with self.ledger() as session:
                known = set(session.scalars(select(Arrival.key).where(Arrival.key.in_(batch))))
            yield from (key for key in batch if key not in known)

    def _pages(self, states: Sequence[str]) -> Iterator[list[str]]:
        last = ""
        while True:
            statement = select(Arrival.id).where(Arrival.state.in_(states), Arrival.id > last)
            with self.ledger() as session:
                ids = list(session.scalars(statement.order_by(Arrival.id).limit(PAGE)))
            if not ids:
                return
            yield ids
            last = ids[-1]


def _read_again(store: ObjectStore, key: str) -> Arrived:
    """What an object says of itself; who sent it is not known.

    Raises:
        InputError: it is no whole DICOM file.
        StoreFault: it cannot be read.
    """
    digest, size, identity = hashlib.sha256(), 0, None
    with store.open(key) as stream:
        meta = read_meta(stream)
        start = _META_START + (meta.declared_length or 0)  # of the data set
        stream.seek(0)
        request = StoreRequest(
            meta.text(_META_CLASS), meta.text(_META_INSTANCE), meta.text(_META_SYNTAX), calling_aet="", called_aet=""
        )
        scan = Scan(request.transfer_syntax_uid)
        while data := stream.read(_COPY_BYTES):
            digest.update(data)
            scan.feed(memoryview(data)[max(0, start - size) :])
            size += len(data)
            identity = identity or scan.identity
    scan.close()
    identity = identity or scan.identity
    if identity is None:
        raise InputError("the object has no data set")
    return Arrived(_arrival_id(key), key, request, identity, size, digest.hexdigest())


def _arrival_id(key: str) -> str:
    return key.rpartition("/")[2].removesuffix(".dcm")


def _away(error: SQLAlchemyError) -> EnvironmentFault:
    log.warning("ledger_away", error=type(error).__name__)
    return EnvironmentFault("the ledger does not answer", hint="Check CINEFARM_LEDGER_URL, its server and its disk.")
