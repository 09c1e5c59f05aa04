"""Bodies that are read by hand: of a stated size at most, JSON or TOML by their media type."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from common.errors import PolicyError, TooLarge
from orchestrator.jobfile import JobFile

LARGEST_JOB = 1 << 20
"""Bytes of a job: thousands of sources. More of them lie in a folder, or in several jobs."""

TOML_TYPES = ("application/toml", "text/toml", "text/x-toml")


async def read_body(request: Request, largest: int) -> bytes:
    """The whole body.

    Raises:
        TooLarge: it has more than ``largest`` bytes.
    """
    got = bytearray()
    async for part in request.stream():
        got += part
        if len(got) > largest:
            raise TooLarge(f"the body has more than {largest} bytes", hint="Send it in parts.")
    return bytes(got)


def media_type(request: Request) -> str:
    """The media type of a body, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True)
class AskedJob:
    """A job as it was sent."""

    job: JobFile
    body: bytes


async def _job(request: Request) -> AskedJob:
    """The job in a body: the keys of JOB.toml (docs/jobs.md), as JSON or TOML."""
    kind = media_type(request)
    if kind not in ("application/json", *TOML_TYPES):
        raise HTTPException(415, "the body must be application/json or application/toml")
    body = await read_body(request, LARGEST_JOB)
    try:
        values = json.loads(body) if kind == "application/json" else tomllib.loads(body.decode())
    except (ValueError, RecursionError) as error:
        name = "JSON" if kind == "application/json" else "TOML"
        raise PolicyError(f"the body is no {name}: {error}", hint="docs/jobs.md describes every key.") from error
    try:
        job = JobFile.model_validate(values)
    except ValidationError as error:
        raise RequestValidationError([each | {"loc": ("body", *each["loc"])} for each in error.errors()]) from error
    return AskedJob(job.checked(), body)


JobBody = Annotated[AskedJob, Depends(_job)]

JOB_EXAMPLE = {
    "name": "endoscopy 2019",
    "sources": ["/archive/endoscopy/2019"],
    "destinations": ["dicom://ARCHIVE@pacs.example:104"],
    "priority": 5,
    "window": "Mon-Fri 20:00-06:00 Europe/Berlin",
}

JOB_TOML = """name = "endoscopy 2019"
sources = ["/archive/endoscopy/2019"]
destinations = ["dicom://ARCHIVE@pacs.example:104"]
"""

JOB_REQUEST: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/JobFile"},
                "examples": {"job": {"value": JOB_EXAMPLE}},
            },
            "application/toml": {"schema": {"type": "string"}, "examples": {"job": {"value": JOB_TOML}}},
        },
    }
}
"""For ``openapi_extra``: FastAPI cannot see what a dependency reads by hand."""
