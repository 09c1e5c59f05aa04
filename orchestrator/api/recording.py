"""Requests on record (orchestrator.ledger.events): each that changes something, each refusal, and who looked at what.

Written before the answer leaves. Pages renew themselves, so a look at the same thing by the same person from the same address is
written once an hour; refusals of one kind from one address once a minute, with how many there were.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from typing import Any

from fastapi.concurrency import run_in_threadpool
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import Response
from starlette.types import Message, Scope, Send

from common.logs import logger
from orchestrator.api.roles import SAFE
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.events import Happened, Outcome, happened

log = logger(__name__)

READ_SECONDS = 3600.0
DENIED_SECONDS = 60.0
MOST_KNOWN = 10_000

_TELLS = re.compile(r"/(api/v1/)?(jobs|items|exceptions|plans)(/.*)?|/dicom.*|/wado.*|/rs/.*")
"""Routes whose answers may tell of patients, by name or picture."""

_ID = re.compile(r"[0-9a-f]{8,64}|[0-9.]{5,64}")
"""Ids of ours and UIDs; what a person calls a job may be anything, and is not written down."""


class Recorder:
    """Writes what was asked into the ledger."""

    def __init__(self, ledger: Sessions) -> None:
        self._ledger = ledger
        self._seen: OrderedDict[tuple[str, ...], tuple[float, int]] = OrderedDict()  # what → until, how many since

    def watching(self, scope: Scope, by: str, origin: str, send: Send) -> Send:
        """``send`` that writes the record when the answer begins, with how it ended."""

        async def recorded(message: Message) -> None:
            if message["type"] == "http.response.start":
                caller = scope.get("state", {}).get("caller")  # who signs in has a name only now
                await self._answered(scope, caller.name if caller else by, origin, int(message["status"]))
            await send(message)

        return recorded

    async def denied(self, scope: Scope, by: str, origin: str, refusal: Response) -> None:
        """A request that the guard refused. A browser that is shown the login form was not refused."""
        if refusal.status_code < 400:
            return
        code = {400: "WrongHost", 401: "NoToken", 403: "NotAllowed", 429: "TooOften"}.get(refusal.status_code, "")
        count = self._due(("denied", by, origin, code), DENIED_SECONDS)
        if count:
            detail = {"code": code, "method": scope["method"], "route": _kind(str(scope["path"])), "count": count}
            await self._write(Happened.DENIED, by, origin, Outcome.REFUSED, detail)

    async def _answered(self, scope: Scope, by: str, origin: str, status: int) -> None:
        route = str(getattr(scope.get("route"), "path", "")) or _kind(str(scope["path"]))
        method = scope["method"]
        if method in SAFE and not (_TELLS.fullmatch(route) and status < 400):
            return
        about = {
            name: value if _ID.fullmatch(str(value)) else "(name)"
            for name, value in scope.get("path_params", {}).items()
        }
        detail = {"method": method, "route": route, "of": about, "status": status}
        outcome = Outcome.OK if status < 400 else Outcome.REFUSED if status < 500 else Outcome.FAILED
        if method not in SAFE:
            await self._write(_CALLS.get(route, Happened.CALLED), by, origin, outcome, detail)
        elif self._due(("read", by, origin, route, *map(str, about.values())), READ_SECONDS):
            await self._write(Happened.READ, by, origin, outcome, detail)

    def _due(self, what: tuple[str, ...], seconds: float) -> int:
        """How many there were since the last that was written, this one included; 0: it is not time yet."""
        until, count = self._seen.pop(what, (0.0, 0))
        now = time.monotonic()
        due = now >= until
        self._seen[what] = (now + seconds, 0) if due else (until, count + 1)
        while len(self._seen) > MOST_KNOWN:
            self._seen.popitem(last=False)
        return count + 1 if due else 0

    async def _write(self, what: Happened, by: str, origin: str, outcome: Outcome, detail: dict[str, Any]) -> None:
        try:
            await run_in_threadpool(self._insert, what, by, origin, outcome, detail)
        except SQLAlchemyError as error:  # what was asked is done already, or was refused: the answer tells the truth
            log.error("event_not_recorded", what=what.value, error=type(error).__name__)

    def _insert(self, what: Happened, by: str, origin: str, outcome: Outcome, detail: dict[str, Any]) -> None:
        with self._ledger.begin() as session:
            happened(session, what, by=by, origin=origin, outcome=outcome, **detail)


_CALLS = {"/login": Happened.SIGNED_IN, "/logout": Happened.SIGNED_OUT}


def _kind(path: str) -> str:
    """A path that no route was found for: its first parts, the rest may be anything."""
    return "/".join(part if re.fullmatch(r"[a-z0-9-]{0,20}", part) else "…" for part in path.split("/")[:4])
