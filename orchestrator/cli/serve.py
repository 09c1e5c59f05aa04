"""``cinefarm serve``: the orchestrator as a service. SIGTERM and Ctrl-C end it within seconds; workers go on."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer


def serve(
    state: Annotated[
        Path | None, typer.Option("--state", metavar="DIR", help="ledger and store where no URLs are set")
    ] = None,
    log_file: Annotated[
        Path | None, typer.Option("--log-file", metavar="FILE", help="where events go; default: stderr")
    ] = None,
) -> int:
    """Run the orchestrator against CINEFARM_BROKER_URL, CINEFARM_LEDGER_URL and CINEFARM_STORE_URL until told to stop.

    The HTTP API and the web page are at CINEFARM_HTTP_PORT (docs/api.md). With CINEFARM_LISTEN_PORT a listener
    runs beside it (docs/listen.md). Several may run on one PostgreSQL.
    Exit codes: 0 told to stop, 2 the settings are wrong.
    """
    from common import logs
    from common.settings import Settings
    from orchestrator.metrics.folder import share

    base = Settings()
    settings = base.model_copy(update={"state_dir": (state or base.state_dir).absolute()})
    share(settings.state_dir / "metrics")

    from orchestrator.api.child import answering
    from orchestrator.listener.child import listening
    from orchestrator.service import service

    logs.configure(log_file)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _end(stop))
    with service(settings, stopped=stop.is_set) as running, listening(settings), answering(settings):
        running.run(stop.is_set)
    return 0


def _end(stop: threading.Event) -> None:
    if stop.is_set():  # asked twice: somebody is in a hurry
        raise KeyboardInterrupt
    stop.set()
