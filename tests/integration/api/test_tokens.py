"""Tokens of the ledger: roles, sites, ends and revocations, signatures; and what is written down of who called."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select, update
from support.server import redis_server
from support.web_server import Served, serving

from common.errors import PolicyError
from common.settings import Settings
from common.stages import State
from orchestrator.api import token_book
from orchestrator.api.access import COOKIE, Access
from orchestrator.ledger.events import Happened, Outcome
from orchestrator.ledger.schema import Event, Item, Job, Token, now
from orchestrator.ledger.tokens import make_token, revoke_token

CINEFARM = str(Path(sys.executable).with_name("cinefarm"))


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A server that looks every token up anew."""
    monkeypatch.setattr(token_book, "KNOWN_SECONDS", 0.0)
    with redis_server() as broker_url, serving(Settings(broker_url=broker_url, state_dir=tmp_path / "state")) as made:
        yield made


def token(server: Served, role: str, *sites: str, name: str = "anna", days: float = 1) -> tuple[str, dict[str, str]]:
    """Id of a new token, and headers that show it."""
    with server.farm.ledger.begin() as session:
        made, text = make_token(session, name, role, days=days, sites=sites, by="admin")
    return made.id, {"Authorization": f"Bearer {text}"}


def submit(server: Served, headers: dict[str, str], name: str, **more: object) -> httpx.Response:
    body = {"name": name, "sources": [f"/sources/{name}"], "destinations": ["/out"], **more}
    return server.client.post("/api/v1/jobs", json=body, headers=headers)


def events(server: Served, what: Happened) -> list[Event]:
    with server.farm.reading() as session:
        return list(session.scalars(select(Event).where(Event.what == what).order_by(Event.id)))


def test_with_the_first_token_the_door_closes(server: Served) -> None:
    assert server.client.get("/api/v1/jobs").status_code == 200
    _, headers = token(server, "auditor")
    assert server.client.get("/api/v1/jobs").status_code == 401
    assert server.client.get("/api/v1/jobs", headers=headers).status_code == 200


def test_the_ledger_holds_no_token(server: Served) -> None:
    _, headers = token(server, "admin")
    with server.farm.reading() as session:
        kept = session.scalars(select(Token)).one()
    text = headers["Authorization"].split()[1]
    assert text not in str({column.key: getattr(kept, column.key) for column in Token.__table__.columns})


def test_roles_are_kept(server: Served) -> None:
    _, submitter = token(server, "submitter")
    _, operator = token(server, "operator", name="ben")
    _, auditor = token(server, "auditor", name="eva")
    job = submit(server, submitter, "tapes").json()["job"]
    refused = server.client.post(f"/api/v1/jobs/{job}/cancel", headers=submitter)
    assert (refused.status_code, refused.json()["code"]) == (403, "NotAllowed")
    assert submit(server, auditor, "more").status_code == 403
    assert server.client.get(f"/api/v1/jobs/{job}/audit", headers=submitter).status_code == 403
    assert server.client.get(f"/api/v1/jobs/{job}/audit", headers=auditor).status_code == 200
    assert server.client.post(f"/api/v1/jobs/{job}/cancel", headers=operator).status_code == 200


def test_a_token_that_ended_or_was_revoked_opens_nothing_nor_does_its_session(server: Served) -> None:
    first, headers = token(server, "admin")
    text = headers["Authorization"].split()[1]
    access = Access.of(server.farm.settings, book=token_book.TokenBook(server.farm.reading))
    caller = access.by_token(text)
    assert caller is not None
    browser = {"Cookie": f"{COOKIE}={access.session_for(caller)}"}
    assert server.client.get("/api/v1/jobs", headers=browser).status_code == 200
    second, others = token(server, "admin", name="ben")
    with server.farm.ledger.begin() as session:
        revoke_token(session, first, by="admin")
        session.execute(update(Token).where(Token.id == second).values(expires_at=now() - timedelta(seconds=1)))
    for shown in (headers, browser, others):
        assert server.client.get("/api/v1/jobs", headers=shown).status_code == 401
    assert [event.detail["token"] for event in events(server, Happened.TOKEN_REVOKED)] == [first]


def test_a_token_of_one_site_sees_and_steers_its_jobs_alone(server: Served) -> None:
    _, admin = token(server, "admin", name="admin")
    _, north = token(server, "operator", "north", name="nora")
    _, south = token(server, "operator", "south", name="sven")
    ours = submit(server, north, "tapes").json()["job"]
    theirs = submit(server, south, "tapes").json()["job"]  # the same sources: a job of its own
    assert ours != theirs
    with server.farm.ledger.begin() as session:
        assert {job.id: job.site for job in session.scalars(select(Job))} == {ours: "north", theirs: "south"}
        row = {"number": 1, "source": "/x", "name": "x", "size_bytes": 1, "mtime_ns": 0}
        session.add(Item(id="theirs", job_id=theirs, state=State.FAILED, cause="TruncatedSource", **row))
    get = server.client.get
    assert [job["job"] for job in get("/api/v1/jobs", headers=north).json()["items"]] == [ours]
    assert len(get("/api/v1/jobs", headers=admin).json()["items"]) == 2
    for path in (f"/api/v1/jobs/{theirs}", f"/api/v1/jobs/{theirs}/items", "/api/v1/items/theirs", f"/jobs/{theirs}"):
        assert get(path, headers=north).status_code == 404, path
        assert get(path, headers=south).status_code == 200, path
    assert server.client.post(f"/api/v1/jobs/{theirs}/cancel", headers=north).status_code == 404
    body = {"what": "give_up", "cause": "TruncatedSource", "reason": "lost"}
    assert server.client.post("/api/v1/decisions", json=body, headers=north).json()["items"] == 0
    assert "TruncatedSource" not in get("/exceptions", headers=north).text
    assert get("/api/v1/workers", headers=north).status_code == 403
    assert get("/api/v1/events", headers=north).status_code == 403


