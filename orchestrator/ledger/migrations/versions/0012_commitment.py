"""Between delivered and committed: what archives were asked, and what each delivery still has to prove."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

UNPROVEN = sa.text("state = 'delivered'")


def upgrade() -> None:
    """Go forward. What older versions called delivered was all that they ever proved: it stands, and is called committed."""
    op.create_table(
        "commitments",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("transaction_uid", sa.String(length=64), nullable=False),
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("transaction_uid"),
    )
    op.create_table(
        "commitment_deliveries",
        sa.Column("commitment_id", sa.Integer(), nullable=False),
        sa.Column("delivery_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["commitment_id"], ["commitments.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["delivery_id"], ["deliveries.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("commitment_id", "delivery_id"),
    )
    op.create_index("commitment_deliveries_delivery", "commitment_deliveries", ["delivery_id"])
    op.add_column("deliveries", sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("deliveries", sa.Column("read_back", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("deliveries", sa.Column("uncommitted", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("deliveries", sa.Column("resent", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("deliveries", sa.Column("lacking", sa.JSON(), nullable=True))
    op.add_column("destinations", sa.Column("commits_not_since", sa.DateTime(timezone=True), nullable=True))
    _mend_trails()
    op.create_index(
        "deliveries_due",
        "deliveries",
        ["job_id", "destination", "not_before"],
        sqlite_where=UNPROVEN,
        postgresql_where=UNPROVEN,
    )


UNTOLD = """
INSERT INTO audit (at, job_id, item_id, delivery_id, before, after, order_id)
SELECT CURRENT_TIMESTAMP, job_id, item_id, id, 'pending', state, '' FROM deliveries
WHERE state <> 'pending' AND NOT EXISTS (SELECT 1 FROM audit WHERE audit.delivery_id = deliveries.id)
"""
SETTLED = """
INSERT INTO audit (at, job_id, item_id, delivery_id, before, after, order_id)
SELECT CURRENT_TIMESTAMP, job_id, item_id, id, 'delivered', 'committed', '' FROM deliveries WHERE state = 'delivered'
"""


def _mend_trails() -> None:
    """A delivery's trail leads to its state: also of those that moved before there was a trail, and of those moved here."""
    op.execute(sa.text(UNTOLD))
    op.execute(sa.text(SETTLED))
    op.execute(sa.text("UPDATE deliveries SET state = 'committed' WHERE state = 'delivered'"))


def downgrade() -> None:
    """Go back."""
    op.drop_index("deliveries_due", "deliveries")
    op.execute(sa.text("UPDATE deliveries SET state = 'delivered' WHERE state = 'committed'"))
    op.drop_column("destinations", "commits_not_since")
    for name in ("lacking", "resent", "uncommitted", "read_back", "delivered_at"):
        op.drop_column("deliveries", name)
    op.drop_table("commitment_deliveries")
    op.drop_table("commitments")
