"""``cinefarm report`` of a service's job: downloaded, and what a person has to act on named on stderr."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from common.errors import EnvironmentFault, UnknownName
from common.stages import State
from orchestrator.cli.client import Client, connected, settings_of
from orchestrator.cli.plain import plain, stderr_console
from orchestrator.reports import words
from orchestrator.reports.values import PROBLEMS

FORMS = ("html", "csv", "jsonl")

_NAMED = {*(state.value for state in PROBLEMS), State.DELIVERED.value}


def fetch_report(job: str | None, *, out: Path | None, state: Path | None, api: str | None, as_json: bool) -> int:
    """Download the report of a job, default the latest. Returns 0, or 1 when items are not done.

    Raises:
        UnknownName: there is no such job.
        EnvironmentFault: no service answers, or the files cannot be written.
    """
    with connected(api, state) as client:
        job_id = _job(client, job)
        folder = out or settings_of(state).state_dir / "reports" / job_id
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for form in FORMS:
                client.download(f"/jobs/{job_id}/report.{form}", folder / f"report.{form}")
        except OSError as error:
            hint = "Name another folder with --out."
            raise EnvironmentFault(f"the report cannot be written: {error.strerror}", hint=hint) from error
    return _show(folder, as_json=as_json)


def _job(client: Client, name: str | None) -> str:
    if name is not None:
        from urllib.parse import quote

        return str(client.json("GET", f"/jobs/{quote(name, safe='')}")["job"])
    latest = client.json("GET", "/jobs", params={"limit": 1})["items"]
    if not latest:
        raise UnknownName("there is no job", hint="`cinefarm submit JOB.toml` hands one over.")
    return str(latest[0]["job"])


def _show(folder: Path, *, as_json: bool) -> int:
    """The problems by name, then the counts; lines of JSON go to stdout as they come, however many they are."""
    console, counts = stderr_console(), dict[str, int]()
    with (folder / "report.jsonl").open(encoding="ascii") as file:
        for text in file:
            if as_json:
                print(text, end="")  # noqa: T201 the answer
            entry: dict[str, Any] = json.loads(text)
            if entry["type"] == "item" and entry["state"] in _NAMED:
                console.print(
                    plain(f"{entry['name']}: {entry['state']}: {entry['reason']}"), soft_wrap=True, markup=False
                )
                if entry["next_step"]:
                    console.print(plain(f"  {entry['next_step']}"), soft_wrap=True, markup=False)
            elif entry["type"] == "summary":
                counts = entry["counts"]
    told = ", ".join(f"{count} {words.STATES[State(state)]}" for state, count in counts.items())
    console.print(f"{told or 'nothing found yet'}. Report: {folder / 'report.html'}", soft_wrap=True, markup=False)
    return int(any(counts.get(state) for state in _NAMED))
