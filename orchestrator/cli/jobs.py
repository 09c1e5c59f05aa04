"""Commands for a running orchestrator: submit a job, look at it, steer it. All of them speak to the ledger alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from common.settings import Settings
    from orchestrator.ledger.database import Sessions
    from orchestrator.ledger.schema import Job, StateChange
    from orchestrator.status import JobState, Progress

JobName = Annotated[str, typer.Argument(metavar="JOB", help="id, the beginning of an id, or a job's name")]
State = Annotated[Path | None, typer.Option("--state", metavar="DIR", help="state directory of a service on SQLite")]
Json = Annotated[bool, typer.Option("--json", help="one JSON object a line on stdout (docs/json.md)")]

WATCH_SECONDS = 1.0


def submit(
    file: Annotated[Path, typer.Argument(metavar="JOB.toml", help="what to move where (docs/jobs.md)")],
    state: State = None,
    json: Json = False,
) -> int:
    """Hand a job to the orchestrator. The same job again goes on: failed items are tried again, new files are found."""
    from orchestrator import control
    from orchestrator.build import build_store
    from orchestrator.jobfile import JobFile
    from orchestrator.jobs import submit as write

    settings = settings_of(state)
    asked = JobFile.load(file).request(
        file.absolute().parent, build_store(settings), patience_seconds=settings.patience_seconds
    )
    with _ledger(settings) as ledger:
        job_id = write(ledger, asked)
        control.retry(ledger, job_id)
    _show({"type": "submitted", "job": job_id}, job_id, as_json=json)
    return 0


def jobs(state: State = None, json: Json = False) -> int:
    """List all jobs, the latest first."""
    from sqlalchemy import select

    from orchestrator.ledger.schema import Job

    with _ledger(settings_of(state)) as ledger, ledger() as session:
        for job in session.scalars(select(Job).order_by(Job.created_at.desc())):
            view = _view(session, job)
            _show(view.json(), view.line(), as_json=json)
    return 0


def status(job: JobName, state: State = None, json: Json = False) -> int:
    """How a job stands now."""
    from orchestrator.control import find_job

    with _ledger(settings_of(state)) as ledger, ledger() as session:
        view = _view(session, find_job(session, job))
    _show(view.json(), view.text(), as_json=json)
    return 0


def watch(job: JobName, state: State = None) -> int:
    """Follow a job until it has ended. Exit codes: 0 all items done, 1 some are not."""
    from orchestrator.cli.commands import PROBLEMS
    from orchestrator.cli.live import LiveDisplay
    from orchestrator.control import find_job
    from orchestrator.status import JobState

    with _ledger(settings_of(state)) as ledger, LiveDisplay() as live:
        while True:
            with ledger() as session:
                view = _view(session, find_job(session, job))
            live.update(view.seen)
            if view.state in (JobState.ENDED, JobState.CANCELLED, JobState.REFUSED):
                break
            time.sleep(WATCH_SECONDS)
    _show({}, view.text(), as_json=False)
    return int(view.state is not JobState.ENDED or any(view.seen.counts.get(problem) for problem in PROBLEMS))


def pause(
    job: JobName,
    now: Annotated[bool, typer.Option("--now", help="stop what runs as well; it is done again after resume")] = False,
    state: State = None,
) -> int:
    """Send nothing new of a job; what runs ends."""
    from orchestrator import control

    return _steer(job, state, lambda ledger, job_id: control.pause(ledger, job_id, stop_running=now), "paused")


def resume(job: JobName, state: State = None) -> int:
    """Go on with a paused job."""
    from orchestrator import control

    return _steer(job, state, control.resume, "goes on")


def cancel(job: JobName, state: State = None) -> int:
    """End a job: what runs is stopped within seconds, what is done stays done."""
    from orchestrator import control

    return _steer(job, state, control.cancel, "cancelled")


def retry(
    job: JobName,
    quarantined: Annotated[bool, typer.Option("--quarantined", help="also what missed its gate")] = False,
    state: State = None,
) -> int:
    """Try a job's failed and cancelled items again."""
    from orchestrator import control

    return _steer(job, state, lambda ledger, job_id: control.retry(ledger, job_id, quarantined=quarantined), "retried")


def priority(
    job: JobName,
    number: Annotated[int, typer.Argument(min=-1000, max=1000, help="higher goes first; a job begins with 0")],
    state: State = None,
) -> int:
    """Let a job go before others, or after them."""
    from orchestrator import control

    return _steer(job, state, lambda ledger, job_id: control.set_priority(ledger, job_id, number), f"priority {number}")


