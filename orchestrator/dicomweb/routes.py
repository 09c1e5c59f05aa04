"""The routes of this package; orchestrator.api.app takes them in."""

from __future__ import annotations

from fastapi import APIRouter

from orchestrator.dicomweb import bulk, metadata, pictures, rendered, retrieve, search

router = APIRouter()
for each in (search, metadata, retrieve, rendered, bulk, pictures):
    router.include_router(each.router)
