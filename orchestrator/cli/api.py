"""``cinefarm api``: the HTTP API and the web page alone; ``cinefarm serve`` runs one beside its work."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def api(
    port: Annotated[
        int | None,
        typer.Option("--port", min=0, max=65535, help="TCP port; default: CINEFARM_HTTP_PORT; 0: any"),
    ] = None,
    state: Annotated[
        Path | None, typer.Option("--state", metavar="DIR", help="ledger and store where no URLs are set")
    ] = None,
    log_file: Annotated[
        Path | None, typer.Option("--log-file", metavar="FILE", help="where events go; default: stderr")
    ] = None,
) -> int:
    """Answer the HTTP API and show the web page until told to stop (docs/api.md).

    Exit codes: 0 told to stop, 2 the command or the settings are wrong.
    """
    from common import logs
    from common.settings import Settings
    from orchestrator.api.server import http_server
    from orchestrator.farm import open_farm

    base = Settings()
    settings = base.model_copy(update={"state_dir": (state or base.state_dir).absolute()})
    logs.configure(log_file)
    with open_farm(settings) as farm, http_server(farm, port=port) as server:
        print(f"API on {server.url}", file=sys.stderr, flush=True)  # noqa: T201
        server.run()
    return 0
