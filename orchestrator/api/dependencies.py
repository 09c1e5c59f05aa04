"""What a route is given: ``farm: FarmOf``, ``caller: CallerOf``."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

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
