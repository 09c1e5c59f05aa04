"""Requests that are made twice because an answer was lost: the second is told what the first was, and nothing is done again."""

from __future__ import annotations

import hashlib
from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from common.errors import PolicyError
from orchestrator.ledger.locks import lock_transaction
from orchestrator.ledger.schema import KnownRequest, now

KEPT = timedelta(hours=24)
"""How long a key is known. IETF draft-ietf-httpapi-idempotency-key-header leaves it to the server; a day covers a night's outage."""

_SWEPT = 500


def earlier(session: Session, caller: str, key: str, body: bytes) -> str | None:
    """The id of what the same request made before; None: this is the first. The key is held until the transaction ends.

    Raises:
        PolicyError: the key was used with another body.
    """
    digest = _name(caller, key)
    lock_transaction(session, f"idempotency:{digest}")
    row = session.get(KnownRequest, digest)
    if row is None or row.at < now() - KEPT:
        return None
    if row.body != hashlib.sha256(body).hexdigest():
        raise PolicyError("this Idempotency-Key came with another body before", hint="Use a new key for a new request.")
    return row.made


def remember(session: Session, caller: str, key: str, body: bytes, made: str) -> None:
    """Keep what a request made; keys that are a day old are forgotten."""
    old = select(KnownRequest.key).where(KnownRequest.at < now() - KEPT).limit(_SWEPT)
    session.execute(delete(KnownRequest).where(KnownRequest.key.in_(session.scalars(old).all())))
    digest = hashlib.sha256(body).hexdigest()
    session.merge(KnownRequest(key=_name(caller, key), body=digest, made=made, at=now()))


def _name(caller: str, key: str) -> str:
    """Of two callers with the same key neither hears of the other."""
    return hashlib.sha256(f"{caller}\0{key}".encode()).hexdigest()
