"""Commands for a running farm: submit a job, look at it, steer it. All of them speak to the HTTP API alone (docs/api.md)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.client import Api

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.status import Progress

JobName = Annotated[str, typer.Argument(metavar="JOB", help="id, the beginning of an id, or a job's name")]
State = Annotated[
    Path | None, typer.Option("--state", metavar="DIR", help="state directory of the service on this machine")
]
Json = Annotated[bool, typer.Option("--json", help="one JSON object a line on stdout (docs/json.md)")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="why; it is kept beside your name")]

WATCH_SECONDS = 1.0


def submit(
    file: Annotated[Path, typer.Argument(metavar="JOB.toml", help="what to move where (docs/jobs.md)")],
    state: State = None,
    api: Api = None,
    json: Json = False,
) -> int:
    """Hand a job to the orchestrator. The same job again goes on: failed items are tried again, new files are found."""
    from uuid import uuid4

    from orchestrator.cli.client import connected
    from orchestrator.cli.sending import sent
    from orchestrator.jobfile import JobFile

    asked = JobFile.load(file)
    with connected(api, state) as client:
        body = sent(asked, file.absolute().parent, client)
        made = client.json("POST", "/jobs", body, headers={"Idempotency-Key": uuid4().hex})
    _show({"type": "submitted", "job": made["job"]}, made["job"], as_json=json)
    return 0


def jobs(state: State = None, api: Api = None, json: Json = False) -> int:
    """List all jobs, the latest first."""
    from orchestrator.cli.client import connected

    with connected(api, state) as client:
        for job in client.pages("/jobs"):
            _show(job, _line(job), as_json=json)
    return 0


def status(job: JobName, state: State = None, api: Api = None, json: Json = False) -> int:
    """How a job stands now."""
    from orchestrator.cli.client import connected

    with connected(api, state) as client:
        seen = client.json("GET", _path(job))
    _show(seen, _text(seen), as_json=json)
    return 0


def watch(job: JobName, state: State = None, api: Api = None) -> int:
    """Follow a job until it has ended. Exit codes: 0 all items done, 1 some are not."""
    from orchestrator.cli.client import connected
    from orchestrator.cli.live import LiveDisplay
    from orchestrator.reports.values import PROBLEMS
    from orchestrator.status import JobState

    with connected(api, state) as client, LiveDisplay() as live:
        while True:
            seen = client.json("GET", _path(job))
            live.update(_progress(seen))
            if seen["state"] in (JobState.ENDED, JobState.CANCELLED, JobState.REFUSED):
                break
            time.sleep(WATCH_SECONDS)
    _show({}, _text(seen), as_json=False)
    return int(seen["state"] != JobState.ENDED or any(seen["counts"].get(problem.value) for problem in PROBLEMS))


def pause(
    job: JobName,
    now: Annotated[bool, typer.Option("--now", help="stop what runs as well; it is done again after resume")] = False,
    reason: Reason = "",
    state: State = None,
    api: Api = None,
) -> int:
    """Send nothing new of a job; what runs ends."""
    return _steer(job, "pause", {"now": now, "reason": reason}, "paused", state, api)


def resume(job: JobName, reason: Reason = "", state: State = None, api: Api = None) -> int:
    """Go on with a paused job."""
    return _steer(job, "resume", {"reason": reason}, "goes on", state, api)


def cancel(job: JobName, reason: Reason = "", state: State = None, api: Api = None) -> int:
    """End a job: what runs is stopped within seconds, what is done stays done."""
    return _steer(job, "cancel", {"reason": reason}, "cancelled", state, api)


def retry(
    job: JobName,
    quarantined: Annotated[bool, typer.Option("--quarantined", help="also what missed its gate")] = False,
    reason: Reason = "",
    state: State = None,
    api: Api = None,
) -> int:
    """Try a job's failed and cancelled items again."""
    return _steer(job, "retry", {"quarantined": quarantined, "reason": reason}, "retried", state, api)


def priority(
    job: JobName,
    number: Annotated[int, typer.Argument(min=-1000, max=1000, help="higher goes first; a job begins with 0")],
    reason: Reason = "",
    state: State = None,
    api: Api = None,
) -> int:
    """Let a job go before others, or after them."""
    return _change(job, {"priority": number, "reason": reason}, f"priority {number}", state, api)


