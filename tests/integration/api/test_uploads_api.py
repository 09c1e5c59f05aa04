"""Mapping CSVs and rules for identifiers: checked when they are sent, used by the job that names them."""

from __future__ import annotations

import httpx
import pytest
from support.web_server import Served

from orchestrator.ledger.schema import Job

GOOD = "file,PatientID,PatientName\na.mp4,P-1,Doe^Jane\nb.mp4,P-2,Roe^Jim\n"
BAD = "file,PatientID,PatientBirthDate\na.mp4,,19700131\nb.mp4,P-2,31.1.1970\n"


def upload(served: Served, text: str, query: str = "") -> httpx.Response:
    headers = {"Content-Type": "text/csv"}
    return served.client.post(f"/api/v1/mappings{query}", content=text, headers=headers)


def test_a_mapping_is_kept_and_a_job_takes_it(served: Served) -> None:
    answer = upload(served, GOOD)
    assert (answer.status_code, answer.json()["rows"]) == (201, 2)
    body = {"sources": ["/a"], "destinations": ["/b"], "map": answer.json()["id"]}
    job = served.client.post("/api/v1/jobs", json=body).json()["job"]
    with served.farm.reading() as session:
        key = session.get_one(Job, job).mapping_key
    assert key is not None
    assert served.farm.store.get(key).decode() == GOOD


def test_every_wrong_cell_is_named_by_line_and_column(served: Served) -> None:
    answer = upload(served, BAD)
    assert (answer.status_code, answer.json()["code"]) == (422, "BadMapping")
    where = [fault["where"] for fault in answer.json()["errors"]]
    assert where == ["line 2, column 2 (PatientID)", "line 3, column 3 (PatientBirthDate)"]


def test_a_form_of_a_browser_is_taken_too(served: Served) -> None:
    answer = served.client.post("/api/v1/mappings", files={"file": ("map.csv", GOOD, "text/csv")})
    assert answer.json()["id"] == upload(served, GOOD).json()["id"]


@pytest.mark.parametrize(("kind", "status"), [("application/pdf", 415), ("multipart/form-data; boundary=x", 422)])
def test_what_is_no_csv_is_refused(served: Served, kind: str, status: int) -> None:
    answer = served.client.post("/api/v1/mappings", content=b"--x--\r\n", headers={"Content-Type": kind})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


def test_a_worklist_lets_an_accession_number_take_the_place_of_the_patient(served: Served) -> None:
    text = "file,AccessionNumber\na.mp4,A-1\n"
    assert upload(served, text).status_code == 422
    assert upload(served, text, "?worklist=true").status_code == 201


def test_rules_for_identifiers_are_checked_and_kept(served: Served) -> None:
    good = served.client.post("/api/v1/identifiers", json={"patient": [{"prefix": "X-"}]})
    assert good.status_code == 201
    assert served.client.post("/api/v1/identifiers", json={}).json()["code"] == "BadIdentifiers"


def test_limits_are_set_shown_and_lifted(served: Served) -> None:
    def change(**asked: object) -> httpx.Response:
        return served.client.patch("/api/v1/limits", json=asked)

    change(subject="deliver", concurrent=3)
    change(subject="dicom://PACS@host:104", concurrent=2, rate="20MB/s")
    shown = served.client.get("/api/v1/limits").json()
    assert shown[0] == {"type": "limit", "queue": "deliver", "concurrent": 3}
    assert (shown[1]["destination"], shown[1]["bytes_per_second"]) == ("dicom://PACS@host:104", 20_000_000)
    assert change(subject="deliver", lift=True).json() == shown[1:]
    assert change(subject="deliver", rate="1MB/s").status_code == 422
