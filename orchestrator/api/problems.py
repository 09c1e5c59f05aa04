"""Errors as application/problem+json (RFC 9457): what was wrong, what to do next, and one table from our errors to status codes."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from redis.exceptions import RedisError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from starlette.exceptions import HTTPException

from common.errors import (
    BadIdentifiers,
    BadMapping,
    CinefarmError,
    ConflictingRequest,
    EnvironmentFault,
    InputError,
    PolicyError,
    StoreFault,
    TooLarge,
    UnknownName,
)
from common.logs import logger
from orchestrator.ledger.database import LedgerAway

log = logger(__name__)

MEDIA_TYPE = "application/problem+json"

RETRY_AFTER_SECONDS = "5"

STATUS_OF: Mapping[type[CinefarmError], int] = {
    UnknownName: 404,
    ConflictingRequest: 409,
    TooLarge: 413,
    BadMapping: 422,
    BadIdentifiers: 422,
    PolicyError: 422,
    InputError: 422,
    StoreFault: 503,
    EnvironmentFault: 503,
    CinefarmError: 500,
}
"""The most special class counts."""


class Fault(BaseModel):
    """One fault of a request."""

    where: str = Field(description="path in the body, name of a parameter, or line of a file")
    message: str


class Problem(BaseModel):
    """Why a request was not done (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Not Found",
                    "status": 404,
                    "detail": "there is no such job",
                    "code": "UnknownName",
                    "hint": "GET /api/v1/jobs lists the jobs with their ids.",
                    "errors": [],
                }
            ]
        }
    )

    type: str = Field(default="about:blank", description="title and status say it all (RFC 9457 4.2.1)")
    title: str = Field(description="the name of the status code")
    status: int
    detail: str = Field(description="what was wrong with this request")
    code: str = Field(description="stable name of the error")
    hint: str = Field(default="", description="what to do next")
    errors: list[Fault] = Field(default_factory=list, description="fault by fault, where there are several")


def answer(
    status: int,
    detail: str,
    code: str,
    *,
    hint: str = "",
    errors: list[Fault] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """One problem as an answer; 503 says when to come again."""
    problem = Problem(
        title=HTTPStatus(status).phrase, status=status, detail=detail, code=code, hint=hint, errors=errors or []
    )
    again = {"Retry-After": RETRY_AFTER_SECONDS} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    return JSONResponse(problem.model_dump(), status, {**again, **(headers or {})}, MEDIA_TYPE)


def status_of(error: CinefarmError) -> int:
    """The status code of one of our errors."""
    return next(STATUS_OF[kind] for kind in type(error).__mro__ if kind in STATUS_OF)


def handle_problems(app: FastAPI) -> None:
    """Let every error of ``app`` leave as a problem."""
    app.add_exception_handler(CinefarmError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    for away in LedgerAway:
        app.add_exception_handler(away, _ledger_away)
    app.add_exception_handler(PoolExhausted, _ledger_away)
    app.add_exception_handler(RedisError, _broker_away)
    app.add_exception_handler(Exception, _bug)


def _ours(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, CinefarmError)  # noqa: S101 registered for it
    faults = [_fault(each) for each in error.faults] if isinstance(error, BadMapping) else []
    return answer(status_of(error), error.message, error.code, hint=error.hint, errors=faults)


def _fault(text: str) -> Fault:
    """``line 3, column 2 (PatientID): empty, and it must not be``."""
    where, _, message = text.partition(": ")
    return Fault(where=where, message=message)


def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 registered for it
    faults = [Fault(where=".".join(map(str, each["loc"])), message=str(each["msg"])) for each in error.errors()]
    detail = "; ".join(f"{fault.where}: {fault.message}" for fault in faults)
    return answer(422, detail, "InvalidRequest", hint="/api/docs describes every request.", errors=faults)


def _http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 registered for it
    return answer(error.status_code, str(error.detail), "HttpError", headers=error.headers)


def _ledger_away(_request: Request, error: Exception) -> JSONResponse:
    log.warning("ledger_away", error=type(error).__name__)
    hint = "Try again; if it stays so, look at the database server."
    return answer(503, "the ledger does not answer", "LedgerAway", hint=hint)


def _broker_away(_request: Request, error: Exception) -> JSONResponse:
    log.warning("broker_away", error=type(error).__name__)
    hint = "Try again; if it stays so, look at Redis or Valkey."
    return answer(503, "the broker does not answer", "BrokerAway", hint=hint)


def _bug(_request: Request, error: Exception) -> JSONResponse:
    log.error("request_broke", error=type(error).__name__)
    return answer(500, "this is a bug of ours", type(error).__name__, hint="The service's log tells where it is.")


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For ``responses=`` of a route: these statuses answer with a problem."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}
