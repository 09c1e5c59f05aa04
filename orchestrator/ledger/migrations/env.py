"""Alembic's entry: migrations run on the connection that ``open_ledger`` hands over."""

from __future__ import annotations

from alembic import context

from orchestrator.ledger.schema import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite cannot alter columns in place
)
with context.begin_transaction():
    context.run_migrations()
