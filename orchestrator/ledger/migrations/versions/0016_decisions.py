"""What people decide is on record, with their name, and the record cannot be changed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

WORDS = "the record of decisions is append-only"
SQLITE = (
    f"CREATE TRIGGER decisions_unchanged BEFORE UPDATE ON decisions BEGIN SELECT RAISE(ABORT, '{WORDS}'); END",
    f"CREATE TRIGGER decisions_kept BEFORE DELETE ON decisions BEGIN SELECT RAISE(ABORT, '{WORDS}'); END",
)
POSTGRESQL = (
    "CREATE FUNCTION refuse_decisions() RETURNS trigger LANGUAGE plpgsql AS "
    f"$$ BEGIN RAISE EXCEPTION '{WORDS}'; END $$",
    "CREATE TRIGGER decisions_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON decisions "
    "FOR EACH STATEMENT EXECUTE FUNCTION refuse_decisions()",
)


def upgrade() -> None:
    """Go forward. What was decided before has no name: there is no row for it."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "decisions",
        sa.Column("id", number, nullable=False),
        sa.Column("key", sa.String(length=32), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.String(length=128), nullable=False),
        sa.Column("what", sa.String(length=32), nullable=False),
        sa.Column("job_id", sa.String(length=32), nullable=False),
        sa.Column("item_id", sa.String(length=32), nullable=True),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
    )
    op.create_index("decisions_job", "decisions", ["job_id", "id"])
    for statement in SQLITE if op.get_bind().dialect.name == "sqlite" else POSTGRESQL:
        op.execute(statement)


def downgrade() -> None:
    """Go back."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER decisions_unchanged")
        op.execute("DROP TRIGGER decisions_kept")
    else:
        op.execute("DROP TRIGGER decisions_kept ON decisions")
        op.execute("DROP FUNCTION refuse_decisions()")
    op.drop_table("decisions")
