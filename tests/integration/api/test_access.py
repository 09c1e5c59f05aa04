"""Who may call: tokens, the cookie of a browser, the token of the state directory; and nobody through another site's page."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.server import redis_server
from support.web_server import Served, serving

from common.errors import PolicyError
from common.settings import Settings
from orchestrator.api.access import COOKIE, Access, Caller

TOKEN = "correct-horse"
PAIR = f"anna:{hashlib.sha256(TOKEN.encode()).hexdigest()}"


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Served]:
    """A server that asks for a token."""
    with redis_server() as broker_url:
        settings = Settings(broker_url=broker_url, state_dir=tmp_path / "state", api_tokens=PAIR)
        with serving(settings) as server:
            yield server


def with_token(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_without_a_token_nothing_is_told_but_that_it_lives(guarded: Served) -> None:
    refused = guarded.client.get("/api/v1/jobs")
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert refused.headers["content-type"] == "application/problem+json"
    assert guarded.client.get("/api/v1/jobs", headers=with_token("wrong")).status_code == 401
    assert guarded.client.get("/api/v1/health/live").status_code == 200
    assert guarded.client.get("/api/v1/jobs", headers=with_token(TOKEN)).status_code == 200


def test_the_token_of_the_state_directory_is_good_on_this_machine(guarded: Served) -> None:
    token = json.loads((guarded.farm.settings.state_dir / "api.json").read_text())["token"]
    assert guarded.client.get("/api/v1/jobs", headers=with_token(token)).status_code == 200


def test_a_session_is_good_until_it_ends_and_cannot_be_made_up() -> None:
    access = Access.of(Settings(api_tokens=PAIR))
    session = access.session_for(Caller("anna"), now=1000.0)
    known = access.by_session(session, now=1001.0)
    assert known is not None
    assert known.name == "anna"
    assert access.by_session(session, now=1000.0 + 13 * 3600) is None
    forged = session[:-1] + ("0" if session[-1] != "0" else "1")
    for made_up in (forged, session.replace("anna", "eva"), "anna|99999999999|", "", "|||", "anna|²|x"):
        assert access.by_session(made_up, now=1001.0) is None


def test_a_session_serves_a_browser(guarded: Served) -> None:
    session = Access.of(guarded.farm.settings).session_for(Caller("anna"))
    with httpx.Client(base_url=guarded.url, cookies={COOKIE: session}) as browser:
        assert browser.get("/api/v1/jobs").status_code == 200


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Origin": "https://evil.example"}, "ForeignOrigin"),
        ({"Sec-Fetch-Site": "cross-site"}, "ForeignOrigin"),
        ({"Host": "evil.example"}, "WrongHost"),
    ],
)
def test_a_page_of_another_site_reaches_nothing_through_a_browser(
    served: Served, headers: dict[str, str], code: str
) -> None:
    refused = served.client.post("/api/v1/jobs/x/cancel", headers=headers)
    assert refused.json()["code"] == code


@pytest.mark.parametrize(
    "settings",
    [
        Settings(http_address="0.0.0.0"),  # noqa: S104 what is refused
        Settings(api_tokens="anna:short"),
        Settings(api_tokens=f"local:{'0' * 64}"),
        Settings(api_tokens_file=Path("/missing")),
    ],
)
def test_a_server_that_would_be_open_to_others_or_has_bad_tokens_does_not_start(settings: Settings) -> None:
    with pytest.raises(PolicyError):
        Access.of(settings)
