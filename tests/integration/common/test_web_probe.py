"""What a DICOMweb server is found to offer, and to whom."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import SecretStr
from support import studies
from support.web_archive import WebArchive, web_archive

from common.destinations import WebDestination
from common.network.web_probe import probe_web
from common.settings import Settings


@pytest.fixture
def archive() -> Iterator[WebArchive]:
    with web_archive() as archive:
        archive.stored[f"{studies.study_uid(1)}.1.1"] = studies.loop(1)
        yield archive


def answers(archive: WebArchive, **settings: object) -> dict[str, bool | None]:
    server = WebDestination(f"http://127.0.0.1:{archive.port}/rs")
    found = probe_web(server, Settings(dicomweb_patience_seconds=0, **settings))  # type: ignore[arg-type]
    return {service.name: service.answers for service in found}


def test_all_services_answer_and_nothing_is_stored(archive: WebArchive) -> None:
    archive.script("STOW", lambda request: bool(list(request.body())) and request.answer(400))
    assert answers(archive) == {"access": True, "QIDO-RS": True, "WADO-RS": True, "STOW-RS": True}
    assert len(archive.stored) == 1


def test_a_server_that_only_gives_says_no_to_a_store(archive: WebArchive) -> None:
    archive.script("STOW", lambda request: request.answer(405))
    assert answers(archive)["STOW-RS"] is False


def test_nothing_is_fetched_where_nothing_is_known(archive: WebArchive) -> None:
    archive.stored.clear()
    archive.script("STOW", lambda request: request.answer(200))
    assert answers(archive) == {"access": True, "QIDO-RS": True, "WADO-RS": None, "STOW-RS": True}


def test_credentials_that_are_refused_show_as_such(archive: WebArchive) -> None:
    for service in ("QIDO", "STOW"):
        archive.script(service, lambda request: request.answer(401))
    server = WebDestination(f"http://127.0.0.1:{archive.port}/rs")
    found = probe_web(server, Settings(dicomweb_token=SecretStr("t0ken")))
    assert found[0].said == "without TLS; we show a token in the clear"
    assert ["credentials" in service.said for service in found] == [False, True, False, True]
