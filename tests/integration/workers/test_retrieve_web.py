"""WADO-RS: what comes in is the instance that was asked for, whole, however the server wraps it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support import studies
from support.web_archive import Request, WebArchive, multipart, web_archive

from common.errors import CinefarmError, DestinationRefused, DestinationUnavailable, UnreadableSource
from common.orders import Retrieval
from common.settings import Settings
from workers.retrieve.web import fetch_from_web

FILE = studies.loop(1)
UID = f"{studies.study_uid(1)}.1.1"
RELATED = 'multipart/related; type="application/dicom"; boundary=XX'


@pytest.fixture
def archive() -> Iterator[WebArchive]:
    with web_archive() as archive:
        archive.stored[UID] = FILE
        yield archive


def fetch(archive: WebArchive, **settings: Any) -> bytes:
    got: list[bytes] = []
    place = Retrieval(
        place=archive.uri,
        study_uid=studies.study_uid(1),
        series_uid=f"{studies.study_uid(1)}.1",
        sop_instance_uid=UID,
        method="web",
    )
    fetch_from_web(place, got.append, Settings(dicomweb_patience_seconds=0.0, **settings))
    return b"".join(got)


def gives(body: bytes, kind: str = RELATED, **headers: str) -> Callable[[Request], bool]:
    return lambda request: request.answer(200, body, kind, **headers)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (multipart(FILE), RELATED),
        (multipart(FILE, f"Content-Type: application/dicom\r\nContent-Length: {len(FILE)}"), RELATED),
        (b"a preamble\r\n" + multipart(FILE) + b"an epilogue", 'Multipart/Related;boundary="XX"'),
        (FILE, "application/dicom"),
    ],
)
def test_the_instance_comes_out_of_what_it_is_wrapped_in(archive: WebArchive, body: bytes, kind: str) -> None:
    archive.script("WADO", gives(body, kind))
    assert fetch(archive) == FILE


def test_it_is_asked_for_as_it_is_stored(archive: WebArchive) -> None:
    archive.script("WADO", lambda request: bool(archive.seen.append(request.headers["Accept"])))
    fetch(archive)
    assert archive.seen == ['multipart/related; type="application/dicom"; transfer-syntax=*']


def test_a_server_that_knows_no_multipart_is_asked_for_the_file_alone(archive: WebArchive) -> None:
    archive.script("WADO", lambda request: request.answer(406), gives(FILE, "application/dicom"))
    assert fetch(archive) == FILE


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (multipart(FILE)[:-3], DestinationUnavailable),
        (multipart(FILE)[: len(FILE) // 2], DestinationUnavailable),
        (
            multipart(FILE[:-1], f"Content-Type: application/dicom\r\nContent-Length: {len(FILE)}"),
            DestinationUnavailable,
        ),
        (b"--XX--\r\n", DestinationRefused),
        (multipart(FILE)[:-4] + b"\r\n\r\nanother\r\n--XX--\r\n", DestinationRefused),
        (multipart(studies.loop(2)), DestinationRefused),
        (multipart(b"no DICOM at all"), DestinationRefused),
        (b"x" * 100_000, DestinationRefused),
    ],
)
def test_what_is_not_the_whole_instance_is_no_source(
    archive: WebArchive, body: bytes, error: type[CinefarmError]
) -> None:
    archive.script("WADO", gives(body))
    with pytest.raises(error):
        fetch(archive)


def test_a_connection_that_breaks_off_is_an_outage(archive: WebArchive) -> None:
    def cut(request: Request) -> bool:
        request.send_response(200)
        request.send_header("Content-Type", RELATED)
        request.send_header("Content-Length", str(len(multipart(FILE))))
        request.end_headers()
        request.wfile.write(multipart(FILE)[:5_000])
        return request.hang_up()

    archive.script("WADO", cut)
    with pytest.raises(DestinationUnavailable, match="ended the connection"):
        fetch(archive)


def test_an_instance_that_is_gone_is_no_source(archive: WebArchive) -> None:
    archive.stored.clear()
    with pytest.raises(UnreadableSource, match="no longer"):
        fetch(archive)
