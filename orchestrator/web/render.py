"""Templates and the headers of every page: no script and no style but our own files, nothing from elsewhere, no frame around us."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from common import __version__
from orchestrator.reports import words as reports
from orchestrator.web import labels, words

TEMPLATES = Path(__file__).parent / "templates"
STATIC = Path(__file__).parent / "static"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""Content-Security-Policy (CSP 3) of every page."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",  # what operators see is not for the next person at this machine
}


def page(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page, or a part of one for htmx, from a template."""
    caller = getattr(request.state, "caller", None)
    known = {
        "request": request,
        "caller": caller,
        "form_token": request.app.state.access.form_token(caller) if caller else "",
        "signed_in": bool(caller and caller.session),
        "notice": request.query_params.get("notice", "") in NOTICES and NOTICES[request.query_params["notice"]],
    }
    text = _environment().get_template(template).render(known | values)
    return HTMLResponse(text, status, HEADERS)


NOTICES = {
    "submitted": "The job is submitted. Its sources are being listed now.",
    "paused": "The job is paused. What runs now ends; nothing new begins.",
    "resumed": "The job goes on.",
    "cancelled": "The job is cancelled. What was done stays.",
    "retried": "The items begin again.",
    "changed": "Saved.",
    "draining": "The worker finishes what it has and takes nothing new.",
    "recalled": "The worker takes orders again.",
}
"""What the page says after a form was sent; only these words, so that no link puts words into our mouth."""


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "words": words,
        "reports": reports,
        "labels": labels,
        "asset": asset,
        "version": __version__,
    }
    return environment


@lru_cache(maxsize=16)
def asset(name: str) -> str:
    """URL of a static file: it names the content, so that browsers may keep it."""
    return f"/static/{hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]}/{name}"
