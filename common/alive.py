"""The sign of life that a container's health check looks at: a file whose time of change is never old while work goes on."""

from __future__ import annotations

from pathlib import Path

from common.logs import logger

log = logger(__name__)


def touch(file: Path | None) -> None:
    """Say that this process is at work; None: nobody asked. A folder that cannot be written is logged: the check then fails."""
    if file is None:
        return
    try:
        file.touch()
    except OSError as error:
        log.warning("alive_file_not_touched", error=type(error).__name__)
