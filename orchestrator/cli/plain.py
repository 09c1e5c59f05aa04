"""The consoles that people read, and names made safe for them."""

from __future__ import annotations

import sys
from typing import TextIO

from rich.console import Console

WIDE = 200
"""Columns where there is no terminal: a log or a pipe has no edge to wrap at."""


def stderr_console() -> Console:
    """Standard error, for what accompanies an answer: progress, summaries, errors."""
    return _console(sys.stderr)


def stdout_console() -> Console:
    """Standard output, for the answer itself where nobody asked for JSON."""
    return _console(sys.stdout)


def _console(stream: TextIO) -> Console:
    return Console(file=stream, highlight=False, width=None if stream.isatty() else WIDE)


def plain(text: str, *, lines: bool = False) -> str:
    """Text with control characters replaced, line ends too unless ``lines``: a file's name may speak to the terminal."""
    return "".join(c if c.isprintable() or (lines and c == "\n") else "\N{REPLACEMENT CHARACTER}" for c in text)
