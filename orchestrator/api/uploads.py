"""What a job needs besides its keys, sent before it: mapping CSVs, checked row by row, and rules for identifiers."""

from __future__ import annotations

import hashlib
import tempfile
from typing import IO, Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import UploadFile

from common.dicom.identifiers import Identifiers
from common.errors import BadIdentifiers, TooLarge
from common.store import ObjectStore
from orchestrator.api.body import media_type
from orchestrator.api.dependencies import FarmOf
from orchestrator.ingest.identifiers import put_identifiers
from orchestrator.ingest.mapping import EXAMPLE, Mapping
from orchestrator.jobfile import mapping_key

router = APIRouter(prefix="/api/v1", tags=["uploads"])

LARGEST_MAPPING = 256 << 20
"""Bytes: a line each for a million files."""

_CHUNK = 1 << 20

_CSV = f"{','.join(('file', 'PatientID', 'PatientName'))}\n{EXAMPLE['file']},{EXAMPLE['PatientID']},{EXAMPLE['PatientName']}\n"


class UploadedMapping(BaseModel):
    """A mapping that is in order."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"id": "ab" * 32, "rows": 120, "columns": ["file", "PatientID", "PatientName"]}]
        }
    )

    id: str = Field(description="for `map` of a job: the SHA-256 of the file")
    rows: int = Field(description="lines that name a file or a pattern")
    columns: list[str]


class UploadedIdentifiers(BaseModel):
    """Rules that are in order."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"id": "ab" * 32}]})

    id: str = Field(description="for `identifiers` of a job: the SHA-256 of the rules")


async def _csv(request: Request) -> IO[bytes]:
    """The CSV of a body, as it is or as the field ``file`` of a form, in a file that is deleted with its last reader."""
    kind = media_type(request)
    into = tempfile.TemporaryFile()  # noqa: SIM115 the route closes it
    if kind == "multipart/form-data":
        field = (await request.form(max_files=1, max_fields=8)).get("file")
        if not isinstance(field, UploadFile):
            raise HTTPException(422, "the form has no file named 'file'")
        while part := await field.read(_CHUNK):
            _take(into, part)
    elif kind in ("text/csv", "application/csv"):
        async for part in request.stream():
            _take(into, part)
    else:
        raise HTTPException(415, "the body must be text/csv, or a form with the field 'file'")
    into.seek(0)
    return into


def _take(into: IO[bytes], part: bytes) -> None:
    into.write(part)
    if into.tell() > LARGEST_MAPPING:
        raise TooLarge(f"the mapping has more than {LARGEST_MAPPING} bytes", hint="Give each job its own mapping.")


_REQUEST: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "text/csv": {"schema": {"type": "string"}, "examples": {"mapping": {"value": _CSV}}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "contentMediaType": "text/csv"}},
                }
            },
        },
    }
}


@router.post("/mappings", operation_id="uploadMapping", status_code=201, openapi_extra=_REQUEST)
def mapping(
    csv: Annotated[IO[bytes], Depends(_csv)],
    farm: FarmOf,
    worklist: Annotated[
        bool, Query(description="for a job that asks a worklist: an accession number takes the place of the Patient ID")
    ] = False,
) -> UploadedMapping:
    """Check a mapping CSV (docs/mapping.md) and keep it. Every cell that is wrong is in `errors`, with line and column."""
    with csv:
        found = Mapping.read(csv, worklist=worklist)
        csv.seek(0)
        digest = hashlib.file_digest(csv, "sha256").hexdigest()  # type: ignore[arg-type]
        csv.seek(0)
        _keep(farm.store, mapping_key(digest), csv)
    return UploadedMapping(id=digest, rows=found.rows, columns=list(found.names))


def _keep(store: ObjectStore, key: str, csv: IO[bytes]) -> None:
    if store.size(key) is not None:
        return
    with store.writer(key) as into:
        while part := csv.read(_CHUNK):
            into.write(part)


@router.post("/identifiers", operation_id="uploadIdentifiers", status_code=201)
def identifiers(rules: Identifiers, farm: FarmOf) -> UploadedIdentifiers:
    """Check rules for identifiers (docs/identifiers.md) and keep them; lists of IDs stand in them, as `ids`."""
    if not rules.patient and not rules.accession:
        raise BadIdentifiers("there is no rule for identifiers", hint="docs/identifiers.md describes every key.")
    put_identifiers(rules, farm.store)
    return UploadedIdentifiers(id=rules.digest)
