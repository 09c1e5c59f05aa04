"""The server, and a ledger with something in it."""

from __future__ import annotations

from support.web_server import served  # noqa: F401 a fixture
