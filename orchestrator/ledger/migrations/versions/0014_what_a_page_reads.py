"""What a page of a million items reads: tallies by queue and cause, indexes of lists, decisions about single items."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_KEY = "job_id, state, queue, cause, shard"
_SUMS = "items, bytes, seconds, made_bytes"


def _sqlite_change(row: str, sign: str) -> str:
    return f"""INSERT INTO tallies ({_KEY}, {_SUMS}) VALUES ({row}.job_id, {row}.state, {row}.queue, coalesce({row}.cause, ''), 0,
        {sign}1, {sign}{row}.size_bytes, {sign}{row}.estimated_seconds, {sign}{row}.made_bytes)
        ON CONFLICT ({_KEY}) DO UPDATE SET items = items + excluded.items, bytes = bytes + excluded.bytes,
        seconds = seconds + excluded.seconds, made_bytes = made_bytes + excluded.made_bytes;"""  # noqa: S608 constants


ADD, TAKE = _sqlite_change("NEW", ""), _sqlite_change("OLD", "-")
SQLITE = (
    f"CREATE TRIGGER items_inserted AFTER INSERT ON items BEGIN {ADD} END",
    "CREATE TRIGGER items_updated AFTER UPDATE OF state, size_bytes, queue, cause, estimated_seconds, made_bytes ON items "
    f"BEGIN {TAKE} {ADD} END",
    f"CREATE TRIGGER items_deleted AFTER DELETE ON items WHEN EXISTS (SELECT 1 FROM jobs WHERE id = OLD.job_id) BEGIN {TAKE} END",  # noqa: S608 constants
)


def _postgresql_change(rows: str, sign: str, where: str = "") -> str:
    return f"""INSERT INTO tallies ({_KEY}, {_SUMS})
            SELECT job_id, state, queue, coalesce(cause, ''), pg_backend_pid() % 4096,
                {sign}count(*), {sign}sum(size_bytes), {sign}sum(estimated_seconds), {sign}sum(made_bytes)
            FROM {rows} {where} GROUP BY job_id, state, queue, coalesce(cause, '')
            ON CONFLICT ({_KEY}) DO UPDATE SET items = tallies.items + excluded.items, bytes = tallies.bytes + excluded.bytes,
                seconds = tallies.seconds + excluded.seconds, made_bytes = tallies.made_bytes + excluded.made_bytes;"""  # noqa: S608


COUNT = f"""
CREATE OR REPLACE FUNCTION count_items() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        {_postgresql_change("gone", "-", "WHERE EXISTS (SELECT 1 FROM jobs WHERE jobs.id = gone.job_id)")}
    END IF;
    IF TG_OP <> 'DELETE' THEN
        {_postgresql_change("come", "")}
    END IF;
    RETURN NULL;
END $$"""  # noqa: S608 constants


def _columns() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("cause", sa.String(length=64), nullable=True),
        sa.Column("study_uid", sa.String(length=64), nullable=True),
        sa.Column("estimated_seconds", sa.Float(), nullable=False, server_default="0"),
        sa.Column("made_bytes", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("profile", sa.JSON(), nullable=True),
        sa.Column("decision", sa.String(length=32), nullable=True),
    )


def upgrade() -> None:
    """Go forward."""
    sqlite = op.get_bind().dialect.name == "sqlite"
    for name in ("items_inserted", "items_updated", "items_deleted"):
        op.execute(f"DROP TRIGGER {name}" + ("" if sqlite else " ON items"))
    for column in _columns():
        op.add_column("items", column)
    _fill(sqlite=sqlite)
    for name in ("cause", "study_uid"):
        where = sa.text(f"{name} IS NOT NULL")
        columns = ["cause", "job_id", "number"] if name == "cause" else ["job_id", "study_uid", "state"]
        op.create_index(f"items_{name}", "items", columns, sqlite_where=where, postgresql_where=where)
    op.create_index("items_state", "items", ["job_id", "state", "number"])
    op.create_index("attempts_ended", "attempts", ["ended_at"])
    op.drop_table("tallies")
    _tallies()
    for statement in SQLITE if sqlite else (COUNT, *_POSTGRESQL_TRIGGERS):
        op.execute(statement)


_POSTGRESQL_TRIGGERS = (
    "CREATE TRIGGER items_inserted AFTER INSERT ON items REFERENCING NEW TABLE AS come "
    "FOR EACH STATEMENT EXECUTE FUNCTION count_items()",
    "CREATE TRIGGER items_updated AFTER UPDATE ON items REFERENCING OLD TABLE AS gone NEW TABLE AS come "
    "FOR EACH STATEMENT EXECUTE FUNCTION count_items()",
    "CREATE TRIGGER items_deleted AFTER DELETE ON items REFERENCING OLD TABLE AS gone "
    "FOR EACH STATEMENT EXECUTE FUNCTION count_items()",
)


def _fill(*, sqlite: bool) -> None:
    """The new columns of items that are there already, from what their JSON says."""

    def value(column: str, *path: str) -> str:
        if sqlite:
            return f"json_extract({column}, '$.{'.'.join(path)}')"
        return f"({column}::jsonb #>> '{{{','.join(path)}}}')"

    seconds, made = value("plan", "estimated_seconds"), value("result", "instance_bytes")
    study = f"coalesce(nullif({value('result', 'study_uid')}, ''), {value('description', 'dicom', 'study_uid')})"
    op.execute(
        f"UPDATE items SET estimated_seconds = coalesce(CAST({seconds} AS FLOAT), 0), "  # noqa: S608 constants
        f"made_bytes = coalesce(CAST({made} AS BIGINT), 0), study_uid = {study}, "
        f"cause = CASE state WHEN 'failed' THEN coalesce({value('failure', 'code')}, 'InternalFault') "
        "WHEN 'quarantined' THEN CASE WHEN reason LIKE 'not conforming%' THEN 'conformance' ELSE 'gate' END END"
    )


def _tallies() -> None:
    op.create_table(
        "tallies",
        sa.Column("job_id", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("queue", sa.String(length=32), nullable=False),
        sa.Column("cause", sa.String(length=64), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("items", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("made_bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "state", "queue", "cause", "shard"),
    )
    op.execute(
        f"INSERT INTO tallies ({_KEY}, {_SUMS}) SELECT job_id, state, queue, coalesce(cause, ''), 0, count(*), sum(size_bytes), "  # noqa: S608
        "sum(estimated_seconds), sum(made_bytes) FROM items GROUP BY job_id, state, queue, coalesce(cause, '')"
    )


def downgrade() -> None:
    """Go back: the tallies of 0005, made anew by the columns that it knew."""
    before = import_module("orchestrator.ledger.migrations.versions.0005_tallies")
    sqlite = op.get_bind().dialect.name == "sqlite"
    for name in ("items_inserted", "items_updated", "items_deleted"):
        op.execute(f"DROP TRIGGER {name}" + ("" if sqlite else " ON items"))
    if not sqlite:
        op.execute("DROP FUNCTION count_items()")
    op.drop_table("tallies")
    op.drop_index("attempts_ended", "attempts")
    for name in ("items_state", "items_study_uid", "items_cause", "items_number"):
        op.drop_index(name, "items")
    for column in _columns():
        op.drop_column("items", column.name)
    before.upgrade()
