"""The report as one HTML file that needs nothing else: no network, no other file, no script to be read."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup
from sqlalchemy.orm import Session

from common import __version__
from orchestrator.reports import words
from orchestrator.reports.csvfile import write_csv
from orchestrator.reports.files import written_aside
from orchestrator.reports.model import items, job_report
from orchestrator.reports.values import PROBLEMS

__all__ = ["write_csv", "write_html"]

TEMPLATES = Path(__file__).parent / "templates"


def write_html(session: Session, job_id: str, path: Path) -> None:
    """Write the report of a job: totals, then what a person has to act on, then every item; memory stays flat.

    Raises:
        sqlalchemy.exc.NoResultFound: there is no such job.
    """
    style, script = _embedded("report.css"), _embedded("report.js")
    stream = _template().stream(
        report=job_report(session, job_id),
        problems=items(session, job_id, PROBLEMS),
        items=items(session, job_id),
        words=words,
        version=__version__,
        style=Markup(style),  # noqa: S704 our own file
        script=Markup(script),  # noqa: S704 our own file
        policy=f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'",
    )
    with written_aside(path) as out:
        stream.enable_buffering(200)
        out.writelines(stream)


def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")


def _embedded(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """A CSP 3 source expression: a browser runs exactly this text, and nothing that a file's name smuggled in."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
