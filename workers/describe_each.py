"""Describe one file after another for a plan: asked on stdin, answered on stdout, a JSON line each.

The process is its own sandbox. A source that crashes or stalls it costs the asker one restart, and a tree of a million files is
not a million forks.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from common.dicom.identifiers import Identifiers
from common.errors import CinefarmError, InternalFault, ResourceLimit
from common.forks import Limits, bind
from common.header_patterns import HeaderPatterns
from common.orders import Failure
from common.settings import Settings
from workers.describe import describe

_PATTERNS = TypeAdapter(tuple[HeaderPatterns | None, ...])


def serve(*, quick: bool, parent: int) -> None:
    """Answer until stdin ends. ``parent`` is the process that this one must not outlive."""
    bind(parent, Limits(memory_bytes=Settings().child_memory_bytes))
    answers = os.dup(1)
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # decoders print what they like; answers alone go to the asker
        os.dup2(silence, stream)
    rules: Identifiers | None = None
    patterns: tuple[HeaderPatterns | None, ...] = ()
    with os.fdopen(answers, "wb") as out:
        for line in iter(sys.stdin.buffer.readline, b""):
            asked = json.loads(line)
            if "identifiers" in asked:  # rules for all that follow; on a pipe, for they hold patient identifiers
                rules = Identifiers.model_validate(asked["identifiers"])
                continue
            if "header_patterns" in asked:
                patterns = _PATTERNS.validate_python(asked["header_patterns"])
                continue
            out.write(_answer(asked, quick, rules, patterns) + b"\n")
            out.flush()


def _answer(
    asked: dict[str, Any], quick: bool, rules: Identifiers | None, patterns: tuple[HeaderPatterns | None, ...]
) -> bytes:
    try:
        found = describe(Path(asked["path"]), asked["hint"], quick=quick, rules=rules, patterns=patterns)
    except CinefarmError as error:
        return _failed(error)
    except MemoryError:
        return _failed(ResourceLimit("describing the source met its limit on memory"))
    except Exception as error:  # its message may quote the source
        return _failed(InternalFault(f"describing the source failed with {type(error).__name__}"))
    return b'{"description":' + found.model_dump_json().encode() + b"}"


def _failed(error: CinefarmError) -> bytes:
    return b'{"failure":' + Failure.of(error).model_dump_json().encode() + b"}"
