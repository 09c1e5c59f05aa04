"""Jobs with rules for identifiers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.add_column("jobs", sa.Column("identifiers_key", sa.String(length=128), nullable=True))


def downgrade() -> None:
    """Go back."""
    op.drop_column("jobs", "identifiers_key")
