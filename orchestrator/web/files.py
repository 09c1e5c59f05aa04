"""Our static files, by names that hold their content's digest: browsers keep them for a year."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException
from fastapi.responses import Response

from orchestrator.web.render import STATIC

router = APIRouter()

TYPES = {
    "app.css": "text/css",
    "app.js": "text/javascript",
    "htmx.min.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


@router.get("/static/{_digest}/{name}")
def static(_digest: str, name: str) -> Response:
    """One file; whatever digest is asked for gets the present one."""
    if name not in TYPES:
        raise HTTPException(404)
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
    return Response((STATIC / name).read_bytes(), media_type=TYPES[name], headers=headers)
