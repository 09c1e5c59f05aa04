"""Items of a job are counted where they change: reading how a million of them stand costs a dozen rows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ADD = """INSERT INTO tallies (job_id, state, shard, items, bytes) VALUES (NEW.job_id, NEW.state, 0, 1, NEW.size_bytes)
    ON CONFLICT (job_id, state, shard) DO UPDATE SET items = items + 1, bytes = bytes + excluded.bytes;"""
TAKE = """INSERT INTO tallies (job_id, state, shard, items, bytes) VALUES (OLD.job_id, OLD.state, 0, -1, -OLD.size_bytes)
    ON CONFLICT (job_id, state, shard) DO UPDATE SET items = items - 1, bytes = bytes + excluded.bytes;"""
SQLITE = (
    f"CREATE TRIGGER items_inserted AFTER INSERT ON items BEGIN {ADD} END",
    f"CREATE TRIGGER items_updated AFTER UPDATE OF state, size_bytes ON items BEGIN {TAKE} {ADD} END",
    f"CREATE TRIGGER items_deleted AFTER DELETE ON items WHEN EXISTS (SELECT 1 FROM jobs WHERE id = OLD.job_id) BEGIN {TAKE} END",  # noqa: S608 constants
)

# PostgreSQL counts once a statement, not once a row: a row that is changed a thousand times in one transaction grows a chain
# of a thousand versions. Each connection adds to a shard of its own, so that replicas never wait for each other's commits.
COUNT = """
CREATE FUNCTION count_items() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO tallies (job_id, state, shard, items, bytes)
            SELECT job_id, state, pg_backend_pid() % 4096, -count(*), -sum(size_bytes) FROM gone
            WHERE EXISTS (SELECT 1 FROM jobs WHERE jobs.id = gone.job_id) GROUP BY job_id, state
            ON CONFLICT (job_id, state, shard)
            DO UPDATE SET items = tallies.items + excluded.items, bytes = tallies.bytes + excluded.bytes;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO tallies (job_id, state, shard, items, bytes)
            SELECT job_id, state, pg_backend_pid() % 4096, count(*), sum(size_bytes) FROM come GROUP BY job_id, state
            ON CONFLICT (job_id, state, shard)
            DO UPDATE SET items = tallies.items + excluded.items, bytes = tallies.bytes + excluded.bytes;
    END IF;
    RETURN NULL;
END $$"""
POSTGRESQL = (
    COUNT,
    "CREATE TRIGGER items_inserted AFTER INSERT ON items REFERENCING NEW TABLE AS come "
    "FOR EACH STATEMENT EXECUTE FUNCTION count_items()",
    "CREATE TRIGGER items_updated AFTER UPDATE ON items REFERENCING OLD TABLE AS gone NEW TABLE AS come "
    "FOR EACH STATEMENT EXECUTE FUNCTION count_items()",
    "CREATE TRIGGER items_deleted AFTER DELETE ON items REFERENCING OLD TABLE AS gone "
    "FOR EACH STATEMENT EXECUTE FUNCTION count_items()",
)


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "tallies",
        sa.Column("job_id", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("items", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "state", "shard"),
    )
    op.create_index("items_number", "items", ["job_id", "number"])
    op.execute(
        "INSERT INTO tallies (job_id, state, shard, items, bytes) "
        "SELECT job_id, state, 0, count(*), sum(size_bytes) FROM items GROUP BY job_id, state"
    )
    for statement in SQLITE if op.get_bind().dialect.name == "sqlite" else POSTGRESQL:
        op.execute(statement)


def downgrade() -> None:
    """Go back."""
    sqlite = op.get_bind().dialect.name == "sqlite"
    for name in ("items_inserted", "items_updated", "items_deleted"):
        op.execute(f"DROP TRIGGER {name}" + ("" if sqlite else " ON items"))
    if not sqlite:
        op.execute("DROP FUNCTION count_items()")
    op.drop_index("items_number", "items")
    op.drop_table("tallies")
