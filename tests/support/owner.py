"""Whoever owns the database, and can take its triggers away."""

from __future__ import annotations

from sqlalchemy import text

from orchestrator.ledger.database import Sessions


def as_owner(ledger: Sessions, table: str, statement: object) -> None:
    """As whoever owns the database may: without its triggers."""
    with ledger.begin() as session:
        if session.get_bind().dialect.name == "postgresql":
            session.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        else:
            for trigger in (f"{table}_unchanged", f"{table}_kept"):
                session.execute(text(f"DROP TRIGGER {trigger}"))
        session.execute(statement)  # type: ignore[call-overload]
