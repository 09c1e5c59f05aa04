"""Limits of queues and destinations, time windows and patience of jobs, and since when an item waits for a peer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ITEMS = sa.table("items", sa.column("id", sa.String), sa.column("job_id", sa.String))
DELIVERIES = sa.table("deliveries", sa.column("item_id", sa.String), sa.column("job_id", sa.String))


def upgrade() -> None:
    """Go forward."""
    op.add_column("jobs", sa.Column("window", sa.Text(), nullable=True))
    op.add_column("jobs", sa.Column("window_policy", sa.String(length=8), nullable=False, server_default="finish"))
    op.add_column("jobs", sa.Column("patience_seconds", sa.Float(), nullable=False, server_default="0"))
    op.add_column("items", sa.Column("waiting_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("deliveries", sa.Column("waiting_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("deliveries", sa.Column("job_id", sa.String(length=32), nullable=False, server_default=""))
    job = sa.select(ITEMS.c.job_id).where(ITEMS.c.id == DELIVERIES.c.item_id).scalar_subquery()
    op.execute(sa.update(DELIVERIES).values(job_id=job))
    op.drop_index("deliveries_ready", "deliveries")
    op.create_index("deliveries_ready", "deliveries", ["job_id", "destination", "state", "id"])
    op.create_table(
        "queue_limits",
        sa.Column("queue", sa.String(length=32), nullable=False),
        sa.Column("concurrent", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("queue"),
    )
    op.create_table(
        "destinations",
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("concurrent", sa.Integer(), nullable=True),
        sa.Column("bytes_per_second", sa.BigInteger(), nullable=True),
        sa.Column("window", sa.Text(), nullable=True),
        sa.Column("away_in_a_row", sa.Integer(), nullable=False),
        sa.Column("paused_until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("uri"),
    )


def downgrade() -> None:
    """Go back."""
    op.drop_table("destinations")
    op.drop_table("queue_limits")
    op.drop_index("deliveries_ready", "deliveries")
    op.create_index("deliveries_ready", "deliveries", ["state", "not_before"])
    op.drop_column("deliveries", "job_id")
    op.drop_column("deliveries", "waiting_since")
    op.drop_column("items", "waiting_since")
    for column in ("patience_seconds", "window_policy", "window"):
        op.drop_column("jobs", column)
