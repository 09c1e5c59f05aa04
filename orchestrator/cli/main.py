"""The ``cinefarm`` command. Each command is thin: it reads its options, calls the one that knows, and shows what came out."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer
from typer.exceptions import TyperException

from common import __version__
from common.errors import CinefarmError
from common.handling import DynamicRange, Handling, Interlaced, RatePolicy, Stereo
from common.recipes import PROFILES, Audio, Hardware
from orchestrator.cli import limiting
from orchestrator.cli.api import api
from orchestrator.cli.auditing import audit
from orchestrator.cli.client import Api
from orchestrator.cli.completion import PROGRAM, completion, prepare
from orchestrator.cli.destinations import destinations
from orchestrator.cli.handling import Fields, Inside, Pace, Range, Views
from orchestrator.cli.jobs import COMMANDS
from orchestrator.cli.listen import arrivals, listen
from orchestrator.cli.manual import asked_page
from orchestrator.cli.probing import probe
from orchestrator.cli.serve import serve
from orchestrator.cli.tokens import token
from orchestrator.cli.verify import verify

EXIT_DONE, EXIT_PROBLEMS, EXIT_WRONG, EXIT_INTERRUPTED = 0, 1, 2, 130

cli = typer.Typer(
    name="cinefarm",
    help="Move a hospital's video into conforming DICOM video, and prove that nothing was lost.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Sources = Annotated[
    list[str], typer.Argument(help="folders, files or s3://bucket/prefix", metavar="SOURCE...", show_default=False)
]
Files = Annotated[list[Path], typer.Argument(help="files", metavar="FILE...", show_default=False)]
To = Annotated[
    list[str],
    typer.Option(
        "--to",
        metavar="DEST",
        help="a folder, s3://bucket/prefix, dicom[+tls]://AET@host:port or dicomweb+https://host/path; may be repeated",
    ),
]
PlanSources = Annotated[
    list[str] | None,
    typer.Argument(help="folders, files or s3://bucket/prefix", metavar="SOURCE...", show_default=False),
]
PlanTo = Annotated[list[str] | None, typer.Option("--to", metavar="DEST", help="as of migrate; may be repeated")]
ProfileName = Annotated[str, typer.Option("--profile", help=f"what for: {', '.join(PROFILES)}")]
Syntax = Annotated[
    str | None,
    typer.Option("--syntax", metavar=".10x", help="the one transfer syntax to make, e.g. .101 (docs/targets.md)"),
]
Sound = Annotated[
    Audio, typer.Option("--audio", help="strip: drop sound (it may hold voices); keep: keep it, made legal")
]
Devices = Annotated[
    Hardware | None,
    typer.Option("--hardware", help="whether devices may encode (docs/hardware.md); default: as the profile says"),
]
Window = Annotated[
    str | None,
    typer.Option(
        "--window", metavar="WHEN", help="when work may begin: 'Mon-Fri 20:00-06:00 Europe/Berlin' (docs/limits.md)"
    ),
]
AtEnd = Annotated[
    Literal["finish", "stop"],
    typer.Option("--at-end", help="what runs when the window closes: let it finish, or stop it"),
]
Limits = Annotated[
    list[str] | None,
    typer.Option("--limit", metavar="LIMIT", help="'DEST concurrent=2 rate=20MB/s'; may be repeated (docs/limits.md)"),
]
Accepts = Annotated[
    list[str] | None,
    typer.Option(
        "--accepts",
        metavar="WHAT",
        help="what a destination takes: 'DEST profile=orthanc plays-in=ohif syntaxes=.102,.104 max=4GiB' (docs/destinations.md)",
    ),
]
Map = Annotated[Path | None, typer.Option("--map", metavar="FILE.csv", help="patient and study data of plain video")]
Mwl = Annotated[
    str | None,
    typer.Option(
        "--worklist", metavar="dicom://AET@host:port", help="asked for whose a plain video is (docs/worklist.md)"
    ),
]
Accession = Annotated[
    str | None,
    typer.Option("--accession", metavar="REGEX", help="its one group is the accession number in a file's path"),
]
Ids = Annotated[
    Path | None,
    typer.Option("--identifiers", metavar="FILE.toml", help="the site's rules for patient IDs (docs/identifiers.md)"),
]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="transcodes at a time; default from the cores")]
State = Annotated[
    Path | None, typer.Option("--state", metavar="DIR", help="ledger, store and logs; default ~/.local/state")
]
Rules = Annotated[
    Path | None,
    typer.Option("--rules", metavar="FILE.toml", help="items that get another profile or gate (docs/jobs.md)"),
]
Json = Annotated[bool, typer.Option("--json", help="one JSON object a line on stdout (docs/json.md)")]


def run() -> NoReturn:
    """Entry point: errors become words and exit codes, never tracebacks."""
    signal.signal(signal.SIGTERM, _interrupt)
    prepare()
    command = typer.main.get_command(cli)
    if (shown := asked_page(command, sys.argv[1:])) is not None:
        print(shown)  # noqa: T201 the answer
        sys.exit(EXIT_DONE)
    try:
        code = command(prog_name=PROGRAM, standalone_mode=False) or EXIT_DONE
    except CinefarmError as error:
        from orchestrator.cli.display import show_error

        show_error(error)
        code = EXIT_WRONG
    except TyperException as error:  # an unknown option, a missing argument
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        print(f"error: {message}\nTry: cinefarm --help", file=sys.stderr)  # noqa: T201
        code = EXIT_WRONG
    if code == EXIT_INTERRUPTED:  # Typer's answer to a KeyboardInterrupt
        print("Interrupted. Run the same command again: it goes on where it stopped.", file=sys.stderr)  # noqa: T201
    sys.exit(code)


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


@cli.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="show the version")] = False) -> None:
    """Show the version, or go on to the command."""
    if version:
        print(f"cinefarm {__version__}")  # noqa: T201 the answer
        raise typer.Exit


@cli.command()
def migrate(
    sources: Sources,
    to: To,
    profile: ProfileName = "archive",
    syntax: Syntax = None,
    audio: Sound = Audio.STRIP,
    interlaced: Fields = Interlaced.KEEP,
    rate: Pace = RatePolicy.KEEP,
    dynamic_range: Range = DynamicRange.KEEP,
    stereo: Views = Stereo.NONE,
    region: Inside = "auto",
    rules: Rules = None,
    mapping: Map = None,
    worklist: Mwl = None,
    accession: Accession = None,
    identifiers: Ids = None,
    workers: Workers = None,
    hardware: Devices = None,
    window: Window = None,
    at_end: AtEnd = "finish",
    limit: Limits = None,
    accepts: Accepts = None,
    state: State = None,
    json: Json = False,
) -> int:
    """Move every video below SOURCE to DEST. The same command again goes on where it stopped.

    Exit codes: 0 all items done, 1 some quarantined or failed, 2 the command was wrong, 130 interrupted.
    """
    from orchestrator.cli.commands import run_migration
    from orchestrator.cli.migration import Migration

    asked = Migration.asked(
        sources,
        to,
        profile=profile,
        audio=audio,
        mapping=mapping,
        worklist=worklist,
        accession=accession,
        identifiers=identifiers,
        workers=workers,
        state=state,
        hardware=hardware,
        syntax=syntax,
        handling=Handling(interlaced=interlaced, rate=rate, dynamic_range=dynamic_range, stereo=stereo),
        region=region,
        rules=rules,
        window=window,
        window_policy=at_end,
        limits=limit or (),
        accepts=accepts or (),
    )
    return run_migration(asked, as_json=json)


@cli.command()
def plan(
    sources: PlanSources = None,
    to: PlanTo = None,
    profile: ProfileName = "archive",
    syntax: Syntax = None,
    audio: Sound = Audio.STRIP,
    interlaced: Fields = Interlaced.KEEP,
    rate: Pace = RatePolicy.KEEP,
    dynamic_range: Range = DynamicRange.KEEP,
    stereo: Views = Stereo.NONE,
    region: Inside = "auto",
    rules: Rules = None,
    mapping: Map = None,
    worklist: Mwl = None,
    accession: Accession = None,
    identifiers: Ids = None,
    workers: Workers = None,
    hardware: Devices = None,
    full: Annotated[bool, typer.Option("--full", help="read every byte: frames counted, equal files found")] = False,
    readers: Annotated[
        int | None, typer.Option("--readers", min=1, help="files read at a time; default: the cores")
    ] = None,
    accepts: Accepts = None,
    bandwidth: Annotated[
        str | None, typer.Option("--bandwidth", metavar="RATE", help="to each destination: 100Mbit/s, 20MB/s")
    ] = None,
    state: State = None,
    procedures: Annotated[
        Path | None,
        typer.Option(
            "--procedures", metavar="FILE.toml", help="what so many procedures a day need, in place of SOURCE and --to"
        ),
    ] = None,
    write_map: Annotated[
        Path | None, typer.Option("--write-map", metavar="FILE.csv", help="also write a mapping to be filled in")
    ] = None,
    json: Json = False,
) -> int:
    """Say what migrate would do with each file, why, and what it would cost. Moves nothing (docs/plan.md)."""
    if procedures is not None:
        from orchestrator.cli.capacity import run_capacity
        from orchestrator.cli.client import settings_of

        return run_capacity(procedures, settings_of(state), as_json=json)
    if not sources or not to:
        raise typer.BadParameter("name a SOURCE and --to DEST, or --procedures FILE.toml")
    from orchestrator.cli.migration import Migration
    from orchestrator.cli.planning import Planning, run_plan
    from orchestrator.estimates import Line
    from orchestrator.limits import parse_rate

    asked = Migration.asked(
        sources,
        to,
        profile=profile,
        audio=audio,
        mapping=mapping,
        worklist=worklist,
        accession=accession,
        identifiers=identifiers,
        workers=workers,
        state=state,
        hardware=hardware,
        syntax=syntax,
        handling=Handling(interlaced=interlaced, rate=rate, dynamic_range=dynamic_range, stereo=stereo),
        region=region,
        rules=rules,
        accepts=accepts or (),
    )
    how = Planning(
        full=full,
        readers=readers,
        line=Line(parse_rate(bandwidth)) if bandwidth else None,
        write_map=write_map,
    )
    return run_plan(asked, how, as_json=json)


@cli.command()
def demo(
    folder: Annotated[Path, typer.Option("--in", metavar="DIR", help="where the demonstration lies")] = Path(
        "demo-out"
    ),
    json: Json = False,
) -> int:
    """Three small studies through the whole farm: an ultrasound loop, a camera clip, an old capture."""
    from orchestrator.cli.commands import run_demo

    return run_demo(folder, as_json=json)


@cli.command()
def describe(files: Files, json: Json = False) -> int:
    """Codec, profile, level, geometry, timing, colour, audio and DICOM identity of each file."""
    from orchestrator.cli.inspection import describe as show

    return show(files, as_json=json)


@cli.command()
def check(
    files: Annotated[
        list[Path],
        typer.Argument(help="files, or folders: every file below them", metavar="FILE...", show_default=False),
    ],
    as_syntax: Annotated[
        str | None,
        typer.Option("--as", metavar="SYNTAX", help="transfer syntax to hold plain files against, e.g. .102"),
    ] = None,
    errors_only: Annotated[bool, typer.Option("--errors-only", help="warnings alone give exit code 0")] = False,
    json: Json = False,
) -> int:
    """Conformance findings with clause and remedy. Exit codes: 0 clean or notes only, 1 findings, 2 unreadable."""
    from orchestrator.cli.inspection import check as show

    return show(files, as_syntax, as_json=json, errors_only=errors_only)


@cli.command()
def measure(
    reference: Annotated[Path, typer.Argument(help="the original", metavar="REF")],
    distorted: Annotated[Path, typer.Argument(help="what was made of it", metavar="DIST")],
    metrics: Annotated[
        str, typer.Option(help="comma-separated, of vmaf, psnr, ssim, ms_ssim, vmaf_neg, cambi, psnr_rgb; or all")
    ] = "vmaf,psnr,ssim",
    threads: Annotated[int, typer.Option(min=0, help="of each decoder and of libvmaf; 0: one a core")] = 0,
    json: Json = False,
) -> int:
    """PSNR, SSIM and VMAF of every frame of DIST against REF, pooled (docs/quality.md). Files whose frames do not stand side by
    side, or that differ in size, rate, length or colour, are refused with the reason: exit code 2."""
    from orchestrator.cli.inspection import measure as show

    return show(reference, distorted, metrics, threads, as_json=json)


@cli.command()
def report(
    job: Annotated[str | None, typer.Argument(help="job id; default: the latest job", show_default=False)] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="where the report goes; default: state")
    ] = None,
    state: State = None,
    api: Api = None,
    json: Json = False,
) -> int:
    """Write the report of a job again: of a service's through its API, of a migration from its state directory."""
    from orchestrator.cli.client import embedded_ledger

    if embedded_ledger(api, state) is not None:
        from orchestrator.cli.commands import run_report

        return run_report(job, out=out, state=state, as_json=json)
    from orchestrator.cli.fetched_report import fetch_report

    return fetch_report(job, out=out, state=state, api=api, as_json=json)


