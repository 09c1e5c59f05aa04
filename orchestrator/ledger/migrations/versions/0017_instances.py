"""Which instances lie in the store, for viewers that search them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

UID = sa.String(length=64)

INDEXES = {"uid": "sop_instance_uid", "patient": "patient_id", "accession": "accession", "date": "study_date"}


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
        sa.Column("patient_id", UID, nullable=False),
        sa.Column("patient_name", sa.Text(), nullable=False),
        sa.Column("accession", UID, nullable=False),
        sa.Column("study_date", sa.String(length=16), nullable=False),
        sa.Column("modality", sa.String(length=16), nullable=False),
    )
    op.create_index("instances_study", "instances", ["study_uid", "series_uid", "sop_instance_uid"])
    for name, column in INDEXES.items():
        op.create_index(f"instances_{name}", "instances", [column])
    unread = sa.text("attributes IS NULL")
    op.create_index("instances_unread", "instances", ["key"], sqlite_where=unread, postgresql_where=unread)


def downgrade() -> None:
    """Go back."""
    op.drop_table("instances")
