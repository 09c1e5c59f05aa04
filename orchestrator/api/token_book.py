"""The ledger's tokens as the API knows them: asked for once in a few seconds, so that a revoked one is out within that time."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

from sqlalchemy import ColumnElement, select

from orchestrator.api.roles import Role
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import Token, now
from orchestrator.ledger.tokens import is_good

KNOWN_SECONDS = 5.0
"""How long an answer of the ledger holds."""

MOST_KNOWN = 1_000


@dataclass(frozen=True)
class Known:
    """A token that is good."""

    id: str
    name: str
    digest: str
    role: Role
    sites: frozenset[str] | None


class TokenBook:
    """Looks tokens up. Safe in threads."""

    def __init__(self, reading: Sessions) -> None:
        self._reading, self._lock = reading, Lock()
        self._known: OrderedDict[str, tuple[float, Known]] = OrderedDict()
        self._any, self._any_until = False, 0.0

    def has_any(self) -> bool:
        """Whether a token was ever made: from then on nobody calls without one, also when all have ended."""
        if not self._any and time.monotonic() >= self._any_until:
            with self._reading() as session:
                self._any = session.scalar(select(Token.id).limit(1)) is not None
            self._any_until = time.monotonic() + KNOWN_SECONDS
        return self._any

    def by_digest(self, digest: str) -> Known | None:
        """The token with this SHA-256, if it is good."""
        return self._look(f"digest {digest}", Token.digest == digest)

    def by_id(self, token_id: str) -> Known | None:
        """The token with this id, if it is good."""
        return self._look(f"id {token_id}", Token.id == token_id)

    def _look(self, key: str, which: ColumnElement[bool]) -> Known | None:
        with self._lock:
            until, known = self._known.get(key, (0.0, None))
        if known is not None and time.monotonic() < until:
            return known
        with self._reading() as session:
            found = session.scalars(select(Token).where(which)).first()
        if found is None or not is_good(found, now()):
            with self._lock:
                self._known.pop(key, None)
            return None
        sites = None if found.sites is None else frozenset(found.sites)
        known = Known(found.id, found.name, found.digest, Role(found.role), sites)
        with self._lock:
            self._known[key] = (time.monotonic() + KNOWN_SECONDS, known)
            while len(self._known) > MOST_KNOWN:
                self._known.popitem(last=False)
        return known
