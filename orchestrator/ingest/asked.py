"""What a SOURCE asks of an archive: the part of its URI after the question mark, for C-FIND and QIDO-RS alike.

``StudyDate=20190101-20191231&ModalitiesInStudy=ES&.retrieve=move``: keywords are matching keys; names that begin with a dot are
options of ours. ``@FILE`` stands for a file with a line for each, so that no patient's name is an argument of a process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl

from common.errors import PolicyError
from common.network.query import EVERYTHING, Query


class Take(StrEnum):
    """Which instances are taken; a query by class, frames or instance takes what it names."""

    VIDEO = "video"  # classes whose frames are moments: video and cine loops
    FRAMES = "frames"  # every class that can hold several frames
    ALL = "all"


Method = Literal["get", "move", "web"]


@dataclass(frozen=True)
class Asked:
    """Keys and options of one source. May hold patient data: ``repr`` and ``shown`` show what points at nobody."""

    query: Query = EVERYTHING
    method: Method = "get"
    cap: int | None = None  # answers that the archive is known to give at most
    take: Take = field(default=Take.VIDEO)

    @classmethod
    def parse(cls, text: str, *, method: Method = "get") -> Asked:
        """Read what stands after the question mark. ``method``: when none is named.

        Raises:
            PolicyError: a key, an option or a value is not understood; the file cannot be read.
        """
        pairs = _file_pairs(Path(text[1:])) if text.startswith("@") else parse_qsl(text, keep_blank_values=True)
        chosen: dict[str, Any] = {"method": method}
        for name, value in pairs:
            if name.startswith("."):
                chosen |= _option(name, value)
        return cls(Query.of(pair for pair in pairs if not pair[0].startswith(".")), **chosen)

    def text(self, *, method: Method = "get") -> str:
        """One spelling, which ``parse`` reads again; ``method`` is the one that need not be named."""
        return self._joined(self.query.text, method)

    def shown(self, *, method: Method = "get") -> str:
        """The same for people: values that may point at one patient are dots."""
        return self._joined(str(self.query), method)

    def _joined(self, query: str, method: Method) -> str:
        options = [
            f".retrieve={self.method}" if self.method != method else "",
            f".cap={self.cap}" if self.cap is not None else "",
            f".take={self.take}" if self.take is not Take.VIDEO else "",
        ]
        return "&".join(filter(None, [query, *options]))


def _retrieve(value: str) -> dict[str, object]:
    if value not in ("get", "move", "web"):
        raise ValueError
    return {"method": value}


def _cap(value: str) -> dict[str, object]:
    if int(value) < 1:
        raise ValueError
    return {"cap": int(value)}


_OPTIONS: dict[str, tuple[Callable[[str], dict[str, object]], str]] = {
    ".retrieve": (_retrieve, ".retrieve=get (C-GET) or .retrieve=move (C-MOVE to our own listener)"),
    ".cap": (_cap, ".cap=N: the archive gives at most N answers"),
    ".take": (lambda value: {"take": Take(value)}, ".take=video, .take=frames or .take=all"),
}


def _option(name: str, value: str) -> dict[str, object]:
    forms = "; ".join(form for _, form in _OPTIONS.values())
    if name not in _OPTIONS:
        raise PolicyError(f"the option {name[:32]!r} of the source is not known", hint=f"There are: {forms}.")
    try:
        return _OPTIONS[name][0](value)
    except ValueError as error:
        raise PolicyError(f"the option {name} of the source has a wrong value", hint=f"Write {forms}.") from error


def _file_pairs(path: Path) -> list[tuple[str, str]]:
    """``Keyword=value`` line by line, nothing encoded; '#' begins a comment."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise PolicyError(
            f"the file with the query cannot be read: {why}", hint="Check the path after '?@'."
        ) from error
    pairs = []
    for number, line in enumerate(map(str.strip, lines), 1):
        name, sign, value = line.partition("=")
        if line and not line.startswith("#"):
            if not sign:
                raise PolicyError(f"line {number} of the file with the query has no '='", hint="Write Keyword=value.")
            pairs.append((name.strip(), value.strip()))
    return pairs
