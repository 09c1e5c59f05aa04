"""Decisions about items that were set aside: try again, accept, give up (orchestrator.deciding)."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from common.errors import PolicyError, UnknownName
from common.recipes import PROFILES
from common.settings import Settings
from orchestrator import deciding
from orchestrator.api.access import Access, Caller
from orchestrator.api.dependencies import AccessOf, CallerOf, FarmOf
from orchestrator.deciding import Outcome, Selection

router = APIRouter(prefix="/api/v1", tags=["items"])


class Decision(BaseModel):
    """What a person decides, about which items, and why."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"what": "retry", "cause": "gate.vmaf", "profile": "review", "reason": "teaching copies are enough"},
                {"what": "give_up", "cause": "UnreadableSource", "reason": "the recorder's disk is lost"},
            ]
        },
    )

    what: Literal["retry", "accept", "give_up"] = Field(
        description="begin anew from the source; let a result out that missed its gate; end for good"
    )
    items: list[str] = Field(default_factory=list, max_length=1000, description="ids; empty: all of the cause")
    cause: str = Field(default="", max_length=64, description="all items that were set aside for it")
    job: str = Field(default="", max_length=32, description="id of the job whose items are meant; empty: every job's")
    profile: str = Field(default="", max_length=64, description="retry: by this profile from now on; empty: as before")
    reason: str = Field(default="", max_length=2000, description="accepting and giving up need one")
    signature: SecretStr = Field(
        default=SecretStr(""),
        max_length=200,
        description="accepting: your own token once more (docs/api.md, Signatures)",
    )


class Decided(BaseModel):
    """What a decision did."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"items": 12, "refused": {"what breaks the standard cannot be accepted": 1}}]}
    )

    items: int = Field(description="how many follow it")
    refused: dict[str, int] = Field(description="why others do not → how many")


@router.post("/decisions", operation_id="decide")
def decide(asked: Decision, farm: FarmOf, caller: CallerOf, access: AccessOf) -> Decided:
    """Decide about items that were set aside. The caller's name and the reason are on record."""
    signed = asked.what == "accept" and signature(access, caller, asked.signature.get_secret_value(), farm.settings)
    done = _carry_out(asked, farm, caller, signed=signed)
    return Decided(items=done.count, refused=dict(done.refused))


def signature(access: Access, caller: Caller, shown: str, settings: Settings) -> bool:
    """Whether a decision that needs a signature bears one; without tokens nobody can sign.

    Raises:
        PolicyError: a signature is needed, and this is none of the caller's.
    """
    if not settings.api_signatures or not caller.digest:
        return False
    if not access.signs(caller, shown):
        hint = "Show your own token once more, as `signature`."
        raise PolicyError("accepting what missed its gate needs your signature", hint=hint)
    return True


def _carry_out(asked: Decision, farm: FarmOf, caller: CallerOf, *, signed: bool) -> Outcome:
    chosen = Selection(tuple(asked.items)) if asked.items else Selection(cause=asked.cause, job_id=asked.job)
    if asked.what == "accept":
        return deciding.accept(farm.ledger, chosen, by=caller.name, why=asked.reason, signed=signed)
    if asked.what == "give_up":
        return deciding.give_up(farm.ledger, chosen, by=caller.name, why=asked.reason)
    if asked.profile and asked.profile not in PROFILES:
        raise UnknownName("there is no such profile", hint=f"Profiles: {', '.join(PROFILES)}.")
    profile = PROFILES[asked.profile] if asked.profile else None
    return deciding.retry(farm.ledger, chosen, by=caller.name, why=asked.reason, profile=profile)
