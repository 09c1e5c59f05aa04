"""Tokens of the API: made once and shown once; the ledger keeps their SHA-256. Each has a name, a role, an end, and perhaps sites.

A token has 256 bits of chance, so its hash needs neither salt nor slowness.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.errors import PolicyError, UnknownName
from orchestrator.ledger.decisions import os_user
from orchestrator.ledger.events import Happened, happened
from orchestrator.ledger.schema import Token, now

PREFIX = "cinefarm_"
"""So that scanners of repositories and logs know one when they see it."""

LONGEST_DAYS = 366

_NAME = re.compile(r"[\w.@-]{1,64}")
_SITE = re.compile(r"[\w.-]{1,64}")


def make_token(
    session: Session, name: str, role: str, *, days: float, sites: Sequence[str] = (), by: str | None = None
) -> tuple[Token, str]:
    """A new token and its text, which is nowhere kept. ``sites``: whose jobs it sees and steers; none: all.

    Raises:
        PolicyError: name, site or days cannot be.
    """
    if not _NAME.fullmatch(name) or name == "local" or not all(_SITE.fullmatch(site) for site in sites):
        hint = "Letters, digits and . @ - _, at most 64; the name 'local' is taken."
        raise PolicyError("a name of a token or site is not allowed", hint=hint)
    if not 0 < days <= LONGEST_DAYS:
        raise PolicyError(f"a token lasts at most {LONGEST_DAYS} days", hint="Make a new one before it ends.")
    text = PREFIX + secrets.token_urlsafe(32)
    token = Token(
        id=secrets.token_hex(8),
        name=name,
        digest=digest_of(text),
        role=role,
        sites=list(sites) or None,
        made_by=os_user() if by is None else by,
        expires_at=now() + timedelta(days=days),
    )
    session.add(token)
    happened(session, Happened.TOKEN_MADE, by=by, token=token.id, name=name, role=role, sites=list(sites))
    return token, text


def revoke_token(session: Session, token_id: str, *, by: str | None = None) -> Token:
    """From now on it opens nothing; sessions of browsers that it began end as well.

    Raises:
        UnknownName: there is no such token.
    """
    token = session.get(Token, token_id)
    if token is None:
        raise UnknownName("there is no such token", hint="`cinefarm token list` lists the tokens with their ids.")
    if token.revoked_at is None:
        token.revoked_at = now()
        happened(session, Happened.TOKEN_REVOKED, by=by, token=token.id, name=token.name)
    return token


def tokens(session: Session) -> Sequence[Token]:
    """All that were ever made, the latest first."""
    return session.scalars(select(Token).order_by(Token.made_at.desc(), Token.id)).all()


def is_good(token: Token, at: datetime) -> bool:
    """Whether it opens anything at this moment."""
    return token.revoked_at is None and at < token.expires_at


def digest_of(text: str) -> str:
    """What the ledger keeps of a token: SHA-256, hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()
