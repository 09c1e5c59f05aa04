"""What every form of the page has in common: the token that proves it is ours, and where the browser goes afterwards."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import Depends, Form, HTTPException
from fastapi.responses import RedirectResponse

from orchestrator.api.access import Caller
from orchestrator.api.dependencies import AccessOf, CallerOf


def _own_form(access: AccessOf, caller: CallerOf, form_token: Annotated[str, Form()] = "") -> Caller:
    if not access.form_is_ours(caller, form_token):
        raise HTTPException(403, "This form is too old, or did not come from our page. Load the page again.")
    return caller


Person = Annotated[Caller, Depends(_own_form)]
"""Who sent a form that carries our token; 403 for any other."""


def back(path: str, notice: str = "", **values: str) -> RedirectResponse:
    """To a page of ours, by GET, with a word on what was done (orchestrator.web.render.NOTICES)."""
    query = urlencode({**({"notice": notice} if notice else {}), **values})
    return RedirectResponse(f"{path}?{query}" if query else path, 303)


def local_path(text: str) -> str:
    """A path of our own page, or the overview: nobody is sent elsewhere by a link."""
    return text if text.startswith("/") and not text.startswith(("//", "/\\")) else "/"
