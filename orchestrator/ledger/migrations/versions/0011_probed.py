"""What archives took when they were probed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.add_column("destinations", sa.Column("probed", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Go back."""
    op.drop_column("destinations", "probed")
