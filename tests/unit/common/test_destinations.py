"""One canonical form for each place that results go to."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from common.destinations import DicomDestination, FolderDestination, parse_destination
from common.errors import PolicyError

AE_CHARACTERS = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "\\")


def test_a_path_is_a_folder() -> None:
    assert parse_destination("/mnt/archive/video") == FolderDestination(Path("/mnt/archive/video"))


def test_a_relative_path_is_made_absolute_in_the_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_destination("out/here").uri == str(tmp_path / "out" / "here")


@pytest.mark.parametrize(
    "text", ["file:///mnt/my%20videos", "FILE:///mnt/my%20videos", "file://localhost/mnt/my%20videos"]
)
def test_a_file_uri_is_a_folder(text: str) -> None:
    assert parse_destination(text) == FolderDestination(Path("/mnt/my videos"))


def test_a_file_uri_of_another_machine_is_refused() -> None:
    with pytest.raises(PolicyError, match="this machine"):
        parse_destination("file://server/share")


@pytest.mark.parametrize("path", ["/data/100%", "/data/a?b#c", "/data/ü/日本", "/data/a b"])
def test_a_folder_survives_its_own_uri(path: str) -> None:
    folder = FolderDestination(Path(path))
    assert parse_destination(folder.uri) == folder


def test_a_dicom_uri_is_an_archive() -> None:
    assert parse_destination("dicom://ARCHIVE@pacs.example:104") == DicomDestination("ARCHIVE", "pacs.example", 104)


def test_the_scheme_may_be_written_in_capitals() -> None:
    assert parse_destination("DICOM://ARCHIVE@pacs.example:104/") == DicomDestination("ARCHIVE", "pacs.example", 104)


def test_an_ae_title_may_hold_a_space() -> None:
    archive = DicomDestination("MY PACS", "10.0.0.1", 11112)
    assert archive.uri == "dicom://MY%20PACS@10.0.0.1:11112"
    assert parse_destination(archive.uri) == archive


def test_a_slash_in_an_ae_title_is_escaped() -> None:
    archive = DicomDestination("WARD/PACS", "10.0.0.1", 104)
    assert parse_destination(archive.uri) == archive


def test_an_archive_may_have_an_ipv6_address() -> None:
    archive = parse_destination("dicom://ARCHIVE@[::1]:104")
    assert archive == DicomDestination("ARCHIVE", "[::1]", 104)
    assert parse_destination(archive.uri) == archive


@settings(deadline=None, max_examples=60)
@given(
    title=st.text(AE_CHARACTERS, min_size=1, max_size=16),
    host=st.from_regex(r"[a-z0-9][a-z0-9.-]{0,20}", fullmatch=True),
    port=st.integers(1, 65535),
)
def test_an_archive_survives_its_own_uri(title: str, host: str, port: int) -> None:
    assume(title.strip())
    archive = DicomDestination(title, host, port)
    assert parse_destination(archive.uri) == archive


@pytest.mark.parametrize(
    "text",
    [
        "dicom://pacs.example:104",
        "dicom://ARCHIVE@pacs.example",
        "dicom://ARCHIVE@:104",
        "dicom://@pacs.example:104",
        "dicom://%20%20@pacs.example:104",
        "dicom://A-TITLE-OF-17-CHARS@pacs.example:104",
        "dicom://A%5CB@pacs.example:104",
        "dicom://A%0AB@pacs.example:104",
        "dicom://ARCHIVE@pacs.example:0",
        "dicom://ARCHIVE@pacs.example:65536",
        "dicom://ARCHIVE@pacs.example:-1",
        "dicom://ARCHIVE@pacs.example:１０４",
        "dicom://ARCHIVE@pacs.example:104/path",
        "dicom://ARCHIVE@pacs.example:104?StudyDate=20200101",
        "dicom://ARCHIVE@pacs.example:104#part",
        "dicom://ARCHIVE@pa cs:104",
    ],
)
def test_a_malformed_archive_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_destination(text)
    assert "dicom://ARCHIVE@pacs.example:104" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    ["s3://bucket", "s3://bucket/some/prefix", "dicomweb+https://server/path", "dicom+tls://ARCHIVE@pacs.example:2762"],
)
def test_every_form_has_one_canonical_spelling(text: str) -> None:
    assert parse_destination(text).uri == text
    assert parse_destination(text + "/").uri == text


@pytest.mark.parametrize(
    "text", ["s3://UPPER/x", "s3://", "dicomweb+https://user:secret@server/path", "dicomweb+http:///x"]
)
def test_a_malformed_bucket_or_server_is_refused(text: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_destination(text)
    assert "secret" not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize("text", ["dicom://A@[::1:104", "file://[", "dicom://A@[nothing]:104"])
def test_a_lone_bracket_is_refused(text: str) -> None:
    with pytest.raises(PolicyError):
        parse_destination(text)


@pytest.mark.parametrize("text", ["", "  ", "ftp://server/path", "dicoms://A@h:1"])
def test_an_unknown_form_is_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_destination(text)
    assert "dicom://AET@host:port" in caught.value.hint


@settings(deadline=None, max_examples=60)
@given(text=st.text(max_size=40) | st.text("dicom:/@[]%#?0123456789", max_size=30).map("dicom://".__add__))
def test_any_text_is_a_destination_or_a_policy_error(text: str) -> None:
    try:
        destination = parse_destination(text)
    except PolicyError:
        return
    assert destination.uri
