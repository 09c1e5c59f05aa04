"""Open the ledger: engine, pragmas, migrations, sessions."""

from __future__ import annotations

from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.orm import Session, sessionmaker

Sessions = sessionmaker[Session]

MIGRATIONS = Path(__file__).parent / "migrations"


def open_ledger(url: str) -> Sessions:
    """Connect, bring the schema to the newest version, and return the maker of sessions.

    Sessions are used as ``with ledger.begin() as session``: committed at the end, rolled back on an exception.
    """
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_immediate)
    migrate(engine)
    return sessionmaker(engine, expire_on_commit=False)


def migrate(engine: Engine) -> None:
    """Run every migration that this ledger has not seen."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _configure_sqlite(connection: SqliteConnection, _record: Any) -> None:
    # WAL: readers never wait for the writer. NORMAL: a power cut may cost the last commits, never the file;
    # what they said is found again, since the same order has the same result.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=30000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: Any) -> None:
    # taking the write lock at the start avoids the deadlock of two readers that both want to write
    connection.exec_driver_sql("BEGIN IMMEDIATE")
