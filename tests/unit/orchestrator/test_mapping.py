"""The mapping CSV: which row a file gets, what is said about errors, and what never is."""

from __future__ import annotations

import csv
import hashlib
import json
import tempfile
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset

from common.errors import BadMapping, PolicyError
from orchestrator.ingest.folder import Found
from orchestrator.ingest.mapping import EXAMPLE, Mapping, Row, header_json, missing_metadata, write_template

Load = Callable[[str | bytes], Mapping]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def read(content: str | bytes) -> Mapping:
        path = tmp_path / "map.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return Mapping.load(path)

    return read


def found(relative: str, *, base: str = "/data/video") -> Found:
    return Found(Path(base) / relative, 1, 0, relative)


def patient(mapping: Mapping, relative: str) -> str | None:
    row = mapping.row_for(found(relative))
    return str(row.dataset().PatientID) if row else None


def refusal(load: Load, content: str | bytes) -> str:
    with pytest.raises(BadMapping) as refused:
        load(content)
    assert refused.value.hint
    return refused.value.message


def test_an_exact_name_goes_before_every_glob(load: Load) -> None:
    mapping = load("file,PatientID\n*.mp4,GLOB\na.mp4,EXACT\n")
    assert patient(mapping, "a.mp4") == "EXACT"
    assert patient(mapping, "b.mp4") == "GLOB"


def test_the_first_glob_that_fits_wins(load: Load) -> None:
    mapping = load("file,PatientID\na*.mp4,ONE\n*.mp4,TWO\n**/*,REST\n")
    assert [patient(mapping, name) for name in ("ab.mp4", "b.mp4", "c/b.avi")] == ["ONE", "TWO", "REST"]


@pytest.mark.parametrize(
    ("glob", "fits", "fits_not"),
    [
        ("*.mp4", ["a.mp4"], ["x/a.mp4", "a.MP4"]),
        ("x/*.mp4", ["x/a.mp4"], ["a.mp4", "x/y/a.mp4"]),
        ("**/*.mp4", ["a.mp4", "x/a.mp4", "x/y/a.mp4"], ["a.avi"]),
        ("x/**", ["x/a", "x/y/a"], ["y/a"]),
        ("x/**/**/a", ["x/a", "x/y/z/a"], ["x/b"]),
        ("?[0-9].mp4", ["a1.mp4"], ["ab.mp4", "11.mp4x"]),
        ("./x//a.mp4", ["x/a.mp4"], ["a.mp4"]),
        ("/data/video/x/a.mp4", ["x/a.mp4"], ["a.mp4"]),
        ("/data/*/a.mp4", ["a.mp4"], ["x/a.mp4"]),
    ],
)
def test_names_and_globs_match_relative_and_absolute_paths(
    load: Load, glob: str, fits: list[str], fits_not: list[str]
) -> None:
    mapping = load(f"file,PatientID\n{glob},P\n")
    assert [patient(mapping, name) for name in fits] == ["P"] * len(fits)
    assert [patient(mapping, name) for name in fits_not] == [None] * len(fits_not)


def test_a_run_of_double_stars_is_matched_quickly(load: Load) -> None:
    mapping = load(f"file,PatientID\n{'**/' * 200}x.mp4,P\n")
    assert patient(mapping, "a/" * 60 + "y.mp4") is None


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_composed_and_decomposed_names_are_the_same_name(load: Load, form: str) -> None:
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    mapping = load(f"file,PatientID\n{unicodedata.normalize(form, 'Endoskopie-Müller-é.mp4')},P\n")
    assert patient(mapping, unicodedata.normalize(other, "Endoskopie-Müller-é.mp4")) == "P"


def test_two_lines_that_name_one_file_by_two_paths_are_an_error(load: Load) -> None:
    mapping = load("file,PatientID\na.mp4,P1\n/data/video/a.mp4,P2\n")
    with pytest.raises(BadMapping, match="lines 2 and 3"):
        mapping.row_for(found("a.mp4"))


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_spreadsheets_write_is_read(load: Load, delimiter: str, mark: bytes, end: str) -> None:
    lines = [("file", "PatientID", "StudyDescription"), ("a.mp4", "P-1", '"one ""two"""'), ("", "", "")]
    mapping = load(mark + end.join(delimiter.join(line) for line in lines).encode())
    row = mapping.row_for(found("a.mp4"))
    assert row is not None
    assert row.dataset().StudyDescription == 'one "two"'


def test_a_row_becomes_data_elements_without_the_class(load: Load) -> None:
    mapping = load(
        "file,PatientID,PatientName,SOPClassUID,Modality,AnatomicRegion,StudyTime\n"
        "a.mp4,P,Müller^Jörg,Video Endoscopic,ES,71854001^SCT^Colon,\n"
    )
    row = mapping.row_for(found("a.mp4"))
    assert row is not None
    dataset = row.dataset()
    assert (row.modality, row.requested_class) == ("ES", "1.2.840.10008.5.1.4.1.1.77.1.1.1")
    assert dataset.SpecificCharacterSet == "ISO_IR 192"
    assert dataset.AnatomicRegionSequence[0].CodeMeaning == "Colon"
    assert "SOPClassUID" not in dataset
    assert "StudyTime" not in dataset


def test_equal_data_has_an_equal_header_whatever_the_order_of_columns(load: Load) -> None:
    one = load("file,PatientID,PatientName\na,P,Doe^J\n").row_for(found("a"))
    two = load("PatientName,file,PatientID\nDoe^J,a,P\n").row_for(found("a"))
    assert one is not None
    assert two is not None
    assert hashlib.sha256(header_json(one)).digest() == hashlib.sha256(header_json(two)).digest()
    assert str(Dataset.from_json(header_json(one).decode()).PatientName) == "Doe^J"


