"""What the larger commands do, from checked options to an exit code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.errors import EnvironmentFault, PolicyError
from common.recipes import Audio
from common.settings import Settings
from common.stages import State
from common.store import ObjectStore
from orchestrator.build import build_ledger, build_store
from orchestrator.cli import display
from orchestrator.cli.demo import make_sources
from orchestrator.cli.doctor import examine
from orchestrator.cli.migration import Migration
from orchestrator.cli.proving import Foreground
from orchestrator.cli.session import running
from orchestrator.control import find_job
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import Job
from orchestrator.reports import jsonlines
from orchestrator.reports.folder import write_report
from orchestrator.reports.model import items, job_report

PROBLEMS = (State.FAILED, State.QUARANTINED, State.CANCELLED)


def run_migration(asked: Migration, *, as_json: bool) -> int:
    """Run the job, write its report, name every problem.

    Returns 0 or 1 (some items failed or were quarantined, or an archive has not proven yet what it took).
    """
    with running(asked, cpu_slots=asked.cpu_slots) as session, display.LiveDisplay() as live:
        listing = session.run(live.update, until=Foreground(asked.settings.commit_wait_seconds))
    folder = asked.folders[0] if asked.folders else asked.settings.state_dir / "reports" / session.job_id
    return _conclude(session.ledger, build_store(asked.settings), session.job_id, folder, as_json, listing.ignored)


def run_demo(folder: Path, *, as_json: bool) -> int:
    """Make the three studies (once) and migrate them. Returns like run_migration."""
    sources = folder / "sources"
    mapping = make_sources(sources)
    asked = Migration.asked(
        [str(sources)],
        [str(folder / "results")],
        profile="archive",
        audio=Audio.STRIP,
        mapping=mapping,
        workers=None,
        state=folder / "state",
    )
    return run_migration(asked, as_json=as_json)


def run_report(job_id: str | None, *, out: Path | None, state: Path | None, as_json: bool) -> int:
    """Write a job's report again. Returns like run_migration.

    Raises:
        PolicyError: there is no such job.
    """
    base = Settings()
    settings = base.model_copy(update={"state_dir": (state or base.state_dir).absolute()})
    ledger = build_ledger(settings)
    with ledger() as session:
        latest = select(Job.id).order_by(Job.created_at.desc()).limit(1)
        found = find_job(session, job_id).id if job_id else session.scalars(latest).first()
    if found is None:
        raise PolicyError("there is no job in this state directory", hint="Name the right one with --state.")
    return _conclude(ledger, build_store(settings), found, out or settings.state_dir / "reports" / found, as_json)


def run_doctor(*, as_json: bool) -> int:
    """Examine the machine. Returns 0, or 1 when something is missing."""
    checks = examine(Settings())
    if as_json:
        for check in checks:
            print(jsonlines.line(asdict(check)))  # noqa: T201 the answer
    else:
        display.show_checks(checks)
    return int(not all(check.ok for check in checks))


def _conclude(
    ledger: Sessions,
    store: ObjectStore,
    job_id: str,
    folder: Path,
    as_json: bool,
    ignored: Mapping[str, int] | None = None,
) -> int:
    with ledger() as session:
        report = job_report(session, job_id)
        if as_json:
            for item in items(session, job_id):
                print(jsonlines.item_line(item))  # noqa: T201 the answer
            print(jsonlines.summary_line(report))  # noqa: T201 the answer
        written = _write_report(session, job_id, folder, store)
        display.show_summary(report, items(session, job_id, (*PROBLEMS, State.DELIVERED)), written, ignored)
    return int(any(report.counts.get(state) for state in (*PROBLEMS, State.DELIVERED)))


def _write_report(session: Session, job_id: str, folder: Path, store: ObjectStore) -> Path | None:
    """The page's path; None when it cannot be written there, which changes nothing about what was migrated."""
    try:
        return write_report(session, job_id, folder, store)
    except OSError as error:
        hint = "`cinefarm report --out DIR` writes it elsewhere."
        display.show_error(EnvironmentFault(f"the report cannot be written: {error.strerror}", hint=hint))
        return None
