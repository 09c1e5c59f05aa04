"""The ledger says which older releases may work on it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward. A later migration that older code cannot bear writes its own revision here."""
    table = op.create_table("compatibility", sa.Column("oldest", sa.String(length=16), primary_key=True))
    op.bulk_insert(table, [{"oldest": "0016"}])


def downgrade() -> None:
    """Go back."""
    op.drop_table("compatibility")
