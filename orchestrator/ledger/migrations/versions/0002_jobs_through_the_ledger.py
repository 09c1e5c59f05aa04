"""Jobs come through the ledger: names, listing, cancelling; the queue of an item's next order is a column of its own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ITEMS = sa.table("items", sa.column("queue", sa.String), sa.column("plan", sa.JSON))


def upgrade() -> None:
    """Go forward. No batch mode: SQLite would copy the table, and dropping the old one would cascade."""
    op.add_column("jobs", sa.Column("name", sa.String(length=200), nullable=False, server_default=""))
    op.add_column("jobs", sa.Column("mapping_key", sa.String(length=128), nullable=True))
    op.add_column("jobs", sa.Column("listing", sa.String(length=16), nullable=False, server_default="listed"))
    op.add_column("jobs", sa.Column("problem", sa.Text(), nullable=False, server_default=""))
    op.add_column("jobs", sa.Column("cancelled", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("jobs", sa.Column("halted", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("items", sa.Column("queue", sa.String(length=32), nullable=False, server_default="describe"))
    op.drop_index("items_ready", "items")
    op.drop_index("items_job_state", "items")  # items_ready begins with the same columns now
    op.drop_index("items_digest", "items")
    op.create_index("items_ready", "items", ["job_id", "state", "queue", "number"])
    op.create_index("items_digest", "items", ["digest", "job_id"])
    planned = ITEMS.c.plan["queue"].as_string()
    op.execute(sa.update(ITEMS).where(planned.is_not(None)).values(queue=planned))


def downgrade() -> None:
    """Go back."""
    op.drop_index("items_digest", "items")
    op.drop_index("items_ready", "items")
    op.create_index("items_digest", "items", ["job_id", "digest"])
    op.create_index("items_job_state", "items", ["job_id", "state"])
    op.create_index("items_ready", "items", ["state", "not_before"])
    op.drop_column("items", "queue")
    for column in ("halted", "cancelled", "problem", "listing", "mapping_key", "name"):
        op.drop_column("jobs", column)
