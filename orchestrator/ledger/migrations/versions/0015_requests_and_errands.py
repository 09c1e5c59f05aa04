"""What the API remembers: requests with an Idempotency-Key, and errands that take a while. Jobs are listed by the time of their coming."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "known_requests",
        sa.Column("key", sa.String(length=64), primary_key=True),
        sa.Column("body", sa.String(length=64), nullable=False),
        sa.Column("made", sa.String(length=32), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("known_requests_at", "known_requests", ["at"])
    op.create_table(
        "errands",
        sa.Column("id", sa.String(length=32), primary_key=True),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.String(length=128), nullable=False),
        sa.Column("asked", sa.JSON(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("pages", sa.Integer(), nullable=False),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.Column("failure", sa.JSON(), nullable=True),
    )
    op.create_index("errands_created", "errands", ["kind", "created_at", "id"])
    op.create_index("jobs_created", "jobs", ["created_at", "id"])


def downgrade() -> None:
    """Go back."""
    op.drop_index("jobs_created", "jobs")
    op.drop_table("errands")
    op.drop_table("known_requests")
