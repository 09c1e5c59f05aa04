"""What each role may do, and how often anybody may call."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.api.rates import Rates
from orchestrator.api.roles import Role, refused

STEERING = ("POST", "/api/v1/jobs/j/cancel")
DECIDING = ("POST", "/api/v1/decisions")
SUBMITTING = ("POST", "/api/v1/jobs")
LOOKING = ("GET", "/api/v1/jobs/j")
TRAIL = ("GET", "/api/v1/jobs/j/audit")


@pytest.mark.parametrize(
    ("role", "may"),
    [
        (Role.SUBMITTER, {SUBMITTING, LOOKING}),
        (Role.OPERATOR, {SUBMITTING, LOOKING, STEERING, DECIDING, TRAIL}),
        (Role.AUDITOR, {LOOKING, TRAIL}),
        (Role.ADMIN, {SUBMITTING, LOOKING, STEERING, DECIDING, TRAIL}),
    ],
)
def test_each_role_may_what_it_is_for(role: Role, may: set[tuple[str, str]]) -> None:
    assert {call for call in (STEERING, DECIDING, SUBMITTING, LOOKING, TRAIL) if not refused(*call, role)} == may


@given(st.sampled_from(["POST", "PUT", "PATCH", "DELETE"]), st.text(st.sampled_from("/abcjobsapiv1.-"), max_size=40))
def test_an_auditor_changes_nothing_whatever_the_path(method: str, path: str) -> None:
    assert refused(method, f"/{path}", Role.AUDITOR)


@pytest.mark.parametrize(
    "path", ["/api/v1/workers/w/drain", "/api/v1/limits", "/metrics", "/dicom-web/studies", "/workers"]
)
def test_a_token_of_a_site_reaches_nothing_that_is_not_of_jobs(path: str) -> None:
    assert refused("GET", path, Role.OPERATOR, bound=True)
    assert not refused("GET", "/api/v1/jobs", Role.OPERATOR, bound=True)


def test_who_calls_too_often_waits_and_others_do_not() -> None:
    rates = Rates(per_minute=2)
    assert [rates.wait("a", 0.0) for _ in range(2)] == [0.0, 0.0]
    assert rates.wait("a", 0.0) == pytest.approx(30.0)
    assert rates.empty("a", 0.0) == pytest.approx(30.0)
    assert rates.wait("b", 0.0) == 0.0
    assert rates.wait("a", 31.0) == 0.0


@given(st.lists(st.floats(0, 10), max_size=200), st.integers(1, 20))
def test_nobody_gets_more_than_a_minutes_calls_and_what_time_brings(gaps: list[float], per_minute: int) -> None:
    rates, now, allowed = Rates(per_minute), 0.0, 0
    for gap in gaps:
        now += gap
        allowed += rates.wait("a", now) == 0.0
    assert allowed <= per_minute + now * per_minute / 60 + 1e-6


def test_a_limit_of_none_is_none() -> None:
    assert all(Rates(0).wait("a", 0.0) == 0.0 for _ in range(100))
