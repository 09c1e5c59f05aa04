"""The routes of this package; orchestrator.api.app takes them in."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
