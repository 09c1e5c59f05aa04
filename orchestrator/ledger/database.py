"""Open the ledger: engine, pool, pragmas, migrations, sessions."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, InterfaceError, NoSuchModuleError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from common.errors import PolicyError
from common.logs import logger
from orchestrator.ledger.compatibility import is_newer
from orchestrator.ledger.locks import lock_transaction

log = logger(__name__)

Result = TypeVar("Result")

Sessions = sessionmaker[Session]

LedgerAway = (OperationalError, InterfaceError)
"""The ledger cannot be reached, or asks for another try (deadlock, serialization, a locked SQLite file): wait, try again."""

MIGRATIONS = Path(__file__).parent / "migrations"

POOL_SIZE = 5
"""Connections kept per orchestrator: loop, lister, leader and two to spare. PostgreSQL allows 100 by default."""

_POSTGRES_OPTIONS = " ".join(
    (
        "-c idle_in_transaction_session_timeout=60s",  # a replica that was stopped in mid-transaction frees its locks
        "-c lock_timeout=30s",  # as long as SQLite's busy_timeout
        "-c timezone=UTC",
    )
)


def open_ledger(url: str, *, durable: bool = False) -> Sessions:
    """Connect, bring the schema to the newest version, and return the maker of sessions.

    Sessions are used as ``with ledger.begin() as session``: committed at the end, rolled back on an exception. On PostgreSQL
    they run at READ COMMITTED: every statement sees what others have committed, and rows that are read in order to be changed
    are locked (FOR UPDATE). ``durable``: a commit outlasts a power cut on SQLite too, where it else may not.

    ``url`` is ``sqlite:///path`` or ``postgresql+psycopg://user:password@host/database``; a server that is shared takes a schema
    of its own with ``?options=-csearch_path%3Dcinefarm``.

    Raises:
        PolicyError: the URL is not understood.
        sqlalchemy.exc.OperationalError: the server does not answer (``LedgerAway``).
    """
    engine = make_engine(url)
    if durable and engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _sync_commits)
    migrate(engine)
    return sessionmaker(engine, expire_on_commit=False)


def reader_of(ledger: Sessions) -> Sessions:
    """Sessions on the same ledger that only read: on SQLite they take no write lock, and so wait for nobody."""
    engine: Engine = ledger.kw["bind"]
    if engine.dialect.name != "sqlite":
        return ledger
    reader = create_engine(engine.url, hide_parameters=True)
    event.listen(reader, "connect", _configure_sqlite)
    event.listen(reader, "connect", _only_read)
    event.listen(reader, "begin", _begin_deferred)
    return sessionmaker(reader, expire_on_commit=False)


def in_transaction(ledger: Sessions, work: Callable[[Session], Result], *, tries: int = 3) -> Result:
    """Run ``work`` in a transaction, and again when it lost a deadlock or its connection broke. ``work`` must bear that.

    Raises:
        sqlalchemy.exc.OperationalError: the last try failed too.
    """
    for _ in range(tries - 1):
        try:
            with ledger.begin() as session:
                return work(session)
        except LedgerAway as error:
            log.warning("transaction_tried_again", error=type(error).__name__)
            time.sleep(0.2)
    with ledger.begin() as session:
        return work(session)


def make_engine(url: str) -> Engine:
    """The engine for a URL, connected to nothing yet.

    Raises:
        PolicyError: the URL is not understood; the message does not show it, it may hold a password.
    """
    hint = "Write sqlite:///path or postgresql+psycopg://user:password@host/database."
    try:
        parsed = make_url(url)
        if parsed.drivername in ("postgresql", "postgres"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        backend = parsed.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise PolicyError("the ledger's URL is not understood", hint=hint) from error
    if backend == "sqlite":
        engine = create_engine(parsed, hide_parameters=True)
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_immediate)
        return engine
    if backend != "postgresql":
        raise PolicyError(f"a ledger on {backend} is not supported", hint=hint)
    return create_engine(
        parsed,
        hide_parameters=True,  # errors are logged, and values may be patients'
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,  # a server that was restarted costs a reconnect, not an error
        pool_size=POOL_SIZE,
        max_overflow=POOL_SIZE,
        pool_recycle=1800,  # firewalls forget idle connections
        connect_args={
            "connect_timeout": 5,
            "application_name": "cinefarm",
            "keepalives_idle": 15,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "options": " ".join((*_own_options(parsed), _POSTGRES_OPTIONS)),
        },
    )


def _own_options(url: URL) -> tuple[str, ...]:
    """What a URL asks of the session itself (``?options=-csearch_path%3Dcinefarm``: a schema of its own)."""
    asked = url.query.get("options", ())
    return (asked,) if isinstance(asked, str) else asked


def migrate(engine: Engine) -> None:
    """Run every migration that this ledger has not seen; of several replicas that start together, one does.

    Raises:
        PolicyError: a newer release migrated it, and does not let this one work on it (orchestrator.ledger.compatibility).
    """
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with engine.begin() as connection:
        lock_transaction(connection, "migrate")
        config.attributes["connection"] = connection
        if not is_newer(connection, config):
            command.upgrade(config, "head")


def _configure_sqlite(connection: SqliteConnection, _record: Any) -> None:
    # WAL: readers never wait for the writer. NORMAL: a power cut may cost the last commits, never the file;
    # what they said is found again, since the same order has the same result.
    connection.isolation_level = None
    # busy_timeout first: several processes may turn a new file to WAL at the same moment
    for pragma in ("busy_timeout=30000", "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", CACHE):
        connection.execute(f"PRAGMA {pragma}")


def _sync_commits(connection: SqliteConnection, _record: Any) -> None:
    connection.execute("PRAGMA synchronous=FULL")


CACHE = "cache_size=-16384"
"""KiB: the inner pages of all indexes of a million items stay in memory, and a look-up reads one page. SQLite's own 2 MB are too few."""


def _only_read(connection: SqliteConnection, _record: Any) -> None:
    connection.execute("PRAGMA query_only=ON")


def _begin_deferred(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN")


def _begin_immediate(connection: Any) -> None:
    # taking the write lock at the start avoids the deadlock of two readers that both want to write
    connection.exec_driver_sql("BEGIN IMMEDIATE")
