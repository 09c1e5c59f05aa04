"""Jobs over HTTP: submitted once, listed page by page, steered, and refused in words."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from support.web_server import Served

from orchestrator.ledger.decisions import decisions

JOB = {"sources": ["/archive/2019"], "destinations": ["/results"], "name": "endoscopy 2019"}


def submit(served: Served, **keys: Any) -> httpx.Response:
    headers = keys.pop("headers", {})
    return served.client.post("/api/v1/jobs", json=JOB | keys, headers=headers)


def test_a_job_is_submitted_looked_at_and_named_by_the_beginning_of_its_id(served: Served) -> None:
    answer = submit(served, priority=5)
    assert answer.status_code == 201, answer.text
    job = answer.json()["job"]
    assert answer.headers["location"] == f"/api/v1/jobs/{job}"
    seen = served.client.get(f"/api/v1/jobs/{job[:8]}").json()
    assert (seen["job"], seen["state"], seen["priority"], seen["sources"]) == (job, "listing", 5, ["/archive/2019"])


def test_the_same_job_again_goes_on_with_the_first(served: Served) -> None:
    first, again = submit(served), submit(served, priority=3)
    assert (again.status_code, again.json()["job"]) == (200, first.json()["job"])


def test_toml_is_taken_as_well(served: Served) -> None:
    body = 'sources = ["/archive/2019"]\ndestinations = ["/results"]\n'
    answer = served.client.post("/api/v1/jobs", content=body, headers={"Content-Type": "application/toml"})
    assert answer.status_code == 201


def test_a_lost_answer_is_given_again_and_the_key_serves_no_other_request(served: Served) -> None:
    key = {"Idempotency-Key": "7d1c"}
    first = submit(served, headers=key)
    served.client.post(f"/api/v1/jobs/{first.json()['job']}/cancel")
    again = submit(served, headers=key)
    assert (again.status_code, again.json()["job"]) == (200, first.json()["job"])
    assert served.client.get(f"/api/v1/jobs/{first.json()['job']}").json()["state"] == "cancelled"
    other = submit(served, headers=key, priority=9)
    assert (other.status_code, other.json()["detail"]) == (422, "this Idempotency-Key came with another body before")


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"profil": "archive"}, "body.profil"),
        ({"sources": ["2019"]}, "relative"),
        ({"destinations": ["http://x"]}, "destination"),
        ({"window": "always"}, "window"),
        ({"map": "patients.csv"}, "map names nothing that was uploaded"),
        ({"profile": "best"}, "there is no profile best"),
        ({"priority": 5000}, "body.priority"),
    ],
)
def test_what_is_wrong_is_named(served: Served, keys: dict[str, Any], words: str) -> None:
    answer = submit(served, **keys)
    assert answer.status_code in (404, 422)
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in answer.json()["detail"]


def test_a_body_that_is_neither_json_nor_toml_is_refused(served: Served) -> None:
    answer = served.client.post("/api/v1/jobs", content=b"x", headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.headers["content-type"]) == (415, "application/problem+json")


def test_a_body_without_end_is_cut_off(served: Served) -> None:
    answer = served.client.post("/api/v1/jobs", content=b" " * (2 << 20), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


def test_jobs_come_page_by_page_the_latest_first_and_none_twice(served: Served) -> None:
    made = [submit(served, sources=[f"/archive/{year}"]).json()["job"] for year in range(2015, 2022)]
    seen, cursor = [], None
    while True:
        page = served.client.get("/api/v1/jobs", params={"limit": 3} | ({"cursor": cursor} if cursor else {})).json()
        seen += [job["job"] for job in page["items"]]
        if not (cursor := page["next"]):
            break
    assert seen == made[::-1]


def test_jobs_are_found_by_state_and_by_name(served: Served) -> None:
    kept = submit(served).json()["job"]
    other = submit(served, sources=["/b"], name="x-ray").json()["job"]
    served.client.post(f"/api/v1/jobs/{other}/cancel")
    assert [job["job"] for job in served.client.get("/api/v1/jobs?state=cancelled").json()["items"]] == [other]
    assert [job["job"] for job in served.client.get("/api/v1/jobs?name=endo").json()["items"]] == [kept]


@pytest.mark.parametrize(
    "cursor", ["x", "bnVsbA", "WzEsMl0", "W10", "WyJhIiwiYiJd", "\udcff".encode("utf-8", "replace").decode()]
)
def test_a_cursor_that_is_none_is_refused(served: Served, cursor: str) -> None:
    answer = served.client.get("/api/v1/jobs", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["detail"]) == (422, "the cursor is none of this list")


def test_a_job_is_paused_resumed_and_given_priority_and_window(served: Served) -> None:
    job = submit(served).json()["job"]
    path = f"/api/v1/jobs/{job}"
    assert served.client.post(f"{path}/pause", json={"now": True, "reason": "maintenance"}).status_code == 200
    assert served.client.get(path).json()["state"] == "paused"
    assert served.client.post(f"{path}/resume").json() == {"job": job, "items": None}
    changed = served.client.patch(
        path, json={"priority": 7, "window": "Mon-Fri 20:00-06:00 Europe/Berlin", "at_end": "stop"}
    ).json()
    assert (changed["priority"], changed["window"], changed["at_end"]) == (
        7,
        "Mon-Fri 20:00-06:00 Europe/Berlin",
        "stop",
    )
    assert served.client.patch(path, json={"window": ""}).json()["window"] is None
    refused = served.client.patch(path, json={"window": "never", "priority": 1})
    assert (refused.status_code, served.client.get(path).json()["priority"]) == (422, 7)


def test_who_steered_and_why_is_on_record(served: Served) -> None:
    job = submit(served).json()["job"]
    served.client.post(f"/api/v1/jobs/{job}/pause", json={"reason": "maintenance"})
    with served.farm.reading() as session:
        told = [(row.what, row.by, row.why) for row in decisions(session, job)]
    assert told == [("submitted", "127.0.0.1", ""), ("paused", "127.0.0.1", "maintenance")]


def test_a_job_that_is_not_there_is_said(served: Served) -> None:
    answer = served.client.post("/api/v1/jobs/nothing/cancel")
    assert (answer.status_code, answer.json()["code"]) == (404, "UnknownName")


def test_two_jobs_of_one_name_are_not_mixed_up(served: Served) -> None:
    submit(served)
    submit(served, sources=["/b"])
    answer = served.client.get("/api/v1/jobs/endoscopy 2019")
    assert (answer.status_code, answer.json()["detail"]) == (409, "more than one job is named so")
