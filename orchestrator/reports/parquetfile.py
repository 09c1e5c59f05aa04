"""The items of a job as Parquet, with the CSV's columns in their own types: for whoever counts over a million of them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.reports.csvfile import COLUMNS, Cell

GROUP_ROWS = 10_000
"""Rows of a row group: some megabytes are in memory, and a reader can skip what it does not ask for."""

_WHOLE = frozenset({"number", "bytes_before", "bytes_after", "instances", "attempts", "quality_number"})
_FRACTIONS = frozenset({"ratio", "work_seconds"})


def _type(column: str) -> pa.DataType:
    if column in _WHOLE:
        return pa.int64()
    measured = column.endswith(("_mean", "_p1", "_min"))
    return pa.float64() if measured or column in _FRACTIONS else pa.string()


SCHEMA = pa.schema([(column, _type(column)) for column in COLUMNS])


_TEXTS = frozenset(column for column in COLUMNS if _type(column) == pa.string())


class ParquetItems:
    """A Parquet file that appears at its path when the block ends well, and not at all when it does not."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._aside = path.with_name(f".{path.name}.{os.getpid()}")
        self._columns: dict[str, list[object]] = {column: [] for column in COLUMNS}

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = pq.ParquetWriter(self._aside, SCHEMA, compression="zstd")
        return self

    def add(self, cells: Iterable[Cell]) -> None:
        """One row, in the order of the columns."""
        for column, cell in zip(COLUMNS, cells, strict=True):
            self._columns[column].append(_text(cell) if column in _TEXTS else cell)
        if len(self._columns["number"]) >= GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._columns["number"]:
            self._writer.write_table(pa.table(self._columns, schema=SCHEMA))
        self._columns = {column: [] for column in COLUMNS}

    def __exit__(self, kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        try:
            if kind is None:
                self._flush()
            self._writer.close()
            if kind is None:
                self._aside.replace(self._path)
        finally:
            self._aside.unlink(missing_ok=True)


def _text(value: Cell) -> str | None:
    """Text that UTF-8 can hold: a name that is no Unicode is shown with its bytes escaped."""
    return None if value is None else str(value).encode("utf-8", "backslashreplace").decode()
