"""The form that decides about items that were set aside: retry, accept or give up, for one, for some, or for a whole cause."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import Response

from common.errors import CinefarmError
from common.recipes import PROFILES
from orchestrator import deciding
from orchestrator.api.decisions import signature
from orchestrator.api.dependencies import AccessOf, FarmOf
from orchestrator.deciding import Outcome, Selection
from orchestrator.web.forms import Person, local_path
from orchestrator.web.render import page

router = APIRouter()


@router.post("/decisions")
def decide(
    request: Request,
    farm: FarmOf,
    person: Person,
    access: AccessOf,
    what: Annotated[Literal["retry", "accept", "give_up"], Form()],
    item: Annotated[list[str] | None, Form()] = None,
    everything: Annotated[str, Form()] = "",
    cause: Annotated[str, Form(max_length=64)] = "",
    job: Annotated[str, Form(max_length=32)] = "",
    profile: Annotated[str, Form()] = "",
    why: Annotated[str, Form(max_length=2000)] = "",
    signed: Annotated[str, Form(alias="signature", max_length=200)] = "",
    back: Annotated[str, Form()] = "/exceptions",
) -> Response:
    """Carry the decision out and say what it did. ``everything``: all of the cause, else the ticked items."""
    try:
        chosen = Selection(cause=cause, job_id=job) if everything and cause else Selection(tuple(item or ()))
        good = what == "accept" and signature(access, person, signed, farm.settings)
        outcome = _carry_out(farm, chosen, what, person.name, why.strip(), profile, signed=good)
    except CinefarmError as error:
        raise HTTPException(422, f"{error.message}. {error.hint}".strip()) from error
    return page(request, "decided.html.j2", what=what, outcome=outcome, back=local_path(back), profile=profile)


def _carry_out(farm: FarmOf, chosen: Selection, what: str, by: str, why: str, profile: str, *, signed: bool) -> Outcome:
    if what != "retry" and not why:
        raise HTTPException(422, "Give a reason: it stands beside your name in the record and in the report.")
    if what == "accept":
        return deciding.accept(farm.ledger, chosen, by=by, why=why, signed=signed)
    if what == "give_up":
        return deciding.give_up(farm.ledger, chosen, by=by, why=why)
    if profile and profile not in PROFILES:
        raise HTTPException(422, "There is no such profile.")
    return deciding.retry(farm.ledger, chosen, by=by, why=why, profile=PROFILES[profile] if profile else None)
