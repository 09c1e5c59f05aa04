"""The OpenAPI document: what FastAPI finds by itself, the bodies that are read by hand, and every error as a problem."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from orchestrator.api.body import JOB_EXAMPLE
from orchestrator.api.destinations import PROFILE_EXAMPLE
from orchestrator.api.problems import MEDIA_TYPE, Problem
from orchestrator.destinations import DestinationProfile
from orchestrator.jobfile import JobFile

_PROBLEM = {"description": "a problem", "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}

ELSEWHERE: dict[str, list[Any]] = {
    "DestinationProfile": [PROFILE_EXAMPLE],
    "DestinationProfile-Output": [PROFILE_EXAMPLE],
    "Identifiers": [{"patient": [{"prefix": "X-", "issuer": "HOSPITAL-A"}]}],
    "JobFile": [JOB_EXAMPLE],
}
"""Examples of models that are not the API's own."""

SECURITY = {"token": {"type": "http", "scheme": "bearer", "description": "one of CINEFARM_API_TOKENS (docs/api.md)"}}


def describe(app: FastAPI) -> None:
    """Let ``app`` answer with our document."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    setattr(app, "openapi", document)  # noqa: B010 FastAPI's way (docs: Extending OpenAPI), which mypy takes for a mistake


def _document(app: FastAPI) -> dict[str, Any]:
    made = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
    _, ours = models_json_schema(
        [(JobFile, "validation"), (DestinationProfile, "validation"), (Problem, "serialization")],
        ref_template="#/components/schemas/{model}",
    )
    components = made.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas |= ours["$defs"]
    for name, examples in ELSEWHERE.items():
        if name in schemas:
            schemas[name]["examples"] = examples
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    components["securitySchemes"] = SECURITY
    made["security"] = [{"token": []}, {}]
    for operations in made["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = _PROBLEM
    return made
