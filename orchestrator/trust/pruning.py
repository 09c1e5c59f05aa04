"""Retention: old records leave the ledger for files, and the chain keeps a link that says so.

Only whole sealed ranges go, never the newest of a table, and never what a collector still lacks. What goes is written into a file
first, in the canonical lines that were sealed: the SHA-256 of the file is the digest of its seal.
"""

from __future__ import annotations

import hashlib
import os
from datetime import datetime
from pathlib import Path

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session

from common.errors import ConflictingRequest, PolicyError
from common.logs import logger
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.events import Happened, happened
from orchestrator.ledger.schema import Seal
from orchestrator.trust import canonical
from orchestrator.trust.exporting import exported_to
from orchestrator.trust.keys import Signer
from orchestrator.trust.sealing import TABLES, append, lock_chain, rows_between

log = logger(__name__)


def prune(
    ledger: Sessions, before: datetime, folder: Path, signer: Signer | None = None, *, collector: str = ""
) -> int:
    """Move sealed records that are all older than ``before`` into ``folder``; returns how many. ``collector``: who must have them.

    Stopped anywhere, it can be run again: a file is whole before its rows go, and each range goes in one transaction.

    Raises:
        ConflictingRequest: rows are not those that were sealed: verify first. Nothing of that range is deleted.
        PolicyError: the folder cannot be written.
    """
    total = 0
    for name in TABLES:
        number = 0
        while (seal := _next(ledger, name, number, collector)) is not None:
            number = seal.number
            if not _older(ledger, seal, before):
                break
            total += _move(ledger, seal, folder, signer)
    if total:
        with ledger.begin() as session:
            happened(session, Happened.PRUNED, rows=total, before=before.isoformat())
        log.info("audit_pruned", rows=total)
    return total


def _next(ledger: Sessions, table: str, number: int, collector: str) -> Seal | None:
    """The next range that may go: not the newest, not pruned, and the collector has it."""
    with ledger() as session:
        newest = session.scalar(select(func.max(Seal.number)).where(Seal.covers == table, Seal.kind == "rows")) or 0
        gone = select(Seal.first_id).where(Seal.covers == table, Seal.kind == "pruned")
        wanted: list[ColumnElement[bool]] = [
            Seal.covers == table,
            Seal.kind == "rows",
            Seal.number > number,
            Seal.number < newest,
            Seal.first_id.not_in(gone),
        ]
        if collector:
            wanted.append(Seal.last_id <= exported_to(session, collector, table))
        return session.scalars(select(Seal).where(*wanted).order_by(Seal.number).limit(1)).first()


def _older(ledger: Sessions, seal: Seal, before: datetime) -> bool:
    table = TABLES[seal.covers]
    with ledger() as session:
        newest = select(func.max(table.c.at)).where(table.c.id >= seal.first_id, table.c.id <= seal.last_id)
        at = session.scalar(newest)
    return seal.at < before and (at is None or at < before)


def _move(ledger: Sessions, seal: Seal, folder: Path, signer: Signer | None) -> int:
    path = folder / f"{seal.covers}-{seal.first_id}-{seal.last_id}.jsonl"
    with ledger() as session:
        _write(session, seal, path)
    table = TABLES[seal.covers]
    with ledger.begin() as session:
        lock_chain(session)
        append(
            session,
            signer,
            kind="pruned",
            covers=seal.covers,
            first_id=seal.first_id,
            last_id=seal.last_id,
            row_count=seal.row_count,
            digest=seal.digest,
            marks=b"",
        )
        session.flush()  # the trigger lets go what the chain tells of
        session.execute(delete(table).where(table.c.id >= seal.first_id, table.c.id <= seal.last_id))
    return seal.row_count


def _write(session: Session, seal: Seal, path: Path) -> None:
    """The rows of a range as a file, whole and on the disk, or no file."""
    whole, aside = hashlib.sha256(), path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as file:
            for row in rows_between(session, TABLES[seal.covers], seal.first_id, seal.last_id):
                text = canonical.line(seal.covers, dict(row))
                whole.update(text)
                file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if whole.hexdigest() != seal.digest:
            hint = "Run `cinefarm audit verify`: it names the rows. Nothing of them is deleted."
            raise ConflictingRequest(f"rows of {seal.covers} are not those that were sealed", hint=hint)
        aside.replace(path)
    except OSError as error:
        raise PolicyError(f"the folder for pruned records cannot be written: {error.strerror}") from error
    finally:
        aside.unlink(missing_ok=True)
