"""A service's start, its settings where they are other than at the last start, and its end, on record."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.orm import Session

from common import __version__
from common.settings import Settings
from orchestrator.ledger.database import LedgerAway, Sessions
from orchestrator.ledger.events import Happened, happened
from orchestrator.ledger.schema import Event

SET = "(set)"
"""In place of a secret: a hash of a short one could be guessed."""


def told(settings: Settings) -> dict[str, str]:
    """Settings that are not their defaults, as text; of secrets and of URLs that may hold one, that they are set."""
    shown = {}
    for name, about in type(settings).model_fields.items():
        value = getattr(settings, name)
        if value == about.get_default(call_default_factory=True):
            continue
        secret = isinstance(value, SecretStr) or not about.repr
        shown[name] = SET if secret else str(value)
    return shown


@contextmanager
def on_record(ledger: Sessions, settings: Settings) -> Iterator[None]:
    """A service that runs while the block lasts."""
    with ledger.begin() as session:
        happened(session, Happened.STARTED, version=__version__)
        now, before = told(settings), _last(session)
        if now != before:
            changed = sorted(name for name in now.keys() | before.keys() if now.get(name) != before.get(name))
            happened(session, Happened.CONFIGURED, changed=changed, values=now)
    try:
        yield
    finally:
        with suppress(*LedgerAway), ledger.begin() as session:
            happened(session, Happened.STOPPED, version=__version__)


def _last(session: Session) -> dict[str, str]:
    newest = select(Event.detail).where(Event.what == Happened.CONFIGURED).order_by(Event.id.desc()).limit(1)
    detail = session.scalar(newest)
    return dict(detail["values"]) if detail else {}
