"""Sources that workers bring to the store themselves: from a PACS or a DICOMweb server."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.add_column("items", sa.Column("retrieval", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Go back."""
    op.drop_column("items", "retrieval")
