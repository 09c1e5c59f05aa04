"""The pages on a real server: every one answers, lists go on from their cursors, forms need their token."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sqlalchemy import insert
from support.web_server import Served

from common.orders import TranscodeDone, Verdict
from common.recipes import ARCHIVE
from common.stages import State
from orchestrator.jobs import JobRequest, submit
from orchestrator.ledger.schema import Item, Job
from orchestrator.web.render import POLICY

HTML = {"accept": "text/html"}
MISSED = TranscodeDone(verdict=Verdict(passed=False, misses=("vmaf p1 80.0000 < 85",))).model_dump(mode="json")


@pytest.fixture
def job(served: Served, tmp_path: Path) -> str:
    """120 items: the first 60 done, two of three studies; 30 quarantined, 30 failed."""
    job_id = submit(served.farm.ledger, JobRequest((str(tmp_path),), (str(tmp_path / "out"),), ARCHIVE, name="spring"))
    states = [State.DONE] * 60 + [State.QUARANTINED] * 30 + [State.FAILED] * 30
    causes = {State.QUARANTINED: "gate.vmaf", State.FAILED: "UnreadableSource"}
    rows = [
        {
            "id": f"item{number:03}", "job_id": job_id, "number": number + 1, "source": f"/s/{number}", "name": f"clip{number}.mp4",
            "size_bytes": 1000, "mtime_ns": 0, "state": state, "cause": causes.get(state), "study_uid": f"1.2.{number // 40}",
            "made_bytes": 100, "result": MISSED if state is State.QUARANTINED else None,
        }
        for number, state in enumerate(states)
    ]  # fmt: skip
    with served.farm.ledger.begin() as session:
        session.execute(insert(Item), rows)
    return job_id


def form_token(served: Served, path: str = "/submit") -> str:
    found = re.search(r'name="form_token" value="([0-9a-f]+)"', served.client.get(path).text)
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    "path", ["/", "/live", "/jobs", "/exceptions", "/exceptions/gate.vmaf", "/workers", "/submit", "/login"]
)
def test_a_page_answers_with_a_strict_policy(served: Served, job: str, path: str) -> None:
    answer = served.client.get(path, headers=HTML)
    assert (answer.status_code, answer.headers["content-security-policy"]) == (200, POLICY)
    assert "<script>" not in answer.text
    assert "style=" not in answer.text


def test_a_job_shows_how_it_stands_and_its_items_page_by_page(served: Served, job: str) -> None:
    first = served.client.get(f"/jobs/{job}").text
    assert "spring" in first
    assert "60 done" in first
    assert "clip0.mp4" in first
    assert "clip50.mp4" not in first
    following = served.client.get(f"/jobs/{job}", params={"after": "50"}).text
    assert "clip50.mp4" in following
    assert "clip49.mp4" not in following


def test_items_are_filtered_by_state_cause_and_study(served: Served, job: str) -> None:
    assert "clip60.mp4" in served.client.get(f"/jobs/{job}", params={"state": "quarantined"}).text
    assert "clip90.mp4" in served.client.get(f"/jobs/{job}", params={"cause": "UnreadableSource"}).text
    study = served.client.get(f"/jobs/{job}", params={"study": "1.2.1"}).text
    assert "clip40.mp4" in study
    assert "clip0.mp4" not in study


def test_the_studies_of_a_job_are_counted(served: Served, job: str) -> None:
    text = served.client.get(f"/jobs/{job}/studies").text
    assert re.findall(r"study=(1\.2\.\d)", text) == ["1.2.0", "1.2.1", "1.2.2"]


def test_a_cause_goes_on_from_its_cursor(served: Served, job: str) -> None:
    first = served.client.get("/exceptions/gate.vmaf").text
    after = re.search(r"after=([^\"&]+)", first)
    assert after is not None
    following = served.client.get(f"/exceptions/gate.vmaf?job=&after={after[1]}").text
    assert "clip60.mp4" in first
    assert "clip70.mp4" in following
    assert "clip60.mp4" not in following


def test_a_decision_about_ticked_items_is_carried_out_and_on_record(served: Served, job: str) -> None:
    form = {"what": "retry", "item": ["item090", "item091"], "profile": "review", "form_token": form_token(served)}
    answer = served.client.post("/decisions", data=form)
    assert "2 items" in answer.text
    with served.farm.reading() as session:
        item = session.get_one(Item, "item090")
        assert (item.state, item.cause, (item.profile or {})["name"]) == (State.FOUND, None, "review")
    assert "retried" in served.client.get("/items/item090").text


def test_accepting_without_a_reason_is_refused(served: Served, job: str) -> None:
    form = {"what": "accept", "item": "item060", "form_token": form_token(served)}
    assert served.client.post("/decisions", data=form).status_code == 422


@pytest.mark.parametrize("path", ["/decisions", "/jobs/{job}/pause", "/workers/drain", "/submit"])
def test_a_form_without_its_token_is_refused(served: Served, job: str, path: str) -> None:
    form = {"what": "retry", "item": "item090", "name": "w"}
    assert served.client.post(path.format(job=job), data=form).status_code == 403


def test_a_job_is_steered(served: Served, job: str) -> None:
    token = form_token(served)
    assert served.client.post(f"/jobs/{job}/pause", data={"form_token": token}).status_code == 303
    settings = {"form_token": token, "priority": "7", "window": "Mon-Fri 20:00-06:00 Europe/Berlin", "at_end": "stop"}
    assert served.client.post(f"/jobs/{job}/settings", data=settings).status_code == 303
    with served.farm.reading() as session:
        row = session.get_one(Job, job)
        assert (row.paused, row.priority, row.window_policy) == (True, 7, "stop")
    wrong = settings | {"window": "at night"}
    assert served.client.post(f"/jobs/{job}/settings", data=wrong).status_code == 422


def test_errors_of_a_csv_are_told_line_by_line_and_nothing_is_submitted(served: Served, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    form = {"sources": str(tmp_path / "in"), "destinations": str(tmp_path / "out"), "form_token": form_token(served)}
    wrong = {"csv": ("map.csv", b"file,PatientID,StudyDate\n*.mp4,P-1,31.12.2024\n*.avi,,20241231\n", "text/csv")}
    answer = served.client.post("/submit", data=form | {"action": "submit"}, files=wrong)
    assert answer.status_code == 422
    assert "line 2, column 3 (StudyDate)" in answer.text
    assert "line 3, column 2 (PatientID)" in answer.text
    with served.farm.reading() as session:
        assert session.query(Job).count() == 0


def test_what_is_not_there_is_a_page_for_people_and_a_problem_for_programs(served: Served) -> None:
    assert "There is no such job." in served.client.get("/jobs/none", headers=HTML).text
    assert served.client.get("/api/v1/jobs/none", headers=HTML).headers["content-type"] == "application/problem+json"


def test_static_files_are_kept_by_browsers_and_nothing_else_is_given(served: Served) -> None:
    path = re.search(r"/static/[0-9a-f]+/app\.css", served.client.get("/").text)
    assert path is not None
    assert "immutable" in served.client.get(path[0]).headers["cache-control"]
    assert served.client.get("/static/x/README.md").status_code == 404


def test_a_program_decides_as_a_person_does(served: Served, job: str) -> None:
    asked = {"what": "give_up", "cause": "UnreadableSource", "job": job, "reason": "the disk is lost"}
    answer = served.client.post("/api/v1/decisions", json=asked)
    assert answer.json() == {"items": 30, "refused": {}}
    with served.farm.reading() as session:
        assert session.get_one(Item, "item119").reason == "given up: the disk is lost"
    assert served.client.post("/api/v1/decisions", json=asked | {"reason": ""}).status_code == 422


def test_the_items_on_a_jobs_page_renew_themselves(served: Served, job: str) -> None:
    part = served.client.get(f"/jobs/{job}/items", params={"state": "failed"}).text
    assert "clip90.mp4" in part
    assert "<html" not in part