@cli.command()
def flower() -> None:
    """Watch queues, workers and tasks in a browser (docs/flower.md)."""
    from common.settings import Settings
    from orchestrator.cli.flower import run_flower

    run_flower(Settings())


@cli.command()
def doctor(json: Json = False) -> int:
    """Say what is missing on this machine, and how to get it."""
    from orchestrator.cli.commands import run_doctor

    return run_doctor(as_json=json)


@cli.command()
def worker(
    queue: Annotated[
        list[str] | None,
        typer.Option("--queue", help="queue to take orders from; may be repeated; default: all it can"),
    ] = None,
    slots: Annotated[
        int | None, typer.Option("--slots", min=1, help="orders at a time; default from the cores")
    ] = None,
    name: Annotated[str, typer.Option("--name", help="name shown to operators")] = "worker",
) -> None:
    """Take orders from the broker of CINEFARM_BROKER_URL until told to stop (SIGTERM: finish or hand back, then end).

    Exit codes: 0 drained, 69 this machine is not fit (FFmpeg, self-test), 75 orders were no longer taken.
    """
    flags = [word for one in queue or () for word in ("--queue", one)]
    flags += ["--slots", str(slots)] if slots is not None else []
    # the same process goes on, so signals and exit codes are the worker's own
    os.execv(sys.executable, [sys.executable, "-m", "workers", "serve", *flags, "--name", name])  # noqa: S606


for command in (serve, api, listen, arrivals, limiting.limit, destinations, probe, verify, completion, *COMMANDS):
    cli.command()(command)
cli.add_typer(audit, name="audit")
cli.add_typer(token, name="token")
