"""What a route is given: ``farm: FarmOf``, ``caller: CallerOf``."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path, Request

from orchestrator.api.access import Access, Caller
from orchestrator.farm import Farm


def _farm(request: Request) -> Farm:
    farm: Farm = request.app.state.farm
    return farm


def _access(request: Request) -> Access:
    access: Access = request.app.state.access
    return access


def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


FarmOf = Annotated[Farm, Depends(_farm)]
AccessOf = Annotated[Access, Depends(_access)]
CallerOf = Annotated[Caller, Depends(_caller)]
JobName = Annotated[str, Path(min_length=1, max_length=200, description="id, the beginning of an id, or a job's name")]
ItemId = Annotated[str, Path(min_length=1, max_length=32, description="id of an item")]
