"""The guard before every route: names the caller or refuses, and refuses what another site's page sends through a browser."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from orchestrator.api.access import COOKIE, Access, Caller, is_loopback
from orchestrator.api.problems import answer

OPEN = ("/api/v1/health/", "/login", "/static/")
"""Paths that need no caller: liveness, the form that asks for a token, and what it looks like."""

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """ASGI middleware. The caller is ``request.state.caller`` (orchestrator.api.dependencies.CallerOf)."""

    def __init__(self, app: ASGIApp, access: Access, hosts: tuple[str, ...] = ()) -> None:
        self._app, self._access, self._hosts = app, access, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer 400, 401 or 403; a browser without a session is shown the login form."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        caller = self._caller(headers)
        refusal = self._refusal(scope, headers, caller)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = caller or _unnamed(scope)
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers, caller: Caller | None) -> Response | None:
        if self._access.open and not self._is_our_name(headers.get("host", "")):
            return answer(
                400, "this server is not called so", "WrongHost", hint="Set CINEFARM_HTTP_HOSTS (docs/api.md)."
            )
        if scope["method"] not in SAFE and _is_foreign(headers):
            return answer(403, "a page of another site sent this", "ForeignOrigin")
        path = str(scope["path"])
        if caller is not None or self._access.open or path.startswith(OPEN):
            return None
        if "text/html" in headers.get("accept", "") and not path.startswith("/api/"):
            return RedirectResponse(f"/login?next={quote(path)}", 303)
        hint = "Send 'Authorization: Bearer TOKEN' (docs/api.md)."
        return answer(401, "who calls is not known", "NoToken", hint=hint, headers={"WWW-Authenticate": "Bearer"})

    def _caller(self, headers: Headers) -> Caller | None:
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self._access.by_token(token.strip())
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return None
        return None if cookie is None else self._access.by_session(cookie.value)

    def _is_our_name(self, host: str) -> bool:
        name = urlsplit(f"//{host}").hostname or ""
        return is_loopback(name) or name in self._hosts


def _is_foreign(headers: Headers) -> bool:
    """Browsers say where a request comes from; programs say nothing of it."""
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return True
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("host")


def _unnamed(scope: Scope) -> Caller:
    client = scope.get("client")
    return Caller(client[0] if client else "unknown")
