"""Plans and probes over HTTP: begun, watched, cancelled; a process that dies leaves no errand that runs for ever."""

from __future__ import annotations

import shutil
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydicom.data import get_testdata_file
from sqlalchemy import update
from support.web_server import Served

from orchestrator.ledger.schema import Errand, now


def ended(served: Served, path: str) -> dict[str, Any]:
    while (seen := served.client.get(path).json())["state"] in ("waiting", "running"):
        time.sleep(0.1)
    return dict(seen)


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    folder = tmp_path / "sources"
    folder.mkdir()
    for number in range(3):
        shutil.copy(get_testdata_file("examples_ybr_color.dcm"), folder / f"{number}.dcm")
    (folder / "note.txt").write_text("nothing for us")
    return folder


def test_a_plan_tells_item_by_item_what_a_job_would_do_and_moves_nothing(served: Served, sources: Path) -> None:
    body = {"sources": [str(sources)], "destinations": [str(sources.parent / "out")], "profile": "archive-fixed"}
    begun = served.client.post("/api/v1/plans", json=body)
    assert begun.status_code == 202, begun.text
    path = begun.headers["location"]
    plan = ended(served, path)
    assert (plan["state"], plan["failure"], plan["result"]["items"]) == ("done", None, plan["done"])
    first = served.client.get(f"{path}/items?limit=2").json()
    rest = served.client.get(f"{path}/items", params={"cursor": first["next"]}).json()
    planned = first["items"] + rest["items"]
    assert len(planned) == plan["done"]
    assert rest["next"] is None
    assert next(item for item in planned if item["name"] == "0.dcm")["state"] == "planned"
    assert served.client.get("/api/v1/jobs").json()["items"] == []
    assert not (sources.parent / "out").exists()


def test_a_plan_of_what_is_not_there_fails_with_a_reason(served: Served, tmp_path: Path) -> None:
    body = {"sources": [str(tmp_path / "missing")], "destinations": ["/b"]}
    plan = ended(served, served.client.post("/api/v1/plans", json=body).headers["location"])
    assert (plan["state"], plan["failure"]["code"]) == ("failed", "PolicyError")


def test_a_plan_that_nobody_wants_is_cancelled(served: Served, sources: Path) -> None:
    body = {"sources": [str(sources)], "destinations": ["/b"]}
    path = served.client.post("/api/v1/plans", json=body).headers["location"]
    assert served.client.delete(path).json()["state"] in ("cancelled", "done")
    assert ended(served, path)["state"] in ("cancelled", "done")


def test_an_errand_whose_process_is_gone_has_failed(served: Served) -> None:
    with served.farm.ledger.begin() as session:
        session.add(Errand(id="e", kind="plan", by="anna", asked={}, state="running"))
        session.flush()
        session.execute(update(Errand).values(seen_at=now() - timedelta(minutes=5)))
    assert served.client.get("/api/v1/plans/e").json()["failure"]["code"] == "Lost"
    assert served.client.get("/api/v1/probes/e").status_code == 404


def test_a_probe_of_an_archive_that_is_away_says_so(served: Served) -> None:
    begun = served.client.post("/api/v1/probes", json={"destination": "dicom://NOBODY@127.0.0.1:9"})
    probe = ended(served, begun.headers["location"])
    assert (probe["state"], probe["failure"]["code"]) == ("failed", "DestinationUnavailable")
    assert served.client.post("/api/v1/probes", json={"destination": "/folder"}).status_code == 422


def test_a_profile_is_checked_and_its_faults_are_named_by_path(served: Served) -> None:
    path = "/api/v1/destination-profiles/validate"
    good = {
        "name": "ours",
        "title": "Ours",
        "kind": "archive",
        "max_bytes": {"value": "2GiB", "source": "by telephone"},
    }
    assert served.client.post(path, json=good).json()["max_bytes"]["value"] == 2 << 30
    bad = served.client.post(path, json=good | {"max_bytes": {"value": "much", "source": "by telephone"}})
    assert [fault["where"] for fault in bad.json()["errors"]] == ["body.max_bytes.value"]
    toml = {"Content-Type": "application/toml"}
    assert served.client.post(path, content='name = "ours"\ntitle = "Ours"\nkind = "viewer"\n', headers=toml).is_success
    assert served.client.post(path, content="name =", headers=toml).status_code == 422


def test_products_and_purposes_are_listed(served: Served) -> None:
    names = {profile["name"] for profile in served.client.get("/api/v1/destination-profiles").json()}
    assert {"orthanc", "ohif"} <= names
    assert served.client.get("/api/v1/destination-profiles/orthanc").json()["kind"] == "archive"
    assert served.client.get("/api/v1/destination-profiles/none").status_code == 404
    assert "archive" in {purpose["name"] for purpose in served.client.get("/api/v1/profiles").json()}
    served.client.patch("/api/v1/limits", json={"subject": "dicom://PACS@host:104", "concurrent": 2})
    (known,) = served.client.get("/api/v1/destinations").json()
    assert (known["destination"], known["limit"]["concurrent"]) == ("dicom://PACS@host:104", 2)