def test_all_errors_are_listed_with_line_and_column(load: Load) -> None:
    message = refusal(load, "file,PatientID,StudyDate\na,,20240101\nb,P,yesterday\nc,P\na,P,\na,P,\n")
    assert message.splitlines() == [
        "the mapping has 4 errors:",
        "line 2, column 2 (PatientID): empty, and it must not be",
        "line 3, column 3 (StudyDate): not legal for DA: it must be a date as YYYYMMDD or YYYY-MM-DD",
        "line 4: 2 cells where the first line has 3",
        "line 6, column file: the same file as line 5",
    ]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "the column file is missing"),
        ("file,Modality\n", "the column PatientID is missing"),
        ("file,PatientID,PatientID\n", "there twice"),
        ("file,PatientID,Rows\n", "line 1, column 3"),
        ('file,PatientID\n"a,P\n', "not a CSV"),
        ("file,PatientID\na,M\u00fcller\n".encode("latin-1"), "not UTF-8 (line 2)"),
        ("file,PatientID\n".encode("utf-16"), "not UTF-8"),
    ],
)
def test_a_broken_file_is_refused_with_the_reason(load: Load, content: str | bytes, says: str) -> None:
    assert says in refusal(load, content)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadMapping, match="No such file"):
        Mapping.load(tmp_path / "none.csv")


def test_a_thousand_errors_are_enough(load: Load) -> None:
    lines = refusal(load, "file,PatientID\n" + "".join(f"f{n},\n" for n in range(1500))).splitlines()
    assert len(lines) == 1002
    assert lines[-1] == "… and 500 more"


def test_without_a_first_line_no_patient_is_named(load: Load) -> None:
    message = refusal(load, "endoscopy/a.mp4,4711,Doe^Jane,1970-01-31\n")
    assert "is the first line missing?" in message
    assert not [value for value in ("4711", "Doe", "1970") if value in message]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(max_size=30), max_size=8), st.sampled_from(["PatientName", "StudyDate", "SeriesNumber"]))
def test_no_content_breaks_the_reader(cells: list[str], name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "map.csv"
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["file", "PatientID", name])
            writer.writerows([f"f{n}", "P", text] for n, text in enumerate(cells))
        try:
            mapping = Mapping.load(path)
        except BadMapping:
            return
        for n in range(len(cells)):
            row = mapping.row_for(found(f"f{n}"))
            assert row is not None
            json.loads(header_json(row))


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "map.csv"
        path.write_bytes(b"file,PatientID,StudyDate\n" + content)
        with suppress(BadMapping):  # any other exception fails the test
            Mapping.load(path)


@settings(deadline=None, max_examples=60)
@given(
    secret=st.text(alphabet="QXZ\\^\x01", min_size=1, max_size=20).map(lambda text: f"Qz{text}Qz"),
    name=st.sampled_from(
        ["PatientName", "PatientBirthDate", "PatientSex", "SOPClassUID", "AnatomicRegion", "StudyTime"]
    ),
)
def test_no_message_repeats_a_cell(secret: str, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "map.csv"
        with path.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([["file", "PatientID", name], ["a.mp4", "P", secret], ["a.mp4", "P", secret]])
        with pytest.raises(BadMapping) as refused:
            Mapping.load(path)
        assert "Qz" not in refused.value.message + refused.value.hint


def test_a_row_does_not_show_its_values() -> None:
    row = Row(2, "a.mp4", (), ("Doe^Jane",))
    assert "Doe" not in repr(row)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.lists(
            st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=12).filter(
                lambda part: part == part.strip() and part not in {".", ".."}
            ),
            min_size=1,
            max_size=3,
        ).map("/".join),
        min_size=1,
        max_size=6,
        unique_by=lambda name: unicodedata.normalize("NFC", name),
    )
)
def test_a_template_that_is_filled_in_names_each_file(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "map.csv"
        assert write_template([found(name) for name in names], path) == len(names)
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(EXAMPLE))
            writer.writeheader()
            writer.writerows(row | {"PatientID": f"P{n}"} for n, row in enumerate(rows))
        mapping = Mapping.load(path)
        assert [patient(mapping, name) for name in names] == [f"P{n}" for n in range(len(names))]


def test_a_template_never_replaces_a_file(tmp_path: Path) -> None:
    path = tmp_path / "map.csv"
    path.write_text("work")
    with pytest.raises(PolicyError):
        write_template([], path)
    assert path.read_text() == "work"


def test_a_template_holds_no_formula(tmp_path: Path) -> None:
    write_template([found("=cmd.mp4"), found("-a.mp4")], tmp_path / "map.csv")
    lines = (tmp_path / "map.csv").read_text(encoding="utf-8-sig").splitlines()
    assert [line.split(",")[0] for line in lines] == ["file", "./=cmd.mp4", "./-a.mp4"]


def test_the_example_columns_are_legal_with_the_example_values(load: Load) -> None:
    mapping = load(f"{','.join(EXAMPLE)}\n{','.join(EXAMPLE.values())}\n")
    assert patient(mapping, EXAMPLE["file"]) == "P-0001"


def test_the_advice_for_a_missing_line_is_itself_a_legal_mapping(load: Load) -> None:
    for mapping in (None, load("file,PatientID,SeriesNumber\n")):
        error = missing_metadata(mapping)
        names, example = error.hint.split("Columns: ")[1].split(" · ")[:2]
        assert load(f"{names}\n{example.removeprefix('for example: ')}\n").exact
        assert "--map" in error.hint
        assert "--write-map" in error.hint