def audit(job: JobName, state: State = None, json: Json = False) -> int:
    """Show every change of state of a job's items and deliveries. Exit codes: 0 the trail is complete, 1 it has gaps."""
    from orchestrator.control import find_job
    from orchestrator.ledger.audit import gaps, trail

    with _ledger(settings_of(state)) as ledger:
        with ledger() as session:
            job_id = find_job(session, job).id
        for change in trail(ledger, job_id):
            _show(_change(change), _change_line(change), as_json=json)
        missing = list(gaps(ledger, job_id))
    for item_id in missing:
        _show({"type": "gap", "item": item_id}, f"gap: the trail of item {item_id} is not complete", as_json=json)
    return int(bool(missing))


def _change(change: StateChange) -> dict[str, Any]:
    return {
        "type": "change",
        "at": change.at.isoformat(),
        "item": change.item_id,
        "delivery": change.delivery_id,
        "before": change.before,
        "after": change.after,
        "order": change.order_id or None,
    }


def _change_line(change: StateChange) -> str:
    what = change.item_id if change.delivery_id is None else f"{change.item_id} delivery {change.delivery_id}"
    return f"{change.at.isoformat(timespec='milliseconds')}  {what}  {change.before} -> {change.after}"


COMMANDS = (submit, jobs, status, watch, pause, resume, cancel, retry, priority, audit)


@dataclass(frozen=True)
class View:
    """One job as it is shown."""

    job: Job
    seen: Progress
    state: JobState
    waits: tuple[str, ...] = ()  # why nothing new goes out now

    def line(self) -> str:
        """One line: id, state, name, counts."""
        from orchestrator.cli.live import counts

        title = f" {self.job.name}" if self.job.name else ""
        return f"{self.job.id[:12]}  {self.state:9}{title}  {counts(self.seen)}"

    def text(self) -> str:
        """A few lines for a person."""
        from orchestrator.cli.live import line

        job = self.job
        title = f"{job.id}  {job.name}".rstrip()
        why = f": {job.problem}" if job.problem else ""
        return "\n".join([title, f"{self.state}{why}, priority {job.priority}", line(self.seen, None), *self.waits])

    def json(self) -> dict[str, Any]:
        """The object of docs/json.md."""
        from orchestrator.ingest.sources import shown

        job, seen = self.job, self.seen
        return {
            "type": "job",
            "job": job.id,
            "name": job.name,
            "state": self.state,
            "problem": job.problem,
            "priority": job.priority,
            "created_at": job.created_at.isoformat(),
            "sources": [shown(source) for source in job.sources],
            "destinations": job.destinations,
            "profile": job.profile["name"],
            "items": sum(seen.counts.values()),
            "counts": {state.value: count for state, count in seen.counts.items()},
            "running": len(seen.running),
            "waits": list(self.waits),
            "bytes_total": seen.bytes_total,
            "bytes_done": seen.bytes_done,
        }


def _view(session: Session, job: Job) -> View:
    from orchestrator.ledger.schema import now
    from orchestrator.limits import Doors, Gate
    from orchestrator.status import JobState, job_state, progress

    seen = progress(session, job.id)
    state = job_state(job, seen)
    at_work = state in (JobState.LISTING, JobState.WORKING)
    return View(job, seen, state, Doors(session, Gate(now())).waits(job) if at_work else ())


def _steer(name: str, state: Path | None, action: Callable[[Sessions, str], int | None], done: str) -> int:
    from orchestrator.control import find_job

    with _ledger(settings_of(state)) as ledger:
        with ledger() as session:
            job_id = find_job(session, name).id
        count = action(ledger, job_id)
    _show({}, f"{job_id}: {done}" + ("" if count is None else f", {count} items"), as_json=False)
    return 0


@contextmanager
def _ledger(settings: Settings) -> Iterator[Sessions]:
    """The ledger of the settings; one that does not answer is said in words."""
    from common.errors import EnvironmentFault
    from orchestrator.build import build_ledger
    from orchestrator.ledger.database import LedgerAway

    try:
        yield build_ledger(settings)
    except LedgerAway as error:
        hint = "Check CINEFARM_LEDGER_URL, and that its database server runs."
        raise EnvironmentFault("the ledger does not answer", hint=hint) from error


def settings_of(state: Path | None) -> Settings:
    """The settings of this environment, with another state directory where one is named."""
    from common.settings import Settings

    base = Settings()
    return base.model_copy(update={"state_dir": (state or base.state_dir).absolute()})


def _show(value: dict[str, Any], text: str, *, as_json: bool) -> None:
    from orchestrator.cli.plain import plain
    from orchestrator.reports.jsonlines import line

    print(line(value) if as_json else plain(text, lines=True))  # noqa: T201 the answer
