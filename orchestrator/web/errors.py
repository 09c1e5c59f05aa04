"""Problems for people: what a program gets as application/problem+json, a browser gets as a page."""

from __future__ import annotations

import json
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.api.problems import MEDIA_TYPE
from orchestrator.web.render import page

FOR_PROGRAMS = ("/api/", "/dicomweb/", "/dicom-web/", "/metrics", "/static/")


class ProblemPages:
    """ASGI middleware that turns a problem document into a page where a browser asked for one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; of an answer that is a problem, send the page in its place."""
        if scope["type"] != "http" or not _for_people(scope):
            await self._app(scope, receive, send)
            return
        start: Message | None = None
        body = bytearray()

        async def watch(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and _is_problem(message):
                start = message
            elif start is None:
                await send(message)
            else:
                body.extend(message.get("body", b""))
                if not message.get("more_body", False):
                    request = Request(scope)
                    answer = page(request, "problem.html.j2", start["status"], problem=_read(bytes(body)))
                    await answer(scope, receive, send)

        await self._app(scope, receive, watch)


def _for_people(scope: Scope) -> bool:
    wants = "text/html" in Headers(scope=scope).get("accept", "")
    return wants and not str(scope["path"]).startswith(FOR_PROGRAMS)


def _is_problem(message: Message) -> bool:
    return Headers(raw=message["headers"]).get("content-type", "").startswith(MEDIA_TYPE)


def _read(body: bytes) -> dict[str, Any]:
    problem: dict[str, Any] = json.loads(body)
    return problem
