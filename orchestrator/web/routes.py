"""The routes of this package; orchestrator.api.app takes them in."""

from __future__ import annotations

from fastapi import APIRouter

from orchestrator.web import decisions, exceptions, files, item, jobs, overview, session, steering, submit, workers

router = APIRouter(include_in_schema=False)
for each in (overview, submit, jobs, steering, item, exceptions, decisions, workers, session, files):
    router.include_router(each.router)
