"""DICOMweb keeps to tokens: none without one, and of other sites nothing is found, read or shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from support.server import redis_server
from support.viewing import at, clip, keep, video
from support.web_server import Served, serving

from common.recipes import ARCHIVE
from common.settings import Settings
from common.stages import State
from orchestrator.api import token_book
from orchestrator.jobs import JobRequest, submit
from orchestrator.ledger.events import Happened
from orchestrator.ledger.schema import Event, Item, Job
from orchestrator.ledger.tokens import make_token


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A result of site north, and one of site south."""
    monkeypatch.setattr(token_book, "KNOWN_SECONDS", 0.0)
    with redis_server() as broker_url, serving(Settings(broker_url=broker_url, state_dir=tmp_path / "state")) as made:
        for number, site in enumerate(("north", "south"), 1):
            job = submit(made.farm.ledger, JobRequest((f"/{site}",), ("/out",), ARCHIVE, name=site))
            with made.farm.ledger.begin() as session:
                session.get_one(Job, job).site = site
                row = {"number": 1, "source": "/x", "name": "x", "size_bytes": 1, "mtime_ns": 0}
                session.add(Item(id=site, job_id=job, state=State.DONE, **row))
            uids = {"study": f"1.2.{number}", "series": f"1.2.{number}.1", "instance": f"1.2.{number}.1.1"}
            keep(made, video(clip(), **uids), item=site)
        yield made


def token(server: Served, *sites: str) -> dict[str, str]:
    with server.farm.ledger.begin() as session:
        _, text = make_token(session, "anna", "operator", days=1, sites=sites, by="admin")
    return {"Authorization": f"Bearer {text}"}


def test_without_a_token_nothing_is_told(server: Served) -> None:
    token(server)
    for path in ("/dicomweb/studies", f"{at('1.2.1', '1.2.1.1', '1.2.1.1.1')}/rendered"):
        assert server.client.get(path).status_code == 401


def test_a_token_of_a_site_finds_its_results_alone(server: Served) -> None:
    north = token(server, "north")
    found = server.client.get("/dicomweb/studies", headers=north).json()
    assert [each["0020000D"]["Value"][0] for each in found] == ["1.2.1"]
    ours, theirs = (at(f"1.2.{n}", f"1.2.{n}.1", f"1.2.{n}.1.1") for n in (1, 2))
    for part in ("", "/metadata", "/rendered", "/frames/1", "/bulkdata/7FE00010", "/thumbnail", "/frames/1/rendered"):
        assert server.client.get(ours + part, headers=north).status_code == 200
        assert server.client.get(theirs + part, headers=north).status_code == 404
    everything = token(server)
    assert len(server.client.get("/dicomweb/studies", headers=everything).json()) == 2


def test_who_looked_is_on_record_without_what_was_asked(server: Served) -> None:
    server.client.get("/dicomweb/studies?PatientName=Secret*", headers=token(server, "north"))
    with server.farm.reading() as session:
        seen = list(session.scalars(select(Event).where(Event.what == Happened.READ)))
    assert [event.detail["route"] for event in seen] == ["/dicomweb/studies"]
    assert "Secret" not in str([event.detail for event in seen])
