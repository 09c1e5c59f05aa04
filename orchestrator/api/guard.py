"""The guard before every route: names the caller or refuses, and refuses what another site's page sends through a browser.

It also keeps callers to their role, their sites and their rate, and hands each request on record (orchestrator.api.recording).
"""

from __future__ import annotations

import math
import time
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, quote, urlsplit

from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from orchestrator.api.access import COOKIE, Access, Caller, is_loopback
from orchestrator.api.problems import answer
from orchestrator.api.rates import Rates
from orchestrator.api.recording import Recorder
from orchestrator.api.roles import SAFE, refused
from orchestrator.ledger.sites import seen_by

OPEN = ("/api/v1/health/", "/login", "/static/")
"""Paths that need no caller: liveness, the form that asks for a token, and what it looks like."""

WRONG_TOKENS_PER_MINUTE = 30
"""From one address: chance finds no token of 256 bits, so this only keeps the noise down."""


class Guard:
    """ASGI middleware. The caller is ``request.state.caller`` (orchestrator.api.dependencies.CallerOf)."""

    def __init__(
        self, app: ASGIApp, access: Access, recorder: Recorder, hosts: tuple[str, ...] = (), per_minute: int = 0
    ) -> None:
        self._app, self._access, self._recorder, self._hosts = app, access, recorder, hosts
        self._calls, self._wrong = Rates(per_minute), Rates(WRONG_TOKENS_PER_MINUTE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer 400, 401, 403 or 429; a browser without a session is shown the login form."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers, origin = Headers(scope=scope), _origin(scope)
        shown = _shown(headers)
        wait = self._wrong.empty(origin, time.monotonic()) if shown else 0.0
        caller = await self._caller(*shown) if shown and not wait else None
        if shown and caller is None and not wait:
            self._wrong.wait(origin, time.monotonic())
        if scope["method"] == "POST" and scope["path"] == "/login":
            wait = self._wrong.wait(origin, time.monotonic())
        is_open = not self._access.digests and await run_in_threadpool(lambda: self._access.open)
        refusal = _too_often(wait) if wait else self._refusal(scope, headers, caller, is_open=is_open)
        if refusal is not None:
            await self._recorder.denied(scope, caller.name if caller else "", origin, refusal)
            await refusal(scope, receive, send)
            return
        named = caller or Caller(origin)
        scope.setdefault("state", {})["caller"] = named
        with seen_by(named.sites, named.name):
            await self._app(scope, receive, self._recorder.watching(scope, named.name, origin, send))

    def _refusal(self, scope: Scope, headers: Headers, caller: Caller | None, *, is_open: bool) -> Response | None:
        if is_open and not self._is_our_name(headers.get("host", "")):
            return answer(
                400, "this server is not called so", "WrongHost", hint="Set CINEFARM_HTTP_HOSTS (docs/api.md)."
            )
        if scope["method"] not in SAFE and _is_foreign(headers):
            return answer(403, "a page of another site sent this", "ForeignOrigin")
        path = str(scope["path"])
        if caller is not None:
            return self._not_allowed(scope, path, caller)
        if is_open or path.startswith(OPEN):
            return None
        if "text/html" in headers.get("accept", "") and not path.startswith("/api/"):
            return RedirectResponse(f"/login?next={quote(path)}", 303)
        hint = "Send 'Authorization: Bearer TOKEN' (docs/api.md)."
        return answer(401, "who calls is not known", "NoToken", hint=hint, headers={"WWW-Authenticate": "Bearer"})

    def _not_allowed(self, scope: Scope, path: str, caller: Caller) -> Response | None:
        if path.startswith(OPEN):
            return None
        if caller.key and (wait := self._calls.wait(caller.key, time.monotonic())):
            return _too_often(wait)
        bound = caller.sites is not None
        why = refused(scope["method"], path, caller.role, bound=bound)
        if bound and path == "/api/v1/events" and not parse_qs(scope["query_string"].decode("latin-1")).get("job"):
            why = "a token that is bound to sites follows one job at a time: ?job=JOB"
        hint = "Ask whoever makes your tokens (docs/api.md, Roles)."
        return answer(403, why, "NotAllowed", hint=hint) if why else None

    async def _caller(self, kind: str, value: str) -> Caller | None:
        find = self._access.by_token if kind == "token" else self._access.by_session
        return await run_in_threadpool(find, value)

    def _is_our_name(self, host: str) -> bool:
        name = urlsplit(f"//{host}").hostname or ""
        return is_loopback(name) or name in self._hosts


def _shown(headers: Headers) -> tuple[str, str] | None:
    """The token or cookie that a request shows."""
    kind, _, token = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return "token", token.strip()
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return None if cookie is None else ("session", cookie.value)


def _too_often(seconds: float) -> Response:
    wait = str(math.ceil(seconds))
    return answer(429, "that was too often", "TooOften", hint=f"Wait {wait} s.", headers={"Retry-After": wait})


def _is_foreign(headers: Headers) -> bool:
    """Browsers say where a request comes from; programs say nothing of it."""
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return True
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("host")


def _origin(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else "unknown"
