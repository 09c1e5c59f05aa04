"""``python -m workers``: serve queues, or do one piece of work on a file for the command line."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from common import logs
from common.errors import CinefarmError, NotVideo
from common.forks import Limits, bind

cli = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@cli.command()
def serve(
    queue: Annotated[
        list[str] | None, typer.Option(help="queue to take orders from; repeat for more; default: all it can serve")
    ] = None,
    slots: Annotated[int | None, typer.Option(min=1, help="orders at a time; default from the cores")] = None,
    name: Annotated[str, typer.Option(help="name shown to operators")] = "worker",
    log_file: Annotated[Path | None, typer.Option(help="where log lines go; default stderr")] = None,
    parent: Annotated[int | None, typer.Option(help="process that this worker must not outlive")] = None,
    unproven: Annotated[
        bool, typer.Option(help="serve queues of devices that do not work; for tests", hidden=True)
    ] = False,
) -> None:
    """Take orders until told to stop. Exit codes: 0 drained, 69 this machine is not fit, 75 orders were no longer taken."""
    from common.settings import Settings

    if parent is not None:
        bind(parent, Limits())
    logs.configure(log_file)
    from workers.serve import serve as run

    try:
        code = run(Settings(), queues=tuple(queue or ()), slots=slots, name=name, unproven=unproven)
    except CinefarmError as error:
        print(f"error: {error.message}\n{error.hint}".rstrip(), file=sys.stderr)  # noqa: T201 for the operator
        raise typer.Exit(os.EX_UNAVAILABLE) from None
    raise typer.Exit(code)


@cli.command()
def selftest(
    answer: Annotated[bool, typer.Option(help="print what came out, as known_answers.json has it")] = False,
) -> None:
    """Encode and measure a tiny clip whose answer is known. Exit codes: 0 right, 69 this machine is not fit."""
    import tempfile

    from common.settings import Settings
    from workers import selftest as test
    from workers.capabilities import listed

    try:
        if answer:
            with tempfile.TemporaryDirectory(prefix="cinefarm-selftest-") as folder:
                print(test.as_json(listed().ffmpeg, test.answer(Path(folder), Settings())))  # noqa: T201 the answer
        else:
            test.check(listed(), Settings())
    except CinefarmError as error:
        print(f"error: {error.message}\n{error.hint}".rstrip(), file=sys.stderr)  # noqa: T201 for the operator
        raise typer.Exit(os.EX_UNAVAILABLE) from None


@cli.command()
def describe(files: list[Path]) -> None:
    """One JSON object a line: the description of each file, or the error that stands in its way."""
    from common.settings import Settings
    from workers.describe import describe_sandboxed

    failed = False
    for file in files:
        try:
            value = describe_sandboxed(file, file.suffix.lower(), Settings()).model_dump(mode="json")
        except CinefarmError as error:
            failed = True
            value = _error(error)
        print(json.dumps({"file": os.fspath(file), **value}))  # noqa: T201 the answer
    raise typer.Exit(2 if failed else 0)


@cli.command()
def describe_each(
    parent: Annotated[int, typer.Option(help="process that this one must not outlive")],
    quick: Annotated[bool, typer.Option(help="read headers and index, not all bytes")] = False,
) -> None:
    """Describe files named on stdin, a JSON line each ({"path": …, "hint": ".mp4"}), until it ends."""
    from workers.describe_each import serve

    serve(quick=quick, parent=parent)


@cli.command()
def read_back(parent: Annotated[int, typer.Option(help="process that this one must not outlive")]) -> None:
    """Read back instances that are named on stdin, a JSON line each (common.orders.Retrieval), until it ends."""
    from workers.read_back import serve

    serve(parent=parent)


@cli.command()
def show(parent: Annotated[int, typer.Option(help="process that this one must not outlive")]) -> None:
    """Draw frames of stored instances that are named on stdin, a JSON line each (common.showing), until it ends."""
    from workers.show import serve

    serve(parent=parent)


@cli.command()
def check(
    files: list[Path],
    as_: Annotated[str | None, typer.Option("--as", help="syntax, e.g. .102")] = None,
    errors_only: Annotated[bool, typer.Option("--errors-only", help="warnings alone are exit code 0")] = False,
) -> None:
    """One JSON object a line: the conformance findings of each file. Exit 0 clean, 1 findings, 2 unreadable."""
    from workers.check import files_below, judge
    from workers.examine import load

    load()
    worst = 0
    for file, listed in files_below(files):
        try:
            judgement = judge(file, as_)
            worst = max(worst, 0 if judgement.clean or (errors_only and not judgement.errors) else 1)
            answer = judgement.as_json()
        except CinefarmError as error:
            worst = max(worst, 0 if listed and isinstance(error, NotVideo) else 2)
            answer = _error(error)
        print(json.dumps({"file": os.fspath(file), **answer}), flush=True)  # noqa: T201 the answer
    raise typer.Exit(worst)


@cli.command()
def measure(
    reference: Path,
    distorted: Path,
    metrics: Annotated[str, typer.Option(help="comma-separated")] = "",
    threads: Annotated[int, typer.Option(min=0, help="0: as many as there are cores")] = 0,
) -> None:
    """One JSON object: the scores of a result against its reference."""
    from workers.measure import USUAL
    from workers.measure import measure as run

    names = [name.strip() for name in metrics.split(",") if name.strip()] or USUAL
    try:
        found = run(reference, distorted, metrics=names, threads=threads or None)
        print(json.dumps(found.json()))  # noqa: T201 the answer
    except CinefarmError as error:
        print(json.dumps(_error(error)))  # noqa: T201 the answer
        raise typer.Exit(2) from None


def _error(error: CinefarmError) -> dict[str, object]:
    return {"error": {"code": error.code, "message": error.message, "hint": error.hint}}


if __name__ == "__main__":
    cli()
