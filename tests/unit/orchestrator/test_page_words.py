"""How the page writes times, shares and causes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from orchestrator.eta import Span
from orchestrator.web import labels, words
from orchestrator.web.forms import local_path


def test_a_moment_is_machine_readable_and_says_its_zone() -> None:
    text = words.when(datetime(2026, 11, 24, 3, 5, tzinfo=UTC))
    assert text == '<time datetime="2026-11-24T03:05:00.000+00:00">2026-11-24 03:05 UTC</time>'


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(0, 10, "0 %"), (1, 10_000, "< 1 %"), (9_999, 10_000, "99 %"), (10, 10, "100 %"), (0, 0, "–")],
)
def test_a_share_never_claims_more_than_there_is(part: float, whole: float, text: str) -> None:
    assert words.percent(part, whole) == text


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (None, "not known yet"),
        (Span(40, 41), "40 to 41 s"),
        (Span(600, 610), "about 10 min"),
        (Span(600, 1200), "10 to 20 min"),
        (Span(1800, 3 * 3600), "30 min to 3 h"),
    ],
)
def test_a_range_of_time_reads_well(span: Span | None, text: str) -> None:
    assert words.span(span) == text


@pytest.mark.parametrize("code", ["gate.vmaf", "gate.picture", "UnreadableSource", "WorkerLost", "h264.level"])
def test_every_cause_has_a_title_and_an_advice(code: str) -> None:
    cause = labels.cause(code)
    assert cause.title
    assert cause.advice


@pytest.mark.parametrize("elsewhere", ["https://evil.example", "//evil.example", "/\\evil.example", ""])
def test_nobody_is_sent_elsewhere(elsewhere: str) -> None:
    assert local_path(elsewhere) == "/"


def test_a_page_of_ours_is_gone_back_to() -> None:
    assert local_path("/exceptions?job=1") == "/exceptions?job=1"
