"""The folder through which the loop's figures reach the server beside it. It imports nothing of prometheus_client, which looks once."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""prometheus_client's own: where its processes share their figures."""


def share(folder: Path) -> None:
    """Let this process and its children share figures in a folder, which is emptied: counters begin anew, as Prometheus expects.

    Call it before prometheus_client is imported.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.db"):
        old.unlink()
    os.environ[VARIABLE] = str(folder)
