"""Seal the records: a chain of links, each the SHA-256 of a range of rows and of the link before, signed where a key is set.

A range ends where no transaction can write below it any more. On PostgreSQL ids are drawn before rows are committed, so the sealer takes
each table's SHARE lock for a moment: it waits for who is writing, and whoever writes later draws a higher id. On SQLite one transaction
writes at a time. Rows of a range never change, so they are read and hashed outside of any lock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import RowMapping, Table, func, select, text
from sqlalchemy.orm import Session

from common.logs import logger
from orchestrator.ledger.database import Sessions, reader_of
from orchestrator.ledger.locks import lock_transaction
from orchestrator.ledger.schema import Decision, Event, Seal, StateChange, now
from orchestrator.trust import canonical
from orchestrator.trust.keys import Signer

log = logger(__name__)

TABLES: dict[str, Table] = {
    cast(Table, kind.__table__).name: cast(Table, kind.__table__) for kind in (StateChange, Decision, Event)
}
"""What is sealed."""

RANGE = 20_000
"""Rows of one link: their marks take 240 KB, and they are hashed in a fraction of a second."""

PAGE = 2_000
"""Rows read at a time."""

LOCK_SECONDS = 3
"""How long the sealer waits for who is writing, and holds others up behind it; then it tries at its next turn."""

START = "0" * 64
"""What the first link follows."""


@dataclass(frozen=True)
class Range:
    """Rows of one table, hashed: ids from ``first`` to ``last``, both inclusive."""

    table: str
    first: int
    last: int
    count: int
    digest: str
    marks: bytes


def seal(ledger: Sessions, signer: Signer | None = None, *, size: int = RANGE) -> int:
    """Seal all that is written; returns how many rows. Two that seal at once do no harm: one of them gives way.

    Raises:
        sqlalchemy.exc.OperationalError: the ledger is away, or somebody has been writing for longer than LOCK_SECONDS.
    """
    total = 0
    with reading_only(ledger) as reading:
        for name, table in TABLES.items():
            last = _settled(ledger, table)
            for part in _unsealed(reading, name, last, size):
                if not _append(ledger, part, signer):
                    return total
                total += part.count
    if total:
        log.info("audit_sealed", rows=total)
    return total


@contextmanager
def reading_only(ledger: Sessions) -> Iterator[Sessions]:
    """``reader_of``, closed at the end of the block."""
    reading = reader_of(ledger)
    try:
        yield reading
    finally:
        if reading is not ledger:
            reading.kw["bind"].dispose()


def rows_between(session: Session, table: Table, first: int, last: int) -> Iterator[RowMapping]:
    """Rows of a range in the order of their ids; memory is that of one page."""
    while True:
        page = select(table).where(table.c.id >= first, table.c.id <= last).order_by(table.c.id).limit(PAGE)
        rows = session.execute(page).mappings().all()
        yield from rows
        if len(rows) < PAGE:
            return
        first = rows[-1]["id"] + 1


def head(session: Session) -> Seal | None:
    """The newest link."""
    return session.scalars(select(Seal).order_by(Seal.number.desc()).limit(1)).first()


def sealed_to(session: Session, table: str) -> int:
    """The highest id of a table that is sealed."""
    return session.scalar(select(func.max(Seal.last_id)).where(Seal.covers == table, Seal.kind == "rows")) or 0


def append(session: Session, signer: Signer | None, **said: Any) -> Seal:
    """Write the next link, in this transaction, which holds the chain's lock (``lock_chain``)."""
    before = head(session)
    known: dict[str, Any] = said | {
        "number": before.number + 1 if before else 1,
        "at": now(),
        "previous": before.link if before else START,
    }
    link = canonical.link_of(known)
    signed = {"key": signer.public.name, "signature": signer.sign(link)} if signer else {}
    made = Seal(**known, link=link, **signed)
    session.add(made)
    return made


def lock_chain(session: Session) -> None:
    """Nobody else appends until this transaction ends."""
    lock_transaction(session, "seals")


def _settled(ledger: Sessions, table: Table) -> int:
    """The highest id below which nothing can be written any more."""
    with ledger.begin() as session:
        if session.get_bind().dialect.name == "postgresql":
            session.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
            session.execute(text(f"LOCK TABLE {table.name} IN SHARE MODE"))
        return session.scalar(select(func.max(table.c.id))) or 0


def _unsealed(reading: Sessions, name: str, last: int, size: int) -> Iterator[Range]:
    with reading() as session:
        first = sealed_to(session, name) + 1
    table = TABLES[name]
    while first <= last:
        with reading() as session:
            top = min(last, first + canonical.LONGEST_RANGE - 1)
            wanted = select(table.c.id).where(table.c.id >= first, table.c.id <= top).order_by(table.c.id)
            end = session.scalar(wanted.offset(size - 1).limit(1)) or top
            yield _hashed(session, table, first, end)
        first = end + 1


def _hashed(session: Session, table: Table, first: int, last: int) -> Range:
    whole, marks, count = hashlib.sha256(), bytearray(), 0
    for row in rows_between(session, table, first, last):
        text_line = canonical.line(table.name, dict(row))
        whole.update(text_line)
        marks += canonical.mark(first, row["id"], text_line)
        count += 1
    return Range(table.name, first, last, count, whole.hexdigest(), bytes(marks))


def _append(ledger: Sessions, part: Range, signer: Signer | None) -> bool:
    """False: somebody else has sealed these rows meanwhile."""
    with ledger.begin() as session:
        lock_chain(session)
        if sealed_to(session, part.table) + 1 != part.first:
            return False
        append(
            session,
            signer,
            kind="rows",
            covers=part.table,
            first_id=part.first,
            last_id=part.last,
            row_count=part.count,
            digest=part.digest,
            marks=part.marks,
        )
        return True
