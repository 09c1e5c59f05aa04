"""HTTP statuses in words: who must act, and when to come again."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from common.errors import DestinationRefused, DestinationUnavailable
from common.network.web_status import refusal, retry_after

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Tue, 24 Nov 2026 12:00:30 GMT", 30.0),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        (None, None),
    ],
)
def test_retry_after_is_a_number_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 507])
def test_what_may_pass_is_tried_again(status: int) -> None:
    assert isinstance(refusal(status, "STOW-RS"), DestinationUnavailable)


@pytest.mark.parametrize("status", [300, 301, 400, 401, 403, 404, 405, 406, 409, 411, 413, 415, 418, 501])
def test_what_will_not_is_refused(status: int) -> None:
    assert isinstance(refusal(status, "STOW-RS"), DestinationRefused)


@pytest.mark.parametrize(
    ("location", "named"),
    [
        ("https://pacs.example:8443/path?token=1", "dicomweb+https://pacs.example:8443/…"),
        ("https://user:secret@pacs.example/x", "dicomweb+https://pacs.example/…"),
        ("javascript:alert(1)", "leads to: no"),
        ("https://\x1b[31m/", "leads to: no"),
    ],
)
def test_a_redirection_names_the_server_and_nothing_that_may_be_secret(location: str, named: str) -> None:
    hint = refusal(302, "QIDO-RS", location).hint
    assert named in hint
    assert "token=" not in hint
    assert "secret" not in hint
