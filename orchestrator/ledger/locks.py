"""Locks that replicas share, by name. On SQLite every transaction is alone already (BEGIN IMMEDIATE), so they are free there.

PostgreSQL's advisory locks are numbers: the first eight bytes of the name's SHA-256 (docs: 13.3.5 Advisory Locks).
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable

from sqlalchemy import ARRAY, BigInteger, Connection, Engine, cast, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.sql.functions import func

from common.logs import logger

log = logger(__name__)


def lock_number(name: str) -> int:
    """The advisory lock of a name: a signed 64-bit number."""
    return int.from_bytes(hashlib.sha256(f"cinefarm:{name}".encode()).digest()[:8], "big", signed=True)


def lock_transaction(session: Session | Connection, name: str) -> None:
    """Wait until no other transaction holds ``name``; held to the end of this one."""
    if _has_advisory_locks(session):
        session.execute(select(func.pg_advisory_xact_lock(lock_number(name))))


def lock_all(session: Session, names: Iterable[str]) -> None:
    """``lock_transaction`` for many names in one statement, in an order that is the same for all transactions."""
    numbers = sorted(lock_number(name) for name in names)
    if numbers and _has_advisory_locks(session):
        each = func.unnest(cast(numbers, ARRAY(BigInteger))).column_valued("number")
        session.execute(select(func.pg_advisory_xact_lock(each)))


def try_lock_transaction(session: Session | Connection, name: str) -> bool:
    """Hold ``name`` to the end of this transaction; False when another transaction holds it."""
    if not _has_advisory_locks(session):
        return True
    return bool(session.scalar(select(func.pg_try_advisory_xact_lock(lock_number(name)))))


def _has_advisory_locks(session: Session | Connection) -> bool:
    bind = session.get_bind() if isinstance(session, Session) else session
    return bind.dialect.name == "postgresql"


class Leadership:
    """One replica leads: it sweeps, lists and reconciles. The lock is a database session's, so it dies with its process.

    A leader whose connection breaks has lost its lock; it notices at the next ``hold`` and asks again. What leaders do is
    therefore also safe under a second leader for a moment (rows are locked); the lock only saves doing everything twice.
    On SQLite the state directory's lock admits a single orchestrator, which always leads.
    """

    def __init__(self, engine: Engine, name: str = "leader") -> None:
        self._engine = engine
        self._number = lock_number(name)
        self._connection: Connection | None = None
        self._alone = engine.dialect.name != "postgresql"

    @property
    def held(self) -> bool:
        """True when the last ``hold`` said so; other threads ask here, the connection belongs to one."""
        return self._alone or self._connection is not None

    def hold(self) -> bool:
        """True while this replica leads; takes the lead when nobody has it.

        Raises:
            sqlalchemy.exc.OperationalError: the ledger is away; the lead is given up.
        """
        if self._alone:
            return True
        try:
            if self._connection is not None:
                self._connection.execute(select(1))
                return True
            return self._ask()
        except SQLAlchemyError:
            self._drop()
            raise

    def release(self) -> None:
        """Let another replica lead, at once: a session's end would free the lock a moment later."""
        if self._connection is not None:
            with contextlib.suppress(SQLAlchemyError):
                self._connection.execute(select(func.pg_advisory_unlock(self._number)))
        self._drop()

    def _drop(self) -> None:
        """The connection is closed, not pooled: the lock must go with it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()
            log.info("lead_released")

    def _ask(self) -> bool:
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            leads = bool(connection.scalar(select(func.pg_try_advisory_lock(self._number))))
        except SQLAlchemyError:
            connection.close()
            raise
        if leads:
            self._connection = connection
            log.info("lead_taken")
        else:
            connection.close()
        return leads
