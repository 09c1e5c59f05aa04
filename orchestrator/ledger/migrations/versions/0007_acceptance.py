"""What a destination takes: syntaxes, containers, fragments, size. The planner asks it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.add_column("destinations", sa.Column("accepts", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Go back."""
    op.drop_column("destinations", "accepts")
