"""``describe``, ``check`` and ``measure``: asked of the workers' code in a process of its own, shown for people or as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.cli.findings import show_findings, show_others, show_refusal

Answer = dict[str, Any]


def describe(files: Sequence[Path], *, as_json: bool) -> int:
    """Show what each file is. Returns 0, or 2 when one could not be read."""
    from orchestrator.cli.display import show_description

    return _ask("describe", map(str, files), show_description, as_json)


def check(files: Sequence[Path], as_syntax: str | None, *, as_json: bool, errors_only: bool = False) -> int:
    """Show each file's conformance findings. Returns 0 clean, 1 findings, 2 unreadable.

    ``errors_only``: warnings alone are 0; they are shown all the same.
    """
    options = [*(["--as", as_syntax] if as_syntax else []), *(["--errors-only"] if errors_only else [])]
    others = Others(frozenset(map(str, files)))
    code = _ask("check", [*options, "--", *map(str, files)], show_findings, as_json, others)
    if others.count and not as_json:
        show_others(others.count)
    return code


def measure(reference: Path, distorted: Path, metrics: str, threads: int, *, as_json: bool) -> int:
    """Show the pooled scores. Returns 0, or 2 when the two cannot be compared."""
    from orchestrator.cli.scores import show_scores

    options = ["--metrics", metrics, "--threads", str(threads)]
    return _ask("measure", [*options, "--", str(reference), str(distorted)], show_scores, as_json)


@dataclass
class Others:
    """Files found below a folder that are no video: evidence, reports, stills. They are counted, not listed."""

    asked: frozenset[str]
    count: int = 0

    def take(self, answer: Answer) -> bool:
        """True when the answer is about one of them."""
        other = answer.get("error", {}).get("code") == "NotVideo" and str(answer.get("file", "")) not in self.asked
        self.count += other
        return other


def _ask(
    command: str,
    arguments: Iterator[str] | Sequence[str],
    show: Callable[[Answer], None],
    as_json: bool,
    others: Others | None = None,
) -> int:
    argv = [sys.executable, "-m", "workers", command, *arguments]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            if as_json:
                sys.stdout.write(line)
                sys.stdout.flush()
            elif others is None or not others.take(json.loads(line)):
                _show(json.loads(line), show)
        return process.wait()


def _show(answer: Answer, show: Callable[[Answer], None]) -> None:
    if "error" in answer:
        show_refusal(str(answer.get("file", "")), answer["error"])
    else:
        show(answer)
