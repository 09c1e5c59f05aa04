"""Patient and study data for plain video, from a CSV with DICOM keywords as column names (docs/mapping.md)."""

from __future__ import annotations

import csv
import io
import json
import posixpath
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

from pydicom import Dataset

from common.errors import BadMapping, MissingMetadata, PolicyError
from orchestrator.ingest.columns import FILE, Column, clean, column, put
from orchestrator.ingest.found import Found

PATIENT_ID = "PatientID"
ACCESSION = "AccessionNumber"
DELIMITERS = ",;\t"
SHOWN_ERRORS = 1000
EXAMPLE = {
    FILE: "endoscopy/case-001.mp4",
    "PatientID": "P-0001",
    "PatientName": "Doe^Jane",
    "PatientBirthDate": "19700131",
    "PatientSex": "F",
    "StudyInstanceUID": "",
    "StudyDate": "20240229",
    "StudyTime": "143000",
    "AccessionNumber": "A-0001",
    "StudyID": "1",
    "StudyDescription": "Colonoscopy",
    "ReferringPhysicianName": "",
    "Modality": "ES",
    "SeriesNumber": "1",
    "SeriesDescription": "Video",
    "SOPClassUID": "Video Endoscopic",
    "AnatomicRegion": "71854001^SCT^Colon",
    "Manufacturer": "",
    "InstitutionName": "",
    "AcquisitionDateTime": "20240229143000",
}
"""The documented columns, with values for the example of a missing row."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the mapping. Values are patient data: they go into the header object and nowhere else."""

    line: int
    file: str
    columns: tuple[Column, ...] = field(repr=False)
    cells: tuple[str, ...] = field(repr=False)

    @property
    def modality(self) -> str:
        """Modality (0008,0060), or empty."""
        return self._cell("Modality")

    @property
    def accession(self) -> str | None:
        """Accession Number (0008,0050), or None."""
        return self._cell(ACCESSION) or None

    @property
    def complete(self) -> bool:
        """Whether the row itself says whose the video is; else a worklist has to."""
        return bool(self._cell(PATIENT_ID))

    @property
    def requested_class(self) -> str | None:
        """SOP Class UID that the row asks for, or None."""
        return self._cell("SOPClassUID") or None

    def dataset(self) -> Dataset:
        """The row's data elements. SOP Class UID is not among them: the planner chooses it."""
        dataset = Dataset()
        dataset.SpecificCharacterSet = "ISO_IR 192"
        for each, cell in zip(self.columns, self.cells, strict=True):
            if cell and each.name != "SOPClassUID":
                put(dataset, each, cell)
        return dataset

    def _cell(self, name: str) -> str:
        return next((cell for each, cell in zip(self.columns, self.cells, strict=True) if each.name == name), "")


class Described(Protocol):
    """Whatever says whose a plain video is."""

    @property
    def modality(self) -> str:
        """Modality (0008,0060), or empty."""
        ...

    @property
    def requested_class(self) -> str | None:
        """SOP Class UID that it asks for, or None."""
        ...

    def dataset(self) -> Dataset:
        """Its data elements."""
        ...


