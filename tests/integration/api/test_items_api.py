"""Items over HTTP: by state, cause and study, page by page; one with its evidence; reports and the audit trail of a job."""

from __future__ import annotations

import csv
import io
import json

import pytest
from sqlalchemy import update
from support.core import made
from support.web_server import Served

from common.orders import Verdict
from common.recipes import ARCHIVE
from common.stages import State
from orchestrator.jobs import JobRequest, submit
from orchestrator.ledger.schema import Item

PREFIX = f"results/aa/{'a' * 64}/x"


@pytest.fixture
def job(served: Served) -> str:
    """Seven items: two failed for one reason, one quarantined with evidence, four found."""
    job_id = submit(served.farm.ledger, JobRequest(("/archive",), ("/results",), ARCHIVE, name="tapes"))
    failure = {"code": "TruncatedSource", "actor": "input", "retryable": False, "message": "cut off", "hint": "again"}
    missed = made().model_copy(
        update={"evidence_keys": (f"{PREFIX}/evidence.json",), "verdict": Verdict(passed=False, misses=("vmaf low",))}
    )
    served.farm.store.put(f"{PREFIX}/evidence.json", b'{"version": 1}')
    with served.farm.ledger.begin() as session:
        for number in range(1, 8):
            item = Item(
                id=f"i{number}",
                job_id=job_id,
                number=number,
                source=f"/archive/{number}.mpg",
                name=f"{number}.mpg",
                size_bytes=10,
                mtime_ns=0,
                state=State.FOUND,
            )
            session.add(item)
            if number <= 2:
                item.failure, item.state, item.reason = failure, State.FAILED, "cut off"
            if number == 3:
                item.result, item.cause, item.state = missed.model_dump(mode="json"), "gate.vmaf", State.QUARANTINED
                item.study_uid = "1.2.3"
    return job_id


def names(served: Served, job: str, query: str) -> list[str]:
    answer = served.client.get(f"/api/v1/jobs/{job}/items?{query}")
    assert answer.status_code == 200, answer.text
    return [item["item"] for item in answer.json()["items"]]


def test_items_come_page_by_page_in_the_order_of_finding(served: Served, job: str) -> None:
    first = served.client.get(f"/api/v1/jobs/{job}/items?limit=4").json()
    rest = served.client.get(f"/api/v1/jobs/{job}/items", params={"limit": 4, "cursor": first["next"]}).json()
    assert [item["number"] for item in first["items"] + rest["items"]] == list(range(1, 8))
    assert rest["next"] is None


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("state=failed", ["i1", "i2"]),
        ("cause=TruncatedSource", ["i1", "i2"]),
        ("cause=gate.vmaf&state=quarantined", ["i3"]),
        ("study=1.2.3", ["i3"]),
        ("state=done", []),
    ],
)
def test_items_are_found_by_state_cause_and_study(served: Served, job: str, query: str, found: list[str]) -> None:
    assert names(served, job, query) == found


def test_a_job_says_why_its_items_were_set_aside(served: Served, job: str) -> None:
    seen = served.client.get("/api/v1/jobs/tapes").json()
    assert (seen["causes"], seen["counts"]) == (
        {"TruncatedSource": 2, "gate.vmaf": 1},
        {"found": 4, "quarantined": 1, "failed": 2},
    )


def test_an_item_is_shown_with_its_evidence(served: Served, job: str) -> None:
    seen = served.client.get("/api/v1/items/i3").json()
    assert (seen["state"], seen["files"]) == ("quarantined", ["evidence.json"])
    assert seen["report"]["verdict"] == {"passed": False, "misses": ["vmaf low"]}
    evidence = served.client.get("/api/v1/items/i3/evidence/evidence.json")
    assert (evidence.json(), evidence.headers["content-type"]) == ({"version": 1}, "application/json")
    assert served.client.get("/api/v1/items/i3/evidence/instance.dcm").status_code == 404
    assert served.client.get("/api/v1/items/i9").json()["code"] == "UnknownName"


def test_a_report_is_downloaded_in_each_form_and_leaves_nothing_behind(served: Served, job: str) -> None:
    path = f"/api/v1/jobs/{job}/report"
    lines = [json.loads(line) for line in served.client.get(f"{path}.jsonl").text.splitlines()]
    assert [line["type"] for line in lines] == ["item"] * 7 + ["summary"]
    assert len(list(csv.DictReader(io.StringIO(served.client.get(f"{path}.csv").text)))) == 7
    page = served.client.get(f"{path}.html")
    assert (page.headers["content-type"], "1.mpg" in page.text) == ("text/html; charset=utf-8", True)
    assert served.client.get(f"{path}.docx").status_code == 422


def test_the_audit_trail_is_told_line_by_line_and_gaps_are_named(served: Served, job: str) -> None:
    with served.farm.ledger.begin() as session:
        session.execute(update(Item).where(Item.id == "i7").values(state=State.CANCELLED))  # past the trail
    lines = [json.loads(line) for line in served.client.get(f"/api/v1/jobs/{job}/audit").text.splitlines()]
    told = [(line["type"], line["item"]) for line in lines]
    assert told == [("change", "i1"), ("change", "i2"), ("change", "i3"), ("gap", "i7")]
