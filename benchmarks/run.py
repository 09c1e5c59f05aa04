"""One table of all benchmarks, printed and written to benchmarks/RESULTS.md.

    make bench                     everything, 20 to 25 minutes on two cores; the machine should do nothing else
    make bench ONLY=gate,rewrap    some of them; RESULTS.md stays as it is
    make bench QUICK=1             the smallest inputs: does every benchmark still run? Its figures mean nothing

Each benchmark runs in a process of its own. One that fails is a row that says so, and the others go on; the exit code is then 1.
A ratio beyond what was asked is "NO" in its row and no failure: another machine, or a busy one, gives another.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

from table import Failure, Row, render

HERE = Path(__file__).parent
RESULTS = HERE / "RESULTS.md"
LIMIT_SECONDS, QUICK_LIMIT_SECONDS = 900, 120


def names() -> list[str]:
    """All benchmarks that have rows, in the order of the table; others are scripts to be run by themselves."""
    ours = (path for path in HERE.glob("bench_*.py") if "\ndef rows(" in path.read_text(encoding="utf-8"))
    return sorted(path.stem.removeprefix("bench_") for path in ours)


def main() -> int:
    """Run, print, write; returns 1 when a benchmark failed, 2 when one was named that is not there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="NAME,NAME", help=f"of {', '.join(names())}")
    parser.add_argument("--quick", action="store_true", help="smallest inputs, to see that everything runs")
    parser.add_argument("--rows-of", metavar="NAME", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rows_of:
        return give_rows(options.rows_of, quick=options.quick)
    chosen = [each for each in options.only.replace(",", " ").split() if each] or names()
    if unknown := set(chosen) - set(names()):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    started = time.monotonic()
    lines = [line for name in chosen for line in one(name, quick=options.quick)]
    text = page(lines, time.monotonic() - started, quick=options.quick)
    print(text)
    if not options.quick and not options.only:
        RESULTS.write_text(text, encoding="utf-8")
    return int(any(isinstance(line, Failure) for line in lines))


def give_rows(name: str, *, quick: bool) -> int:
    """The child's part: rows go to stdout as they come (quick ones ask nothing), whatever else the benchmark prints goes to stderr."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    with out:
        for row in importlib.import_module(f"bench_{name}").rows(quick=quick):
            out.write((replace(row, asked=None) if quick else row).dump() + "\n")
            out.flush()
    return 0


def one(name: str, *, quick: bool) -> Iterator[Row | Failure]:
    """The rows of one benchmark; after them a failure, where it ended badly."""
    argv = [sys.executable, __file__, "--rows-of", name, *(["--quick"] if quick else [])]
    started, limit = time.monotonic(), QUICK_LIMIT_SECONDS if quick else LIMIT_SECONDS
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as rows, tempfile.TemporaryFile("w+") as chat:
        with subprocess.Popen(
            argv, stdout=rows, stderr=chat, stdin=subprocess.DEVNULL, start_new_session=True
        ) as child:
            try:
                code: int | None = child.wait(limit)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
        rows.seek(0)
        found = [Row.load(line) for line in rows if line.endswith("\n")]
        yield from found
        if code != 0:
            yield Failure(
                name, f"not ended after {limit} s" if code is None else f"exit code {code}: {last_words(chat)}"
            )
        elif not found:
            yield Failure(name, "gave no row")
        print(f"{name}: {len(found)} rows in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


def last_words(chat: IO[str]) -> str:
    """The end of what a failed benchmark said: the last line that is not empty."""
    chat.seek(0)
    said = [line.strip() for line in chat if line.strip()]
    return said[-1][:300] if said else "it said nothing"


def page(lines: list[Row | Failure], seconds: float, *, quick: bool) -> str:
    """RESULTS.md: the head, the table, how many rows hold."""
    from machine import facts

    asked = [line for line in lines if isinstance(line, Row) and line.asked]
    held = sum(row.verdict == "yes" for row in asked)
    head = "\n".join(f"- {name}: {value}" for name, value in facts().items())
    failed = sum(isinstance(line, Failure) for line in lines)
    quickly = "\nSmallest inputs: these figures only show that the benchmarks run.\n" if quick else ""
    holds = f"{held} of {len(asked)} asked ratios hold" if asked else "Nothing is asked of them"
    return (
        f"# Benchmarks\n\n{head}\n- run time: {seconds / 60:.1f} minutes\n{quickly}\n{render(lines)}\n"
        f"{holds}{f'; {failed} benchmarks failed' if failed else ''}. "
        f"Ours and the reference of a row ran in turn on the same machine; made by `make bench`.\n"
    )


if __name__ == "__main__":
    sys.exit(main())
