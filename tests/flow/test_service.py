"""A farm of separate services: jobs come through the ledger, and people steer them while they run."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import psutil
import pydicom
import pytest
from support.desk import Desk, ffmpeg
from support.office import Office
from support.postgres import PostgresServer, postgres  # noqa: F401 a fixture
from support.server import redis_server

pytestmark = [pytest.mark.farm, pytest.mark.timeout(300)]

SQLITE = "sqlite"
POSTGRES = pytest.param("postgresql", marks=pytest.mark.peer("postgres"))
on_both = pytest.mark.parametrize("office", [SQLITE, POSTGRES], indirect=True)
on_sqlite = pytest.mark.parametrize("office", [SQLITE], indirect=True)
on_postgres = pytest.mark.parametrize("office", [POSTGRES], indirect=True)

SECONDS = 5.0
"""People wait for a cancel or the end of a service: "within seconds" (issue 3)."""


@pytest.fixture
def office(request: pytest.FixtureRequest, desk: Desk) -> Iterator[Office]:
    ledger_url = ""
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        ledger_url = server.new_database()
    with redis_server() as broker_url:
        office = Office(desk, broker_url, ledger_url)
        try:
            yield office
        finally:
            office.close()


def long_tape(office: Office) -> None:
    """One capture whose encode lasts much longer than any wait in these tests."""
    short = office.desk.capture("tape.mpg", seconds=5, size="720x576")
    tape = office.desk.folder / "long.mpg"
    ffmpeg("-stream_loop", "30", "-i", str(short), "-c", "copy", "-f", "vob", str(tape))
    tape.rename(short)
    office.desk.mapping()


def wait_for_encoder(office: Office) -> list[psutil.Process]:
    end = time.monotonic() + 60
    while not (found := office.encoders()):
        assert time.monotonic() < end, office.log.read_text()
        time.sleep(0.1)
    return found


@on_both
def test_a_submitted_job_is_listed_done_shown_and_reported(office: Office) -> None:
    office.desk.camera("a/clip.mp4")
    office.desk.ultrasound("loop.dcm")
    mapping = office.desk.mapping()
    service = office.serve()
    office.worker("describe", "deliver", "cpu", slots=2)
    job = office.job(name="first light", map=str(mapping), priority=3)
    assert office.run("watch", "first light").code == 0
    seen = office.status(job[:8])
    assert (seen["state"], seen["counts"], seen["priority"]) == ("ended", {"done": 2}, 3)
    assert len(office.desk.results()) == 2
    names = {str(pydicom.dcmread(path, stop_before_pixels=True).PatientName) for path in office.desk.results()}
    assert "Doe^Jane" in names
    assert [line["job"] for line in office.run("jobs", "--json").lines] == [job]
    report = office.run("report", job[:8], "--out", str(office.desk.folder / "report"), "--json")
    assert report.code == 0
    assert (office.desk.folder / "report" / "report.html").exists()
    began = time.monotonic()
    service.send_signal(signal.SIGTERM)
    assert service.wait(30) == 0
    assert time.monotonic() - began < SECONDS
    assert office.events("service_stopped")


@on_postgres
def test_cancel_stops_a_running_encoder_within_seconds_and_retry_goes_on(office: Office) -> None:
    long_tape(office)
    office.serve()
    office.worker("describe", "deliver", "cpu", slots=2)
    job = office.job(map="map.csv")
    encoders = wait_for_encoder(office)
    assert office.run("cancel", job).code == 0
    _, alive = psutil.wait_procs(encoders, timeout=SECONDS)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []
    seen = office.status(job)
    assert (seen["state"], seen["counts"]) == ("cancelled", {"cancelled": 1})
    assert office.run("retry", job).code == 0
    assert wait_for_encoder(office)


@on_sqlite
def test_pause_lets_what_runs_go_on_and_pause_now_stops_it(office: Office) -> None:
    long_tape(office)
    office.serve()
    office.worker("describe", "deliver", "cpu", slots=2)
    job = office.job(map="map.csv")
    encoders = wait_for_encoder(office)
    office.run("pause", job)
    psutil.wait_procs(encoders, timeout=3)
    assert all(process.is_running() for process in encoders)
    assert office.status(job)["state"] == "paused"
    office.run("pause", job, "--now")
    _, alive = psutil.wait_procs(encoders, timeout=SECONDS)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []
    assert office.status(job)["counts"] == {"planned": 1}
    office.run("resume", job)
    assert wait_for_encoder(office)


@on_postgres
def test_an_orchestrator_killed_in_the_middle_is_followed_by_the_next_and_nothing_is_made_twice(office: Office) -> None:
    for number in range(3):
        office.desk.capture(f"tape{number}.mpg", seconds=2, seed=60 * number)
    office.desk.mapping()
    first = office.serve()
    office.worker("describe", "deliver", "cpu", slots=2)
    job = office.job(map="map.csv")
    wait_for_encoder(office)
    first.kill()
    first.wait()
    office.serve()
    seen = office.wait_for(job, lambda seen: seen["state"] == "ended", seconds=150)
    assert seen["counts"] == {"done": 3}
    uids = {pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in office.desk.results()}
    assert len(uids) == len(office.desk.results()) == 3
    assert office.desk.leftovers() == []


@on_sqlite
def test_a_job_whose_source_is_not_there_says_so_and_goes_on_when_it_is(office: Office) -> None:
    office.serve()
    office.worker("describe", "deliver", "cpu", slots=2)
    missing = office.desk.folder / "later"
    job = office.job(sources=[str(missing)])
    seen = office.wait_for(job, lambda seen: seen["state"] == "refused")
    assert "source cannot be found" in seen["problem"]
    office.desk.ultrasound("loop.dcm")
    office.desk.sources.rename(missing)
    office.run("retry", job)
    assert office.run("watch", job).code == 0


@on_sqlite
def test_a_job_file_with_an_unknown_key_is_refused_by_its_name(office: Office) -> None:
    path = office.desk.folder / "job.toml"
    path.write_text('sources = ["a"]\ndestinations = ["b"]\nprofil = "archive"\n', encoding="utf-8")
    run = office.run("submit", str(path))
    assert run.code == 2
    assert "profil" in run.stderr
