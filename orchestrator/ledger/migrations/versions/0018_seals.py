"""Access and settings are on record; all records are sealed in a chain; what retention rules let go leaves a link in it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

WORDS = {
    "audit": "the audit trail is append-only",
    "decisions": "the record of decisions is append-only",
    "events": "the record of events is append-only",
    "seals": "the chain of seals is append-only",
}
PRUNABLE = ("audit", "decisions", "events")


def upgrade() -> None:
    """Go forward."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "events",
        sa.Column("id", number, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.String(length=128), nullable=False),
        sa.Column("what", sa.String(length=32), nullable=False),
        sa.Column("origin", sa.String(length=128), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "seals",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("covers", sa.String(length=16), nullable=False),
        sa.Column("first_id", sa.BigInteger(), nullable=False),
        sa.Column("last_id", sa.BigInteger(), nullable=False),
        sa.Column("row_count", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("marks", sa.LargeBinary(), nullable=False),
        sa.Column("previous", sa.String(length=64), nullable=False),
        sa.Column("link", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("seals_covers", "seals", ["covers", "kind", "first_id"])
    drop_old, create_new = (
        (_SQLITE_OLD, _sqlite()) if op.get_bind().dialect.name == "sqlite" else (_POSTGRESQL_OLD, _postgresql())
    )
    for statement in (*drop_old, *create_new):
        op.execute(statement)


_SQLITE_OLD = tuple(
    f"DROP TRIGGER {table}_{what}" for table in ("audit", "decisions") for what in ("unchanged", "kept")
)
_POSTGRESQL_OLD = tuple(f"DROP TRIGGER {table}_kept ON {table}" for table in ("audit", "decisions"))


def _pruned(table: str) -> str:
    # its range has a link in the chain that says so: nothing is deleted that the chain does not tell of
    return f"EXISTS (SELECT 1 FROM seals WHERE covers = '{table}' AND kind = 'pruned' AND OLD.id BETWEEN first_id AND last_id)"  # noqa: S608


def _sqlite() -> list[str]:
    made = []
    for table, words in WORDS.items():
        refuse = f"BEGIN SELECT RAISE(ABORT, '{words}'); END"
        kept = f"WHEN NOT {_pruned(table)} " if table in PRUNABLE else ""
        made.append(f"CREATE TRIGGER {table}_unchanged BEFORE UPDATE ON {table} {refuse}")
        made.append(f"CREATE TRIGGER {table}_kept BEFORE DELETE ON {table} {kept}{refuse}")
    return made


def _postgresql() -> list[str]:
    made = []
    for table, words in WORDS.items():
        raising = f"RAISE EXCEPTION '{words}';"
        body = f"BEGIN {raising} END"
        made.append(f"CREATE OR REPLACE FUNCTION refuse_{table}() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$")
        events = "UPDATE OR TRUNCATE" if table in PRUNABLE else "UPDATE OR DELETE OR TRUNCATE"
        made.append(
            f"CREATE TRIGGER {table}_unchanged BEFORE {events} ON {table} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION refuse_{table}()"
        )
        if table in PRUNABLE:
            check = f"BEGIN IF {_pruned(table)} THEN RETURN OLD; END IF; {raising} END"
            made.append(f"CREATE FUNCTION keep_{table}() RETURNS trigger LANGUAGE plpgsql AS $$ {check} $$")
            made.append(
                f"CREATE TRIGGER {table}_kept BEFORE DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION keep_{table}()"
            )
    return made


def downgrade() -> None:
    """Go back: the triggers of 0006 and 0016 stand again."""
    on_sqlite = op.get_bind().dialect.name == "sqlite"
    for table in WORDS:
        for trigger in (f"{table}_unchanged", f"{table}_kept")[: 2 if on_sqlite or table in PRUNABLE else 1]:
            op.execute(f"DROP TRIGGER {trigger}" + ("" if on_sqlite else f" ON {table}"))
        if not on_sqlite and table in PRUNABLE:
            op.execute(f"DROP FUNCTION keep_{table}()")
    for table in ("audit", "decisions"):
        refuse = f"BEGIN SELECT RAISE(ABORT, '{WORDS[table]}'); END"
        if on_sqlite:
            op.execute(f"CREATE TRIGGER {table}_unchanged BEFORE UPDATE ON {table} {refuse}")
            op.execute(f"CREATE TRIGGER {table}_kept BEFORE DELETE ON {table} {refuse}")
        else:
            op.execute(
                f"CREATE TRIGGER {table}_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
                f"FOR EACH STATEMENT EXECUTE FUNCTION refuse_{table}()"
            )
    op.drop_table("events")
    op.drop_table("seals")
    if not on_sqlite:
        op.execute("DROP FUNCTION refuse_events()")
        op.execute("DROP FUNCTION refuse_seals()")
