"""Signing in with a token, where the settings name some, and signing out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from orchestrator.api.access import COOKIE, SESSION_SECONDS
from orchestrator.api.dependencies import AccessOf
from orchestrator.web.forms import Person, back, local_path
from orchestrator.web.render import page

router = APIRouter()


@router.get("/login")
def login(request: Request) -> Response:
    """The form that asks for a token."""
    return page(request, "login.html.j2", next=local_path(request.query_params.get("next", "/")), wrong=False)


@router.post("/login")
def sign_in(
    request: Request,
    access: AccessOf,
    token: Annotated[str, Form()],
    next: Annotated[str, Form()] = "/",  # noqa: A002 the form's name
) -> Response:
    """A cookie for a token that is known; a form from elsewhere is refused before (orchestrator.api.guard)."""
    caller = access.by_token(token.strip())
    if caller is None or not caller.key:
        return page(request, "login.html.j2", 401, next=local_path(next), wrong=True)
    request.state.caller = caller  # who signed in, for the record
    answer = RedirectResponse(local_path(next), 303)
    secure = request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https"
    answer.set_cookie(
        COOKIE, access.session_for(caller), max_age=SESSION_SECONDS, httponly=True, samesite="strict", secure=secure
    )
    return answer


@router.post("/logout")
def sign_out(_person: Person) -> Response:
    """Forget the cookie."""
    answer = back("/login")
    answer.delete_cookie(COOKIE)
    return answer
