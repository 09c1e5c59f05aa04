"""One long video on many workers: where it is cut, and its chunks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.add_column("items", sa.Column("split", sa.JSON(), nullable=True))
    op.add_column("attempts", sa.Column("chunk_id", sa.Integer(), nullable=True))
    op.create_table(
        "chunks",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("item_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("first", sa.Integer(), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.Column("rung", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("prefix", sa.String(length=160), nullable=False),
        sa.Column("worker", sa.String(length=128), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("item_id", "first", "last"),
    )
    op.create_index("chunks_ready", "chunks", ["state", "not_before"], unique=False)


def downgrade() -> None:
    """Go back."""
    op.drop_index("chunks_ready", table_name="chunks")
    op.drop_table("chunks")
    op.drop_column("attempts", "chunk_id")
    op.drop_column("items", "split")
