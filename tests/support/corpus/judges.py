"""What `cinefarm check` and dciodvfy say of files, each asked as a person would: by its command, reading its words."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from support.corpus.case import UNREADABLE, Case

State = Literal["clean", "findings", "unread", "crashed"]

_NO_SUCH_SYNTAX = "illegal in non-encapsulated transfer syntax"
"""dciodvfy's word for a transfer syntax that it does not know."""

_KNOWN_TO_DCIODVFY = ("100", "101", "102", "103", "104", "105", "106")


@dataclass(frozen=True)
class Verdict:
    """``rules``: of errors and warnings; for dciodvfy its words. ``unread``: the judge could not read the file."""

    state: State
    rules: tuple[str, ...] = ()

    def catches(self, case: Case) -> bool:
        """The fault itself was found: by its rule, or for a file that nobody can read by a refusal."""
        return self.state == "unread" if case.rule == UNREADABLE else case.rule in self.rules

    def exact(self, case: Case) -> bool:
        """The fault and its companions were found, and nothing else."""
        if case.rule == UNREADABLE:
            return self.state == "unread"
        return self.state != "unread" and set(self.rules) == {case.rule, *case.companions} - {None}


def cinefarm(paths: Sequence[Path]) -> tuple[list[Verdict], int]:
    """(verdicts, exit code) of one `cinefarm check --json` over all files."""
    program = Path(sys.executable).with_name("cinefarm")
    argv = [str(program), "check", "--json", *map(str, paths)]
    finished = subprocess.run(argv, capture_output=True, text=True, check=False)
    answers = {answer.get("file"): answer for answer in map(json.loads, finished.stdout.splitlines())}
    return [_judged(answers[str(path)]) for path in paths], finished.returncode


def rules(findings: Iterable[tuple[str, str]]) -> Verdict:
    """The verdict of (severity, rule) pairs: notes are for the record only."""
    found = tuple(dict.fromkeys(rule for severity, rule in findings if severity != "note"))
    return Verdict("findings" if found else "clean", found)


def dciodvfy(path: Path, syntax: str) -> Verdict:
    """What it calls an error. Its exit code says little: it may be 0 with errors, and it can crash."""
    finished = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False, errors="replace")
    if finished.returncode < 0:
        return Verdict("crashed")
    lines = (finished.stdout + finished.stderr).splitlines()
    errors = tuple(line.removeprefix("Error - ") for line in lines if line.startswith("Error - "))
    if syntax not in _KNOWN_TO_DCIODVFY and any(_NO_SUCH_SYNTAX in error for error in errors):
        return Verdict("unread")
    return Verdict("findings" if errors else "clean", errors)


def dciodvfy_version() -> str:
    """Debian's version of the package that it comes in; it names none itself."""
    if shutil.which("dpkg-query") is None:
        return "of an unknown version"
    argv = ["dpkg-query", "-W", "-f", "dicom3tools ${Version}", "dicom3tools"]
    finished = subprocess.run(argv, capture_output=True, text=True, check=False)
    return finished.stdout or "of an unknown version"


def _judged(answer: dict[str, object]) -> Verdict:
    if "error" in answer:
        return Verdict("unread")
    return rules((finding["severity"], finding["rule"]) for finding in answer["findings"])
