"""Which instances lie in the store, for viewers that search them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

UID = sa.String(length=64)


def upgrade() -> None:
    """Go forward. Results that are on their way to an archive already are not listed: they lack what viewers ask of them."""
    op.create_table(
        "instances",
        sa.Column("key", sa.String(length=160), primary_key=True),
        sa.Column("item_id", sa.String(length=32), nullable=False),
        sa.Column("study_uid", UID, nullable=False),
        sa.Column("series_uid", UID, nullable=False),
        sa.Column("sop_instance_uid", UID, nullable=False),
        sa.Column("sop_class_uid", UID, nullable=False),
        sa.Column("transfer_syntax_uid", UID, nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attributes", sa.JSON(), nullable=True),
    )
    op.create_index("instances_study", "instances", ["study_uid", "series_uid", "sop_instance_uid"])
    op.create_index("instances_uid", "instances", ["sop_instance_uid"])


def downgrade() -> None:
    """Go back."""
    op.drop_table("instances")
