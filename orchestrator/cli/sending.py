"""A job file on its way to the API: paths made absolute, what lies beside it uploaded first."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import BadMapping
from orchestrator.ingest.identifiers import load_identifiers
from orchestrator.ingest.mapping import Mapping
from orchestrator.jobfile import JobFile, below

if TYPE_CHECKING:
    from orchestrator.cli.client import Client

_FILE_WORD = re.compile(r"(?P<word>profile=)(?P<file>(?!/)\S+\.toml)\b")
"""``profile=./our-pacs.toml``, below the folder of the job file too."""


def sent(job: JobFile, folder: Path, client: Client) -> dict[str, Any]:
    """The body of POST /api/v1/jobs.

    Raises:
        BadMapping: the CSV has errors; it is checked here, where its path means something, and by the service again.
        BadIdentifiers: the rules for identifiers have errors.
    """
    body = job.model_dump(mode="json", exclude_unset=True)
    body["sources"] = [below(folder, text) for text in job.sources]
    body["destinations"] = [below(folder, text) for text in job.destinations]
    for key in ("limits", "accepts"):
        if key in body:
            body[key] = {below(folder, to): _absolute(words, folder) for to, words in body[key].items()}
    if job.map:
        body["map"] = _upload(Path(below(folder, job.map)), client, worklist=job.worklist is not None)
    if job.identifiers:
        rules = load_identifiers(Path(below(folder, job.identifiers)))
        body["identifiers"] = client.json("POST", "/identifiers", rules.model_dump(mode="json"))["id"]
    return body


def _absolute(words: str, folder: Path) -> str:
    return _FILE_WORD.sub(lambda found: f"{found['word']}{folder / found['file']}", words)


def _upload(path: Path, client: Client, *, worklist: bool) -> str:
    Mapping.load(path, worklist=worklist)
    try:
        with path.open("rb") as csv:
            headers, asked = {"Content-Type": "text/csv"}, {"worklist": str(worklist).lower()}
            return str(client.json("POST", "/mappings", content=csv, headers=headers, params=asked)["id"])
    except OSError as error:
        raise BadMapping(f"the mapping cannot be read: {error.strerror}", hint="Check the path after map.") from error