def test_a_job_of_another_site_cannot_be_made(server: Served) -> None:
    _, north = token(server, "submitter", "north", "east")
    assert submit(server, north, "a", site="south").status_code == 422
    assert submit(server, north, "a").status_code == 422  # which of the two?
    assert submit(server, north, "a", site="east").status_code == 201


def test_accepting_a_deviation_needs_the_persons_signature(server: Served) -> None:
    _, headers = token(server, "operator")
    _, other = token(server, "operator", name="ben")
    body = {"what": "accept", "items": ["none"], "reason": "seen, good enough"}
    for signature in ("", "wrong", other["Authorization"].split()[1]):
        answer = server.client.post("/api/v1/decisions", json=body | {"signature": signature}, headers=headers)
        assert (answer.status_code, "signature" in answer.json()["detail"]) == (422, True)
    signed = body | {"signature": headers["Authorization"].split()[1]}
    assert server.client.post("/api/v1/decisions", json=signed, headers=headers).json() == {"items": 0, "refused": {}}


def test_who_called_from_where_and_how_it_ended_is_on_record(server: Served) -> None:
    _, headers = token(server, "submitter")
    job = submit(server, headers, "Doe^Jane").json()["job"]
    server.client.post(f"/api/v1/jobs/{job}/cancel", headers=headers)
    for _ in range(3):
        server.client.get(f"/api/v1/jobs/{job}", headers=headers)
        server.client.get("/api/v1/jobs/Doe%5EJane", headers=headers)
        server.client.get("/api/v1/jobs")
    (called,) = events(server, Happened.CALLED)
    assert (called.by, called.origin, called.outcome) == ("anna", "127.0.0.1", Outcome.OK)
    assert called.detail == {"method": "POST", "route": "/api/v1/jobs", "of": {}, "status": 201}
    assert [(one.by, one.detail["code"]) for one in events(server, Happened.DENIED)] == [
        ("anna", "NotAllowed"),
        ("", "NoToken"),
    ]
    read = [one.detail["of"] for one in events(server, Happened.READ)]
    assert read == [{"job": job}, {"job": "(name)"}]  # each once an hour; a job's name may be a patient's
    assert "Doe" not in str([one.detail for one in events(server, Happened.READ)])


def test_signing_in_and_failing_to_is_on_record(server: Served) -> None:
    _, headers = token(server, "operator")
    text = headers["Authorization"].split()[1]
    assert server.client.post("/login", data={"token": "wrong"}).status_code == 401
    assert server.client.post("/login", data={"token": text}).status_code == 303
    assert [(one.by, one.outcome) for one in events(server, Happened.SIGNED_IN)] == [
        ("127.0.0.1", Outcome.REFUSED),
        ("anna", Outcome.OK),
    ]


def test_who_guesses_tokens_is_told_to_wait(server: Served) -> None:
    token(server, "admin")
    answers = [server.client.get("/api/v1/jobs", headers={"Authorization": f"Bearer {n}"}) for n in range(40)]
    assert {answer.status_code for answer in answers[:30]} == {401}
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) >= 1


def test_a_token_that_calls_too_often_is_told_to_wait(tmp_path: Path) -> None:
    with redis_server() as broker_url:
        settings = Settings(broker_url=broker_url, state_dir=tmp_path / "state", api_calls_per_minute=5)
        with serving(settings) as server:
            _, headers = token(server, "auditor")
            codes = [server.client.get("/api/v1/jobs", headers=headers).status_code for _ in range(7)]
    assert codes == [200] * 5 + [429] * 2


@pytest.mark.parametrize(
    "wrong", [{"name": "local"}, {"name": "a b"}, {"days": 0}, {"days": 400}, {"sites": ("no rth",)}]
)
def test_a_token_that_cannot_be_is_refused(server: Served, wrong: dict[str, object]) -> None:
    with pytest.raises(PolicyError), server.farm.ledger.begin() as session:
        make_token(session, **({"name": "anna", "role": "admin", "days": 1} | wrong))  # type: ignore[arg-type]


def test_tokens_are_made_listed_and_revoked_by_command(tmp_path: Path) -> None:
    def cinefarm(*words: str) -> str:
        made = subprocess.run(
            [CINEFARM, "token", *words, "--state", str(tmp_path)], capture_output=True, text=True, check=True
        )
        return made.stdout

    text = cinefarm("create", "anna", "--role", "operator", "--days", "7", "--site", "north").strip()
    (line,) = cinefarm("list").splitlines()
    assert text not in line
    assert line.split()[1:5] == ["good", "operator", "anna", "north"]
    cinefarm("revoke", line.split()[0])
    assert cinefarm("list").split()[1] == "revoked"