def window(
    job: JobName,
    when: Annotated[str, typer.Argument(metavar="WHEN", help="e.g. 'Mon-Fri 20:00-06:00 Europe/Berlin'; '': always")],
    at_end: Annotated[
        str | None, typer.Option("--at-end", metavar="finish|stop", help="what runs when it closes")
    ] = None,
    reason: Reason = "",
    state: State = None,
    api: Api = None,
) -> int:
    """Say when work of a job may go out (docs/limits.md)."""
    asked = {"window": when, "reason": reason} | ({"at_end": at_end} if at_end else {})
    return _change(job, asked, f"window {when}" if when else "always", state, api)


def audit(job: JobName, state: State = None, api: Api = None, json: Json = False) -> int:
    """Show every change of state of a job's items and deliveries. Exit codes: 0 the trail is complete, 1 it has gaps."""
    from orchestrator.cli.client import connected, embedded_ledger

    ledger = embedded_ledger(api, state)
    if ledger is not None:
        from orchestrator.control import find_job
        from orchestrator.trail_lines import trail_lines

        with ledger() as session:
            job_id = find_job(session, job).id
        return _show_trail(trail_lines(ledger, job_id), as_json=json)
    with connected(api, state) as client:
        return _show_trail(client.lines(f"{_path(job)}/audit"), as_json=json)


def _show_trail(lines: Iterable[dict[str, Any]], *, as_json: bool) -> int:
    gaps = 0
    for each in lines:
        if each["type"] == "gap":
            gaps += 1
            _show(each, f"gap: the trail of item {each['item']} is not complete", as_json=as_json)
        else:
            _show(each, _change_line(each), as_json=as_json)
    return int(bool(gaps))


def _change_line(change: dict[str, Any]) -> str:
    from datetime import datetime

    at = datetime.fromisoformat(change["at"]).isoformat(timespec="milliseconds")
    what = change["item"] if change["delivery"] is None else f"{change['item']} delivery {change['delivery']}"
    return f"{at}  {what}  {change['before']} -> {change['after']}"


COMMANDS = (submit, jobs, status, watch, pause, resume, cancel, retry, priority, window)


def _line(job: dict[str, Any]) -> str:
    """One line: id, state, name, counts."""
    from orchestrator.cli.live import counts

    title = f" {job['name']}" if job["name"] else ""
    return f"{job['job'][:12]}  {job['state']:9}{title}  {counts(_progress(job))}"


def _text(job: dict[str, Any]) -> str:
    """A few lines for a person."""
    from orchestrator.cli.live import line

    title = f"{job['job']}  {job['name']}".rstrip()
    why = f": {job['problem']}" if job["problem"] else ""
    return "\n".join(
        [title, f"{job['state']}{why}, priority {job['priority']}", line(_progress(job), None), *job["waits"]]
    )


def _progress(job: dict[str, Any]) -> Progress:
    from common import stages
    from orchestrator.status import Progress, Running

    return Progress(
        counts={stages.State(state): count for state, count in job["counts"].items()},
        running=tuple(Running(**each) for each in job.get("active", ())),
        bytes_total=job["bytes_total"],
        bytes_done=job["bytes_done"],
    )


def _steer(job: str, action: str, body: dict[str, Any], done: str, state: Path | None, api: str | None) -> int:
    from orchestrator.cli.client import connected

    with connected(api, state) as client:
        changed = client.json("POST", f"{_path(job)}/{action}", body)
    count = "" if changed["items"] is None else f", {changed['items']} items"
    _show({}, f"{changed['job']}: {done}{count}", as_json=False)
    return 0


def _change(job: str, body: dict[str, Any], done: str, state: Path | None, api: str | None) -> int:
    from orchestrator.cli.client import connected

    with connected(api, state) as client:
        changed = client.json("PATCH", _path(job), body)
    _show({}, f"{changed['job']}: {done}", as_json=False)
    return 0


def _path(job: str) -> str:
    from urllib.parse import quote

    return f"/jobs/{quote(job, safe='')}"


def _show(value: dict[str, Any], text: str, *, as_json: bool) -> None:
    from orchestrator.cli.plain import plain
    from orchestrator.reports.jsonlines import line

    print(line(value) if as_json else plain(text, lines=True))  # noqa: T201 the answer
