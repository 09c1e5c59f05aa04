"""``cinefarm listen`` and ``cinefarm arrivals``: what others send us over the DICOM network (docs/listen.md)."""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from common.settings import Settings

DEFAULT_PORT = 11112
"""IANA: dicom. The other one, 104, needs a privilege."""

State = Annotated[
    Path | None,
    typer.Option("--state", metavar="DIR", help="ledger and store where no URLs are set; default ~/.local/state"),
]


def listen(
    rules: Annotated[
        Path | None, typer.Option("--rules", metavar="FILE.toml", help="which jobs arrivals start (docs/listen.md)")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", min=0, max=65535, help=f"TCP port; default {DEFAULT_PORT}; 0: any", show_default=False),
    ] = None,
    aet: Annotated[
        str | None, typer.Option("--aet", metavar="AET", help="AE title to answer to; default: CINEFARM_DICOM_AE_TITLE")
    ] = None,
    state: State = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            min=1,
            help="also do the work on this machine, so many transcodes at a time; else `cinefarm serve`",
        ),
    ] = None,
    log_file: Annotated[
        Path | None, typer.Option("--log-file", metavar="FILE", help="where events go; default: stderr")
    ] = None,
) -> int:
    """Take video and multi-frame objects by C-STORE around the clock, and start jobs by rule. SIGTERM ends it.

    Exit codes: 0 told to stop, 2 the command or the settings are wrong.
    """
    from common.dicom.lean import import_pydicom

    import_pydicom()  # first: nothing here decodes a pixel, and the decoders take 20 MB
    from common import logs
    from common.settings import Settings
    from common.store.s3_upload import SMALLEST_PART_BYTES
    from orchestrator.build import build_store, prepare_store
    from orchestrator.cli.listenfile import load_rules
    from orchestrator.listener.rules import Rules
    from orchestrator.listener.service import listener
    from orchestrator.service import wait_for_ledger

    base = Settings()
    settings = base.model_copy(
        update={"state_dir": (state or base.state_dir).absolute(), "listen_aet": aet or base.listen_aet}
    )
    logs.configure(log_file)
    stop = _stop_on_signals()
    # many instances come at once, and each holds two parts of its upload in memory
    store = build_store(settings.model_copy(update={"s3_part_bytes": SMALLEST_PART_BYTES}))
    file = rules or settings.listen_rules
    known = load_rules(file, store, patience_seconds=settings.patience_seconds) if file else Rules()
    prepare_store(store)
    ledger = wait_for_ledger(settings, stop.is_set, durable=True)
    number = (settings.listen_port or DEFAULT_PORT) if port is None else port
    with ExitStack() as stack:
        work = _work(stack, settings, workers, stop) if workers else stop.wait
        running = stack.enter_context(listener(settings, ledger, store, known, port=number))
        title = settings.listen_aet or settings.dicom_ae_title
        print(f"listening on port {running.port} as {title}", file=sys.stderr, flush=True)  # noqa: T201
        work()
    return 0


def _work(stack: ExitStack, settings: Settings, workers: int, stop: threading.Event) -> Any:
    """A farm on this machine, as ``cinefarm migrate`` starts one; returns what runs it until it is told to stop."""
    from orchestrator.build import build_ledger
    from orchestrator.embedded import EmbeddedFarm, state_lock
    from orchestrator.reconciler import recover_attempts
    from orchestrator.service import service

    stack.enter_context(state_lock(settings.state_dir))
    recover_attempts(build_ledger(settings))
    farm = stack.enter_context(EmbeddedFarm(settings, cpu_slots=workers))
    running = stack.enter_context(service(farm.settings, stopped=stop.is_set, locked=True))

    def ended() -> bool:
        farm.keep_alive()
        return stop.is_set()

    return lambda: running.run(ended)


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()

    def end(*_: object) -> None:
        if stop.is_set():  # asked twice: somebody is in a hurry
            raise KeyboardInterrupt
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    return stop


def arrivals(
    state: State = None,
    waiting: Annotated[
        bool, typer.Option("--waiting", help="only what no job has taken: held, or unmatched by any rule")
    ] = False,
    forget: Annotated[
        str | None,
        typer.Option(
            "--forget", metavar="ID", help="delete the bytes of one arrival; they may be the only copy there is"
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="one JSON object a line on stdout (docs/json.md)")] = False,
) -> int:
    """List what the listener received and keeps, the latest first, and the job that took it.

    Exit codes: 0, 2 there is no arrival of this id, or a job works on it.
    """
    from sqlalchemy import select

    from common.settings import Settings
    from orchestrator.build import build_ledger, build_store
    from orchestrator.ledger.schema import Arrival
    from orchestrator.listener.custody import HELD, RELEASED, UNMATCHED, Custody

    base = Settings()
    settings = base.model_copy(update={"state_dir": (state or base.state_dir).absolute()})
    ledger = build_ledger(settings)
    if forget is not None:
        Custody(ledger, build_store(settings), settings.dicom_ae_title).forget(forget)
        return 0
    statement = select(Arrival).where(Arrival.state != RELEASED)
    if waiting:
        statement = statement.where(Arrival.state.in_((HELD, UNMATCHED)))
    with ledger() as session:
        for row in session.scalars(statement.order_by(Arrival.id.desc()).execution_options(yield_per=500)):
            _show(row, as_json=json)
    return 0


def _show(row: Any, *, as_json: bool) -> None:
    from common.dicom.received import class_name
    from orchestrator.reports import jsonlines

    seen = {
        "type": "arrival",
        "arrival": row.id,
        "state": row.state,
        "received_at": row.received_at.isoformat(timespec="seconds"),
        "calling": row.calling_aet,
        "called": row.called_aet,
        "class": class_name(row.sop_class_uid),
        "modality": row.modality,
        "study": row.study_uid,
        "instance": row.sop_instance_uid,
        "bytes": row.size_bytes,
        "job": row.job_id,
    }
    if as_json:
        print(jsonlines.line(seen))  # noqa: T201 the answer
        return
    job = f"job {row.job_id}" if row.job_id else ""
    columns = (
        seen["received_at"],
        f"{row.state:<9}",
        f"{row.calling_aet:<16}",
        seen["class"],
        row.sop_instance_uid,
        job,
    )
    print("  ".join(str(column) for column in columns))  # noqa: T201 the answer
