"""Destinations as the ledger knows them, what is known of products, and the purposes that a job can have."""

from __future__ import annotations

import tomllib
from dataclasses import asdict
from datetime import datetime
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import select

from common.errors import PolicyError, UnknownName
from common.recipes import PROFILES
from orchestrator.api.body import LARGEST_JOB, TOML_TYPES, media_type, read_body
from orchestrator.api.dependencies import FarmOf
from orchestrator.destinations import DestinationProfile, Library
from orchestrator.ledger.schema import Destination
from orchestrator.limits import limit_of

router = APIRouter(prefix="/api/v1", tags=["queues and destinations"])

PROFILE_EXAMPLE: dict[str, Any] = {
    "name": "our-pacs",
    "title": "The PACS of the main building",
    "kind": "archive",
    "syntaxes": {"value": [".102", ".100"], "source": "cinefarm probe, 2026-11-23"},
    "max_bytes": {"value": "2GiB", "source": "its vendor, by telephone"},
}

_TOML = """name = "our-pacs"
title = "The PACS of the main building"
kind = "archive"

[max_bytes]
value = "2GiB"
source = "its vendor, by telephone"
"""

_REQUEST: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/DestinationProfile"},
                "examples": {"profile": {"value": PROFILE_EXAMPLE}},
            },
            "application/toml": {"schema": {"type": "string"}, "examples": {"profile": {"value": _TOML}}},
        },
    }
}


class DestinationAnswer(BaseModel):
    """One destination that was ever limited, stated, probed or delivered to."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "destination": "dicom://ARCHIVE@pacs.example:104",
                    "limit": {"concurrent": 2, "bytes_per_second": None, "window": None},
                    "accepts": None,
                    "probed": None,
                    "commits_not_since": None,
                    "away_until": None,
                }
            ]
        }
    )

    destination: str
    limit: dict[str, Any] = Field(description="concurrent, bytes_per_second, window")
    accepts: dict[str, Any] | None = Field(description="what it takes, as stated with a job; null: as assumed")
    probed: dict[str, Any] | None = Field(description="what it told when it was probed; null: never")
    commits_not_since: datetime | None = Field(description="when it last refused storage commitment")
    away_until: datetime | None = Field(description="it does not answer: when it is tried again")


class PurposeAnswer(BaseModel):
    """One purpose: what a job's `profile` names."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "archive", "profile": {"name": "archive"}}]})

    name: str
    profile: dict[str, Any] = Field(description="its ladder of recipes and its gate")


@router.get("/destinations", operation_id="listDestinations")
def known(farm: FarmOf) -> list[DestinationAnswer]:
    """The destinations that the farm knows, with their limits and what they take."""
    with farm.reading() as session:
        return [
            DestinationAnswer(
                destination=row.uri,
                limit=asdict(limit_of(session, row.uri)),
                accepts=row.accepts,
                probed=row.probed,
                commits_not_since=row.commits_not_since,
                away_until=row.paused_until,
            )
            for row in session.scalars(select(Destination).order_by(Destination.uri))
        ]


@router.get("/destination-profiles", operation_id="listDestinationProfiles", response_model_exclude_none=True)
def library(farm: FarmOf) -> list[DestinationProfile]:
    """What is known of archives and viewers, each fact with its source (docs/destinations.md)."""
    return sorted(Library.of(farm.settings).profiles.values(), key=lambda each: (each.kind, each.name))


@router.get("/destination-profiles/{name}", operation_id="getDestinationProfile", response_model_exclude_none=True)
def one(name: str, farm: FarmOf) -> DestinationProfile:
    """One product."""
    found = Library.of(farm.settings).profiles.get(name)
    if found is None:
        raise UnknownName("there is no such profile", hint="GET /api/v1/destination-profiles lists them.")
    return found


@router.post(
    "/destination-profiles/validate",
    operation_id="validateDestinationProfile",
    response_model_exclude_none=True,
    openapi_extra=_REQUEST,
)
async def validate(request: Request) -> DestinationProfile:
    """Check a profile of your own before it goes into CINEFARM_PROFILES_DIR; what is wrong is in `errors`, by its path."""
    kind = media_type(request)
    if kind not in ("application/json", *TOML_TYPES):
        raise HTTPException(415, "the body must be application/json or application/toml")
    body = await read_body(request, LARGEST_JOB)
    try:
        if kind == "application/json":
            return DestinationProfile.model_validate_json(body)
        return DestinationProfile.model_validate(tomllib.loads(body.decode()))
    except ValidationError as error:
        faults = [each | {"loc": ("body", *each["loc"])} for each in error.errors(include_context=False)]
        raise RequestValidationError(faults) from error
    except (ValueError, RecursionError) as error:
        raise PolicyError(f"the body is not TOML: {error}", hint="docs/destinations.md describes the files.") from error


@router.get("/profiles", operation_id="listProfiles")
def purposes() -> list[PurposeAnswer]:
    """The purposes that a job can have: archive, diagnostic, review, lossless, primary …"""
    return [PurposeAnswer(name=name, profile=profile.model_dump(mode="json")) for name, profile in PROFILES.items()]
