"""The items of a job as Parquet, with the CSV's columns in their own types: for whoever counts over a million of them.

Arrow takes some fifty megabytes for itself, so a process of its own writes the file: rows go to it as lines of JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self

from common.errors import InternalFault
from orchestrator.reports.csvfile import COLUMNS, Cell

if TYPE_CHECKING:
    import pyarrow as pa

GROUP_ROWS = 10_000
"""Rows of a row group: some megabytes are in memory, and a reader can skip what it does not ask for."""

_WHOLE = frozenset({"number", "bytes_before", "bytes_after", "instances", "attempts", "quality_number"})
_FRACTIONS = frozenset({"ratio", "work_seconds"})
_NUMBERS = frozenset(
    column for column in COLUMNS if column in _WHOLE | _FRACTIONS or column.endswith(("_mean", "_p1", "_min"))
)


class ParquetItems:
    """A Parquet file that appears at its path when the block ends well, and not at all when it does not.

    Raises:
        InternalFault: at the block's end: the file could not be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._aside = path.with_name(f".{path.name}.{os.getpid()}")

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        words = [sys.executable, "-m", "orchestrator.reports.parquetfile", str(self._aside), str(GROUP_ROWS)]
        self._writer = subprocess.Popen(
            words, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="ascii", start_new_session=True
        )
        return self

    @property
    def _rows(self) -> IO[str]:
        if self._writer.stdin is None:
            raise InternalFault("the writer of the Parquet file was started without a way to it")
        return self._writer.stdin

    def add(self, cells: Iterable[Cell]) -> None:
        """One row, in the order of the columns."""
        row = [cell if column in _NUMBERS else _text(cell) for column, cell in zip(COLUMNS, cells, strict=True)]
        self._rows.write(json.dumps(row) + "\n")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            if kind is not None and not isinstance(error, BrokenPipeError):
                self._writer.kill()
            said = self._writer.communicate()[1]
            if kind is None or isinstance(error, BrokenPipeError):
                if self._writer.returncode:
                    raise InternalFault(f"{self._path.name} could not be written: {_last_line(said)}")
                self._aside.replace(self._path)
        finally:
            self._aside.unlink(missing_ok=True)


def write(rows: Iterator[list[Cell]], path: Path, group_rows: int) -> None:
    """Write the rows, ``group_rows`` at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(column, _type(column)) for column in COLUMNS])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while batch := list(islice(rows, group_rows)):
            columns = dict(zip(COLUMNS, map(list, zip(*batch, strict=True)), strict=True))
            writer.write_table(pa.table(columns, schema=schema))


def _type(column: str) -> pa.DataType:
    import pyarrow as pa

    if column in _WHOLE:
        return pa.int64()
    return pa.float64() if column in _NUMBERS else pa.string()


def _text(value: Cell) -> str | None:
    """Text that UTF-8 can hold: a name that is no Unicode is shown with its bytes escaped."""
    return None if value is None else str(value).encode("utf-8", "backslashreplace").decode()


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it ended without a word"])[-1]


if __name__ == "__main__":
    write(map(json.loads, sys.stdin), Path(sys.argv[1]), int(sys.argv[2]))
