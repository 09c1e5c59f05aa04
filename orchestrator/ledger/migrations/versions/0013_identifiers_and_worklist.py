"""Jobs with rules for identifiers, and with a worklist that knows whose plain video is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.add_column("jobs", sa.Column("identifiers_key", sa.String(length=128), nullable=True))
    op.add_column("jobs", sa.Column("worklist", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Go back."""
    op.drop_column("jobs", "worklist")
    op.drop_column("jobs", "identifiers_key")
