"""Log events: a constant name plus fields, one JSON object a line on stderr or in a file. No patient data, no source path."""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_bound: ContextVar[dict[str, Any]] = ContextVar("cinefarm_log_fields", default={})  # noqa: B039 never mutated


class EventLogger:
    """Logs constant event names with fields: ``log.info("order_taken", kind="transcode")``."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def info(self, event: str, **fields: Any) -> None:
        """Something an operator may want to follow."""
        self._log(logging.INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Something odd that the farm handled by itself."""
        self._log(logging.WARNING, event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Something a person should look at."""
        self._log(logging.ERROR, event, fields)

    def exception(self, event: str, **fields: Any) -> None:
        """A bug of ours, with its traceback; call it in an except block."""
        self._logger.error(event, extra={"fields": {**_bound.get(), **fields}}, exc_info=True)

    def _log(self, level: int, event: str, fields: dict[str, Any]) -> None:
        self._logger.log(level, event, extra={"fields": {**_bound.get(), **fields}})


def logger(name: str) -> EventLogger:
    """The event logger of a module."""
    return EventLogger(name)


def bind(**fields: Any) -> None:
    """Add fields to every event of the present task."""
    _bound.set({**_bound.get(), **fields})


def clear() -> None:
    """Forget the bound fields, so that nothing leaks into the next task."""
    _bound.set({})


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC, ISO 8601), level, logger, event, fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line for one record; an exception adds its type and place, never its local values."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure(path: Path | None = None, *, level: int = logging.INFO) -> None:
    """Send all logs to a file, or to stderr; Celery's own go the same way."""
    handler: logging.Handler = logging.StreamHandler(sys.stderr) if path is None else logging.FileHandler(path)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("pynetdicom", "pydicom", "alembic", "celery.app.trace", "kombu", "libav"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
