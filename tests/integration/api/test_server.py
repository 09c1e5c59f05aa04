"""The server answers, refuses and ends in order."""

from __future__ import annotations

import json
import stat

from support.web_server import Served


def test_a_server_says_that_it_lives_and_that_its_parts_answer(served: Served) -> None:
    assert served.client.get("/api/v1/health/live").json() == {"alive": True}
    ready = served.client.get("/api/v1/health/ready")
    assert (ready.status_code, ready.json()) == (200, {"ledger": True, "store": True, "broker": True})


def test_what_is_not_there_is_a_problem_document(served: Served) -> None:
    answer = served.client.get("/api/v1/nothing")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json()["title"] == "Not Found"


def test_its_address_lies_in_the_state_directory_for_its_owner_alone(served: Served) -> None:
    path = served.farm.settings.state_dir / "api.json"
    assert json.loads(path.read_text())["url"] == served.url
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
