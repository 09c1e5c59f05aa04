"""How people write limits: ``DEST concurrent=2 rate=20MB/s window=…`` (docs/limits.md)."""

from __future__ import annotations

import re

from common.destinations import parse_destination
from common.errors import PolicyError
from orchestrator.limits import DestinationLimit, parse_rate
from orchestrator.windows import parse_window

LIMIT_FORM = "Write it like 'dicom://PACS@host:104 concurrent=2 rate=20MB/s window=Mon-Fri 20:00-06:00 Europe/Berlin'."

_LIMIT = re.compile(
    r"(?P<to>.+?)(?: concurrent=(?P<concurrent>\d+))?(?: rate=(?P<rate>\S+))?(?: window=(?P<window>.+))?"
)


def parse_limit(text: str) -> tuple[str, DestinationLimit]:
    """The destination's URI and its limits, as ``--limit`` takes them.

    Raises:
        PolicyError: the text is not understood.
    """
    found = _LIMIT.fullmatch(text.strip())
    if found is None or not any(found.group("concurrent", "rate", "window")) or found["concurrent"] == "0":
        raise PolicyError(f"the limit {text!r} is not understood", hint=LIMIT_FORM)
    if found["window"]:
        parse_window(found["window"])
    return parse_destination(found["to"]).uri, DestinationLimit(
        concurrent=int(found["concurrent"]) if found["concurrent"] else None,
        bytes_per_second=parse_rate(found["rate"]) if found["rate"] else None,
        window=found["window"],
    )