def header_json(row: Described) -> bytes:
    """DICOM JSON (PS3.18 F) in one canonical spelling, so that equal data has an equal SHA-256."""
    text = json.dumps(row.dataset().to_json_dict(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


@dataclass(frozen=True)
class Mapping:
    """All rows of one CSV. A row that names a file exactly goes before a glob, an earlier glob before a later one."""

    names: tuple[str, ...]
    exact: dict[str, Row] = field(repr=False)
    globs: tuple[tuple[tuple[str, ...], Row], ...] = field(repr=False)

    @classmethod
    def load(cls, path: Path, *, worklist: bool = False) -> Mapping:
        """Read and check the whole file. With a ``worklist`` to ask, an accession number takes the place of the Patient ID.

        Raises:
            BadMapping: it cannot be read, or holds errors; the message lists each with its line and column.
        """
        try:
            with path.open("rb") as stream:
                return cls.read(stream, worklist=worklist)
        except OSError as error:
            raise BadMapping(
                f"the mapping cannot be read: {error.strerror}", hint="Check the path after --map."
            ) from error

    @classmethod
    def read(cls, lines: Iterable[bytes], *, worklist: bool = False) -> Mapping:
        """As ``load``, from the lines of a file.

        Raises:
            BadMapping: it holds errors; the message lists each with its line and column.
        """
        try:
            return _read(lines, worklist=worklist)
        except csv.Error as error:
            raise BadMapping(f"the mapping is not a CSV: {error}", hint="Check its quotation marks.") from error

    @property
    def rows(self) -> int:
        """Lines that name a file or a pattern."""
        return len(self.exact)

    def row_for(self, found: Found) -> Row | None:
        """The row for one file, or None.

        Raises:
            BadMapping: one row names the file by its relative and another by its absolute path.
        """
        relative, absolute = _normal(found.relative), _normal(str(found.path))
        named = [row for row in (self.exact.get(relative), self.exact.get(absolute)) if row]
        if len(named) > 1 and named[0] is not named[1]:
            raise BadMapping(
                f"lines {named[0].line} and {named[1].line} of the mapping name the same file", hint="Delete one."
            )
        if named:
            return named[0]
        candidates = relative.split("/"), absolute.split("/")
        return next(
            (row for glob, row in self.globs if any(_matches(glob, tuple(parts)) for parts in candidates)), None
        )


def missing_metadata(mapping: Mapping | None) -> MissingMetadata:
    """The error of a plain video that no row describes. Without the ``mapping`` at hand, the hint shows the least line."""
    names = mapping.names if mapping else (FILE, PATIENT_ID, "PatientName", "StudyDate", "Modality")
    example = io.StringIO()
    csv.writer(example, lineterminator="").writerow([EXAMPLE.get(name, "") for name in names])
    return MissingMetadata(
        "a plain video file does not say whose it is, and no line of a mapping names this file",
        hint=f"Add a line for it to the CSV given with --map. Columns: {','.join(names)} · for example: {example.getvalue()} "
        "· `cinefarm plan SOURCE --to DEST --write-map FILE.csv` writes one with a line for each file, to be filled in.",
    )


def write_template(found_files: Iterable[Found], out: Path) -> int:
    """Write a mapping with all documented columns and one line a file, to be filled in; returns the number of lines.

    Raises:
        PolicyError: ``out`` exists (it may hold somebody's work) or cannot be written.
    """
    try:
        with out.open("x", encoding="utf-8-sig", newline="") as stream:  # the mark makes spreadsheets read it as UTF-8
            writer = csv.writer(stream)
            writer.writerow(EXAMPLE)
            blank = [""] * (len(EXAMPLE) - 1)
            count = 0
            for count, found in enumerate(found_files, 1):  # noqa: B007 the count is the answer
                writer.writerow(["./" + found.relative, *blank])  # './': no name can be taken for a formula
            return count
    except OSError as error:
        raise PolicyError(f"the template cannot be written: {error.strerror}", hint="Name a new file.") from error


def _read(stream: Iterable[bytes], *, worklist: bool) -> Mapping:
    lines = _decoded(stream)
    first = next(lines, "")
    delimiter = max(DELIMITERS, key=first.count)
    errors: list[str] = []
    columns = _header(next(csv.reader([first], delimiter=delimiter, strict=True), []), errors, worklist=worklist)
    exact: dict[str, Row] = {}
    globs: list[tuple[tuple[str, ...], Row]] = []
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    for cells in reader if not errors else ():
        line = reader.line_num + 1
        row = _row(line, [cell.strip() for cell in cells], columns, errors, worklist=worklist)
        if row is None:
            continue
        if row.file in exact:
            errors.append(f"line {line}, column file: the same file as line {exact[row.file].line}")
        exact.setdefault(row.file, row)
        if any(c in row.file for c in "*?["):
            globs.append((_glob(row.file), row))
    if errors:
        raise BadMapping(
            _listed(errors),
            hint="Mend these cells and run the same command again. Columns: docs/mapping.md",
            faults=tuple(errors[:SHOWN_ERRORS]),
        )
    return Mapping(tuple(each.name for each in columns), exact, tuple(globs))


def _decoded(stream: Iterable[bytes]) -> Iterator[str]:
    for number, raw in enumerate(stream, 1):
        try:
            yield raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise BadMapping(
                f"the mapping is not UTF-8 (line {number})", hint="Save it again as 'CSV UTF-8', and use that file."
            ) from None


def _header(names: list[str], errors: list[str], *, worklist: bool) -> tuple[Column, ...]:
    columns: list[Column] = []
    seen: set[str] = set()
    for number, name in enumerate((name.strip() for name in names), 1):
        try:
            columns.append(Column(FILE, "", "1") if name == FILE else column(name))
        except ValueError as error:
            errors.append(f"line 1, column {number}: {error}")
        if name in seen:
            errors.append(f"line 1, column {number}: this column is there twice")
        seen.add(name)
    there = {each.name for each in columns}
    for needed in (FILE,) if worklist and ACCESSION in there else (FILE, PATIENT_ID):
        if needed not in there:
            errors.append(f"line 1: the column {needed} is missing")
    return tuple(columns)


def _row(line: int, cells: list[str], columns: tuple[Column, ...], errors: list[str], *, worklist: bool) -> Row | None:
    """The checked row; None for an empty line or one with errors."""
    if not any(cells):
        return None
    if len(cells) != len(columns):
        errors.append(f"line {line}: {len(cells)} cells where the first line has {len(columns)}")
        return None
    before, cleaned, file = len(errors), [], ""
    values = {each.name: cell for each, cell in zip(columns, cells, strict=True)}
    needed = (FILE,) if worklist and values.get(ACCESSION) else (FILE, PATIENT_ID)
    for number, (each, cell) in enumerate(zip(columns, cells, strict=True), 1):
        try:
            if not cell and each.name in needed:
                raise ValueError("empty, and it must not be")
            if each.name == FILE:
                file = _normal(cell)
            else:
                cleaned.append(clean(each, cell) if cell else "")
        except ValueError as error:
            errors.append(f"line {line}, column {number} ({each.name}): {error}")
    rest = tuple(each for each in columns if each.name != FILE)
    return Row(line, file, rest, tuple(cleaned)) if len(errors) == before else None


def _listed(errors: list[str]) -> str:
    more = [f"… and {len(errors) - SHOWN_ERRORS} more"] if len(errors) > SHOWN_ERRORS else []
    count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
    return "\n".join([f"the mapping has {count}:", *errors[:SHOWN_ERRORS], *more])


def _normal(path: str) -> str:
    """One spelling a path: no './' or '//', and composed Unicode (macOS writes names decomposed)."""
    return unicodedata.normalize("NFC", posixpath.normpath(path))


def _glob(path: str) -> tuple[str, ...]:
    """The parts of a pattern; of a run of '**' one says it all, and matching stays quick."""
    parts = path.split("/")
    return tuple(part for n, part in enumerate(parts) if part != "**" or n == 0 or parts[n - 1] != "**")


def _matches(glob: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    """Part by part: '*' and '?' stay within one name, '**' stands for any number of folders."""
    if not glob:
        return not parts
    if glob[0] == "**":
        return any(_matches(glob[1:], parts[n:]) for n in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], glob[0]) and _matches(glob[1:], parts[1:])
