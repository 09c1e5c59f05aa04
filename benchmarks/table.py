"""The form that every benchmark answers in: rows of one table, each a ratio of two figures taken side by side.

A benchmark is a file ``bench_NAME.py`` with a function ``rows(*, quick: bool) -> Iterator[Row]``. It yields each row as soon as it
is known; ``quick`` asks for the smallest input that still runs every line. ``run.py`` makes the table of all of them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal


@dataclass(frozen=True)
class Asked:
    """The bound of a ratio."""

    side: Literal["≤", "≥"]
    ratio: float

    def holds(self, ratio: float) -> bool:
        """True when the ratio is within the bound."""
        return ratio <= self.ratio if self.side == "≤" else ratio >= self.ratio

    def __str__(self) -> str:
        return f"{self.side} {self.ratio:g}"


def at_most(ratio: float) -> Asked:
    """For what should be small: time, bytes, memory."""
    return Asked("≤", ratio)


def at_least(ratio: float) -> Asked:
    """For what should be large: speed."""
    return Asked("≥", ratio)


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: what was done, on what.
        ours: the figure of our way, in ``unit``.
        reference: the same figure of ``against``, taken beside it; where a plain number is asked ("200 files/s"), that number.
        unit: of both, e.g. "s", "MB/s".
        against: what the reference is.
        asked: the bound of the ratio; None for a row that only informs.
        ratio: ours / reference, unless the bench pools ratios in another way (a median of rounds) and says so in ``note``.
        note: what one has to know to read the row.
    """

    name: str
    ours: float
    reference: float
    unit: str
    against: str
    asked: Asked | None = None
    ratio: float = 0.0
    note: str = ""

    def __post_init__(self) -> None:
        if not self.ratio and self.reference:
            object.__setattr__(self, "ratio", self.ours / self.reference)

    @property
    def verdict(self) -> str:
        """ "yes", "NO", or a dash where nothing is asked."""
        if self.asked is None:
            return "–"
        return "yes" if self.asked.holds(self.ratio) else "NO"

    def dump(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def load(cls, line: str) -> Row:
        """What ``dump`` wrote."""
        fields = json.loads(line)
        asked = fields.pop("asked")
        return cls(**fields, asked=Asked(**asked) if asked else None)


@dataclass(frozen=True)
class Failure:
    """A benchmark that ended before it had given all its rows."""

    bench: str
    reason: str


HEAD = ("what", "ours", "reference", "ratio", "asked", "holds", "note")


def render(lines: list[Row | Failure]) -> str:
    """The table in Markdown; columns are padded, so that it reads well in a terminal too."""
    cells = [HEAD, *(_cells(line) for line in lines)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEAD) - 1)]
    text = [_line(row, widths) for row in cells]
    return "\n".join([text[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|---|", *text[1:]]) + "\n"


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
    return "| " + " | ".join([*padded, row[-1]]) + " |"


def _cells(line: Row | Failure) -> tuple[str, ...]:
    if isinstance(line, Failure):
        return (line.bench, "", "", "", "", "FAILED", line.reason.replace("|", "/"))
    return (
        line.name,
        f"{number(line.ours)} {line.unit}",
        f"{number(line.reference)} {line.unit}: {line.against}",
        f"{line.ratio:.3g}",
        str(line.asked or "–"),
        line.verdict,
        line.note,
    )


def number(value: float) -> str:
    """Three figures that matter, never in powers of ten."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
